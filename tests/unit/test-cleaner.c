/* SPDX-License-Identifier: BSD-3-Clause */
/* The cleaner keeps the store dense while pages are overwritten, and makes
 * room when the pool is at its limit.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pages.h"
#include "rest.h"
#include "store/internal.h"

#define MIB (UINT64_C (1) << 20)
#define PAGE PAGE_BYTES

static const struct store_placement root = { .prio = 1 };

static struct store *
make (uint64_t limit, uint64_t first_tier_limit)
{
  struct store_options options = {
    .size = 1024 * MIB,
    .pool_limit = limit,
    .tiers = { { 1, { CODEC_LZ4, 0 }, first_tier_limit },
               { 2, { CODEC_ZSTD, 1 }, 0 } },
    .tiers_count = 2,
  };
  struct store *store;

  assert_int_equal (store_create (&options, &store), 0);
  assert_int_equal (store_start (store), 0);
  return store;
}

static int
try_put (struct store *store, uint64_t slot, uint64_t seed)
{
  unsigned char page[PAGE];

  page_make (page, PAGE_HALF, seed);
  return store_write (store, page, PAGE, slot * PAGE, &root);
}

static void
expect (struct store *store, uint64_t slot, uint64_t seed)
{
  unsigned char page[PAGE], back[PAGE];

  page_make (page, PAGE_HALF, seed);
  assert_int_equal (store_read (store, back, PAGE, slot * PAGE), 0);
  assert_memory_equal (page, back, PAGE);
}

static double
overhead (struct store *store, struct store_statistics *s)
{
  store_get_statistics (store, s);
  return (double) s->mem_used_bytes / s->compr_bytes;
}

/* Overwriting at random: copies are made, space stays bounded, and at rest the
 * dead space goes.
 */
static void
test_density (void **state)
{
  enum { PAGES = 20000 };
  struct store *store = make (256 * MIB, 0);
  uint64_t seed = 1, *content = calloc (PAGES, sizeof *content);
  struct store_statistics s;
  double worst = 0, now = 0;

  (void) state;
  for (unsigned i = 0; i < PAGES; ++i)
    assert_int_equal (try_put (store, i, content[i] = i), 0);
  for (unsigned i = 0; i < 4 * PAGES; ++i) {
    unsigned slot = random_next (&seed) % PAGES;

    assert_int_equal (try_put (store, slot, content[slot] = i + PAGES), 0);
    if (i % 1000 == 0 && (now = overhead (store, &s)) > worst)
      worst = now;
  }
  assert_true (s.segments_cleaned > 100);
  assert_true (s.bytes_copied > 10 * MIB);
  /* Generous: how well it does is the benchmark's to tell. */
  assert_true (worst < 1.5);
  for (unsigned i = 0; i < 30000; ++i) {
    now = overhead (store, &s);
    if (now < 1.06)
      break;
    nanosleep (&(struct timespec){ 0, 10000000 }, NULL);
  }
  assert_true (now < 1.06);
  for (unsigned i = 0; i < PAGES; ++i)
    expect (store, i, content[i]);
  store_compact (store);
  assert_int_equal (store_check (store), 0);
  free (content);
  store_free (store);
}

/* At the limit, live pages fill nearly all of it, and overwriting them for
 * ever never fails.
 */
static void
test_at_the_limit (void **state)
{
  struct store *store = make (16 * MIB, 0);
  uint64_t seed = 2, *content;
  struct store_statistics s;
  unsigned pages, keep;

  (void) state;
  for (pages = 0; try_put (store, pages, pages) == 0; ++pages)
    ;
  assert_int_equal (errno, ENOSPC);
  store_get_statistics (store, &s);
  assert_true (s.compr_bytes > 14 * MIB);
  assert_true (s.mem_used_peak_bytes <= 16 * MIB);

  /* Free a tenth of it at random places; then there must be room for ever. */
  content = calloc (pages, sizeof *content);
  keep = pages;
  for (unsigned i = 0; i < pages; ++i) {
    content[i] = i;
    if (i % 10 == 3)
      assert_int_equal (store_trim (store, PAGE, (uint64_t) i * PAGE), 0);
  }
  for (unsigned i = 0; i < 5 * keep; ++i) {
    unsigned slot = random_next (&seed) % pages;

    if (slot % 10 == 3)
      continue;
    content[slot] = i + pages;
    assert_int_equal (try_put (store, slot, content[slot]), 0);
  }
  for (unsigned i = 0; i < pages; ++i)
    if (i % 10 != 3)
      expect (store, i, content[i]);
  store_get_statistics (store, &s);
  assert_true (s.mem_used_peak_bytes <= 16 * MIB);
  assert_int_equal (store_check (store), 0);
  free (content);
  store_free (store);
}

/* A tier at its limit is cleaned before the next tier is used. */
static void
test_tier_limit (void **state)
{
  struct store *store = make (64 * MIB, 4 * MIB);
  struct store_statistics s;
  uint64_t seed = 3;

  (void) state;
  for (unsigned i = 0; i < 1000; ++i)
    assert_int_equal (try_put (store, i, i), 0);
  for (unsigned i = 0; i < 20000; ++i)
    assert_int_equal (try_put (store, random_next (&seed) % 1000, i), 0);
  s = statistics_at_rest (store);
  assert_int_equal (s.pages_stored, 1000);
  assert_true (s.tiers[0].mem_used_bytes <= 4 * MIB);
  assert_true (s.tiers[0].pages > 900);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

/* Many owners at the limit: each has survivors of its own, and still nothing
 * fails as long as there is dead space.
 */
static void
test_many_owners (void **state)
{
  enum { OWNERS = 24, PAGES = 100 };
  struct store *store = make (16 * MIB, 0);
  struct store_placement placement = { .prio = 1 };
  unsigned char page[PAGE], back[PAGE];
  uint64_t seed = 5, content[OWNERS * PAGES] = { 0 };

  (void) state;
  for (unsigned i = 0; i < 40 * OWNERS * PAGES; ++i) {
    unsigned slot = random_next (&seed) % (OWNERS * PAGES);

    content[slot] = i;
    placement.cgroup = slot % OWNERS;
    page_make (page, PAGE_HALF, i);
    assert_int_equal (
        store_write (store, page, PAGE, (uint64_t) slot * PAGE, &placement), 0);
  }
  for (unsigned slot = 0; slot < OWNERS * PAGES; ++slot) {
    page_make (page, PAGE_HALF, content[slot]);
    assert_int_equal (store_read (store, back, PAGE, (uint64_t) slot * PAGE),
                      0);
    if (content[slot])
      assert_memory_equal (page, back, PAGE);
  }
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

/* A limit lowered far below what is used is approached by cleaning alone, as
 * far as live pages allow.
 */
static void
test_lowered (void **state)
{
  struct store *store = make (64 * MIB, 0);
  struct store_statistics s;

  (void) state;
  for (unsigned i = 0; i < 16000; ++i)
    assert_int_equal (try_put (store, i, i), 0);
  store_set_pool_limit (store, 8 * MIB);
  for (unsigned i = 0; i < 16000; ++i)
    if (i % 16)
      assert_int_equal (store_trim (store, PAGE, (uint64_t) i * PAGE), 0);
  for (unsigned i = 0; i < 30000; ++i) {
    store_get_statistics (store, &s);
    if (s.mem_used_bytes <= 8 * MIB)
      break;
    nanosleep (&(struct timespec){ 0, 10000000 }, NULL);
  }
  assert_true (s.mem_used_bytes <= 8 * MIB);
  for (unsigned i = 0; i < 16000; i += 16)
    expect (store, i, i);
  assert_int_equal (try_put (store, 1, 1), 0);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_density),    cmocka_unit_test (test_at_the_limit),
    cmocka_unit_test (test_tier_limit), cmocka_unit_test (test_many_owners),
    cmocka_unit_test (test_lowered),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
