/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads write, patch, trim and read the same few pages without any order
 * between them.  Every page read must be one that somebody wrote, whole; and
 * bytes that only one thread writes are never lost to the others' patches.
 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"
#include "store/store.h"

#define MIB (UINT64_C (1) << 20)
#define PAGE PAGE_BYTES
#define SLOTS 32
#define THREADS 4
#define ROUNDS 12000

static const struct store_placement root = { .prio = 1 };
static struct store *store;

static void
make_store (void)
{
  struct store_options options = {
    .size = 64 * MIB,
    .pool_limit = 16 * MIB,
    .tiers = { { 1, { CODEC_LZ4, 0 }, 0 } },
    .tiers_count = 1,
  };

  assert_int_equal (store_create (&options, &store), 0);
  assert_int_equal (store_start (store), 0);
}

/* A page that tells what it is: kind and seed of itself, and their content in
 * the rest; or same-filled.
 */
static void
make_page (unsigned char page[PAGE], uint64_t n)
{
  static const enum page_kind kinds[]
      = { PAGE_TEXT, PAGE_POINTERS, PAGE_RANDOM };

  if (n % 8 == 0) {
    page_make (page, n % 16 ? PAGE_WIDE : PAGE_SMALL, n);
    return;
  }
  page_make (page, kinds[n % 3], n);
  memcpy (page, &n, sizeof n);
}

static bool
is_whole (const unsigned char page[PAGE])
{
  unsigned char expected[PAGE];
  uint64_t n;

  memcpy (&n, page, sizeof n);
  if (memcmp (page, page + 8, PAGE - 8) == 0)
    return true;
  make_page (expected, n);
  return memcmp (page, expected, PAGE) == 0;
}

static _Atomic unsigned torn, failed;

static void *
whole_pages (void *argument)
{
  uint64_t seed = (uintptr_t) argument;
  unsigned char pages[4 * PAGE];

  for (unsigned i = 0; i < ROUNDS; ++i) {
    uint64_t slot = random_next (&seed) % (SLOTS - 3);
    unsigned count = 1 + random_next (&seed) % 4;

    switch (random_next (&seed) % 8) {
    case 0:
      if (store_trim (store, count * PAGE, slot * PAGE) == -1)
        failed++;
      break;
    case 1:
    case 2:
    case 3:
      for (unsigned j = 0; j < count; ++j)
        make_page (pages + j * PAGE, random_next (&seed) >> 20);
      if (store_write (store, pages, count * PAGE, slot * PAGE, &root) == -1)
        failed++;
      break;
    default:
      if (store_read (store, pages, count * PAGE, slot * PAGE) == -1)
        failed++;
      for (unsigned j = 0; j < count; ++j)
        if (!is_whole (pages + j * PAGE))
          torn++;
    }
  }
  return NULL;
}

static void
run (void *(*function) (void *) )
{
  pthread_t threads[THREADS];

  torn = failed = 0;
  for (uintptr_t i = 0; i < THREADS; ++i)
    assert_int_equal (pthread_create (&threads[i], NULL, function, (void *) i),
                      0);
  for (unsigned i = 0; i < THREADS; ++i)
    pthread_join (threads[i], NULL);
  assert_int_equal (torn, 0);
  assert_int_equal (failed, 0);
  assert_int_equal (store_check (store), 0);
}

static void
test_whole_pages (void **state)
{
  (void) state;
  make_store ();
  run (whole_pages);
  store_free (store);
}

/* Each thread has its own bytes of every page and counts in them. */
static void *
own_bytes (void *argument)
{
  unsigned me = (unsigned) (uintptr_t) argument;
  uint64_t seed = me, counts[SLOTS] = { 0 }, back;

  for (unsigned i = 0; i < ROUNDS; ++i) {
    uint64_t slot = random_next (&seed) % SLOTS;
    uint64_t offset = slot * PAGE + 100 * me + 4;

    if (store_read (store, &back, sizeof back, offset) == -1)
      failed++;
    if (back != counts[slot])
      torn++;
    counts[slot] = random_next (&seed);
    if (store_write (store, &counts[slot], sizeof counts[slot], offset, &root)
        == -1)
      failed++;
  }
  return NULL;
}

static void
test_own_bytes (void **state)
{
  (void) state;
  make_store ();
  run (own_bytes);
  store_free (store);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_whole_pages),
    cmocka_unit_test (test_own_bytes),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
