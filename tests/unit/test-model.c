/* SPDX-License-Identifier: BSD-3-Clause */
/* The model test: threads do random writes, reads, trims and zeros of random
 * sizes and alignments, and a plain array is the oracle.  Meanwhile limits and
 * levels change, and the cleaner runs.
 *
 * A lock a page in the test makes overlapping requests take turns, so that
 * the oracle is exact; the store is not told of them.  It runs until
 * thousands of segments were cleaned (MODEL_SEGMENTS changes how many).
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pages.h"
#include "store/store.h"

#define MIB (UINT64_C (1) << 20)
#define PAGE PAGE_BYTES
#define PAGES 6000
#define SIZE ((uint64_t) PAGES * PAGE)
#define THREADS 4
#define MOST_PAGES 56 /* ThreadSanitizer knows 64 locks of a thread */

static const struct store_placement placements[] = {
  { .cgroup = 0, .prio = 1 },
  { .cgroup = 1, .prio = 2, .writeback_prio = 1, .writeback_size = 2000 },
  { .cgroup = 5, .prio = 4, .writeback_prio = 2 },
};

static struct store *store;
static unsigned char *oracle;
static pthread_mutex_t locks[PAGES];
static _Atomic bool stop;
static _Atomic uint64_t wrong, refused, requests;

static void
lock_range (uint64_t offset, uint64_t count, bool lock)
{
  for (uint64_t i = offset / PAGE; i <= (offset + count - 1) / PAGE; ++i)
    if (lock)
      pthread_mutex_lock (&locks[i]);
    else
      pthread_mutex_unlock (&locks[i]);
}

/* A request failed: each page must be as it was or as it should have become.
 * NEW is the content of the range that was asked for.
 */
static void
settle (const unsigned char *new, uint64_t count, uint64_t offset)
{
  unsigned char back[PAGE];

  while (count > 0) {
    uint64_t n = PAGE - offset % PAGE;

    if (n > count)
      n = count;
    if (store_read (store, back, n, offset) == -1)
      wrong++;
    if (memcmp (back, new, n) == 0)
      memcpy (oracle + offset, new, n);
    else if (memcmp (back, oracle + offset, n) != 0)
      wrong++;
    new += n;
    offset += n;
    count -= n;
  }
}

static void
make_content (unsigned char *buffer, uint64_t count, uint64_t *seed)
{
  unsigned char page[PAGE];

  while (count > 0) {
    uint64_t n = count < PAGE ? count : PAGE;

    page_make (page, random_next (seed) % PAGE_KINDS, random_next (seed));
    memcpy (buffer, page, n);
    buffer += n;
    count -= n;
  }
}

static void
change (unsigned char *buffer, uint64_t count, uint64_t offset, unsigned what,
        uint64_t *seed)
{
  const struct store_placement *placement =
      &placements[random_next (seed) % 3];
  uint64_t start, end;
  int r;

  switch (what) {
  case 0:
    start = (offset + PAGE - 1) / PAGE * PAGE;
    end = (offset + count) / PAGE * PAGE;
    if (store_trim (store, count, offset) == -1)
      wrong++;
    if (start < end)
      memset (oracle + start, 0, end - start);
    return;
  case 1:
    memset (buffer, 0, count);
    r = store_zero (store, count, offset, random_next (seed) % 2, placement);
    break;
  default:
    make_content (buffer, count, seed);
    r = store_write (store, buffer, count, offset, placement);
  }
  if (r == 0)
    memcpy (oracle + offset, buffer, count);
  else {
    if (errno != ENOSPC)
      wrong++;
    refused++;
    settle (buffer, count, offset);
  }
}

static void *
client (void *argument)
{
  uint64_t seed = 100 + (uintptr_t) argument;
  unsigned char *buffer = malloc (MOST_PAGES * PAGE);

  while (!stop) {
    uint64_t offset = random_next (&seed) % SIZE;
    uint64_t count =
        1 + random_next (&seed) %
                (random_next (&seed) % 8 ? 4 * PAGE : MOST_PAGES * PAGE);
    unsigned what = random_next (&seed) % 10;

    if (random_next (&seed) % 2) {
      offset = offset / PAGE * PAGE;
      count = (count + PAGE - 1) / PAGE * PAGE;
    }
    if (count > SIZE - offset)
      count = SIZE - offset;
    lock_range (offset, count, true);
    if (what < 6)
      change (buffer, count, offset, what, &seed);
    else if (store_read (store, buffer, count, offset) == -1 ||
             memcmp (buffer, oracle + offset, count) != 0)
      wrong++;
    lock_range (offset, count, false);
    requests++;
  }
  free (buffer);
  return NULL;
}

/* Limits from far too little to more than enough, and levels. */
static void *
operator (void *unused)
{
  uint64_t seed = 77;

  (void) unused;
  while (!stop) {
    store_set_pool_limit (store, (4 + random_next (&seed) % 10) * MIB);
    store_set_tier_limit (store, 0, random_next (&seed) % 6 * MIB);
    store_set_tier_level (store, 1, 1 + (int) (random_next (&seed) % 3));
    if (random_next (&seed) % 16 == 0)
      store_compact (store);
    nanosleep (&(struct timespec){ 0, 5000000 }, NULL);
  }
  return NULL;
}

static void
test_model (void **state)
{
  struct store_options options = {
    .size = SIZE,
    .pool_limit = 32 * MIB,
    .tiers = { { 1, { CODEC_LZ4, 0 }, 0 },
               { 2, { CODEC_ZSTD, 1 }, 0 },
               { 4, { CODEC_NONE, 0 }, 0 } },
    .tiers_count = 3,
  };
  const char *most = getenv ("MODEL_SEGMENTS");
  uint64_t segments = most ? strtoull (most, NULL, 10) : 3000;
  pthread_t threads[THREADS + 1];
  struct store_statistics s;
  unsigned char *back = malloc (SIZE);

  (void) state;
  oracle = calloc (1, SIZE);
  for (unsigned i = 0; i < PAGES; ++i)
    pthread_mutex_init (&locks[i], NULL);
  assert_int_equal (store_create (&options, &store), 0);
  assert_int_equal (store_start (store), 0);
  for (uintptr_t i = 0; i < THREADS; ++i)
    assert_int_equal (
        pthread_create (&threads[i], NULL, client, (void *) i), 0);
  assert_int_equal (pthread_create (&threads[THREADS], NULL, operator, NULL),
                    0);
  do {
    nanosleep (&(struct timespec){ 0, 100000000 }, NULL);
    store_get_statistics (store, &s);
  } while (s.segments_cleaned < segments && wrong == 0);
  stop = true;
  for (unsigned i = 0; i <= THREADS; ++i)
    pthread_join (threads[i], NULL);

  print_message ("%llu requests, %llu refused for want of space, %llu "
                 "segments cleaned\n",
                 (unsigned long long) requests, (unsigned long long) refused,
                 (unsigned long long) s.segments_cleaned);
  assert_int_equal (wrong, 0);
  assert_int_equal (store_read (store, back, SIZE, 0), 0);
  assert_memory_equal (back, oracle, SIZE);
  assert_int_equal (store_check (store), 0);
  assert_int_equal (store_trim (store, SIZE, 0), 0);
  assert_int_equal (store_check (store), 0);
  store_get_statistics (store, &s);
  assert_int_equal (s.pages_stored, 0);
  store_free (store);
  free (oracle);
  free (back);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_model),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
