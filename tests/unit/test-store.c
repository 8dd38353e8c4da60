/* SPDX-License-Identifier: BSD-3-Clause */
/* The store alone, one thread: what is written is read, whatever its kind,
 * alignment and tier; limits hold; what is freed is given back.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pages.h"
#include "rest.h"
#include "store/internal.h"

#define MIB (UINT64_C (1) << 20)
#define PAGE PAGE_BYTES

static const struct store_placement root = { .prio = 1 };

static struct store *
make (uint64_t size, uint64_t limit, uint64_t first_tier_limit)
{
  struct store_options options = {
    .size = size,
    .pool_limit = limit,
    .tiers = { { 1, { CODEC_LZ4, 0 }, first_tier_limit },
               { 3, { CODEC_ZSTD, 1 }, 0 } },
    .tiers_count = 2,
  };
  struct store *store;

  assert_int_equal (store_create (&options, &store), 0);
  assert_int_equal (store_start (store), 0);
  return store;
}

static void
put (struct store *store, uint64_t slot, enum page_kind kind, uint64_t seed)
{
  unsigned char page[PAGE];

  page_make (page, kind, seed);
  assert_int_equal (store_write (store, page, PAGE, slot * PAGE, &root), 0);
}

static void
expect (struct store *store, uint64_t slot, enum page_kind kind, uint64_t seed)
{
  unsigned char page[PAGE], back[PAGE];

  page_make (page, kind, seed);
  assert_int_equal (store_read (store, back, PAGE, slot * PAGE), 0);
  assert_memory_equal (page, back, PAGE);
}

static void
test_kinds (void **state)
{
  struct store *store = make (64 * MIB, 32 * MIB, 0);
  struct store_statistics s;

  (void) state;
  expect (store, 77, PAGE_ZERO, 0);
  for (unsigned i = 0; i < 700; ++i)
    put (store, i, i % PAGE_KINDS, i);
  for (unsigned i = 0; i < 700; ++i)
    expect (store, i, i % PAGE_KINDS, i);
  s = statistics_at_rest (store);
  assert_int_equal (s.pages_stored, 700);
  assert_int_equal (s.pages_same, 300);
  assert_int_equal (s.tiers[0].pages, 400);
  assert_int_equal (s.tiers[0].pages_raw, 100);
  assert_int_equal (s.writes, 700);
  assert_int_equal (s.reads, 701);
  assert_true (s.compr_bytes > 100 * PAGE && s.compr_bytes < 400 * PAGE);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

/* Same-filled pages of any pattern take no object and no frame. */
static void
test_same_filled (void **state)
{
  struct store *store = make (64 * MIB, 32 * MIB, 0);
  struct store_statistics s;

  (void) state;
  for (unsigned i = 0; i < 3000; ++i)
    put (store, i, PAGE_WIDE, i);
  for (unsigned i = 0; i < 3000; ++i)
    expect (store, i, PAGE_WIDE, i);
  s = statistics_at_rest (store);
  assert_int_equal (s.pages_same, 3000);
  assert_int_equal (s.compr_bytes, 0);
  assert_int_equal (s.mem_used_bytes, s.meta_bytes);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

/* Whose pages are zeros alone is known, too. */
static void
test_zeros_of_cgroup (void **state)
{
  static const struct store_placement seventh = { .cgroup = 7, .prio = 1 };
  struct store *store = make (64 * MIB, 32 * MIB, 0);
  struct store_cgroup_statistics cgroups[8];
  struct store_statistics s;

  (void) state;
  assert_int_equal (store_zero (store, 3 * PAGE, PAGE, false, &seventh), 0);
  s = statistics_at_rest (store);
  assert_int_equal (s.pages_same, 3);
  store_get_cgroup_statistics (store, cgroups, 8);
  assert_int_equal (cgroups[7].pages_same, 3);
  assert_int_equal (cgroups[0].pages_same, 0);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

/* One request of many pages, and requests of any offset and length. */
static void
test_alignment (void **state)
{
  const uint64_t size = 300 * PAGE;
  struct store *store = make (size, 32 * MIB, 0);
  unsigned char *oracle = calloc (1, size), *buffer = malloc (size);
  uint64_t seed = 5;

  (void) state;
  for (unsigned round = 0; round < 2000; ++round) {
    uint64_t offset = random_next (&seed) % size;
    uint64_t count = random_next (&seed) % (round % 10 ? 3 * PAGE : 80 * PAGE);
    unsigned what = random_next (&seed) % 8;

    if (count > size - offset)
      count = size - offset;
    if (what < 4) {
      for (uint64_t i = 0; i < count; ++i)
        buffer[i] = what == 0 ? 0x11 : (unsigned char) random_next (&seed);
      assert_int_equal (store_write (store, buffer, count, offset, &root), 0);
      memcpy (oracle + offset, buffer, count);
    }
    else if (what == 4) {
      assert_int_equal (store_zero (store, count, offset, round % 2, &root), 0);
      memset (oracle + offset, 0, count);
    }
    else if (what == 5) {
      uint64_t start = (offset + PAGE - 1) / PAGE * PAGE;
      uint64_t end = (offset + count) / PAGE * PAGE;

      assert_int_equal (store_trim (store, count, offset), 0);
      if (start < end)
        memset (oracle + start, 0, end - start);
    }
    else {
      assert_int_equal (store_read (store, buffer, count, offset), 0);
      assert_memory_equal (buffer, oracle + offset, count);
    }
  }
  assert_int_equal (store_read (store, buffer, size, 0), 0);
  assert_memory_equal (buffer, oracle, size);
  assert_int_equal (store_check (store), 0);
  free (buffer);
  free (oracle);
  store_free (store);
}

static void
test_out_of_range (void **state)
{
  struct store *store = make (100 * PAGE, 8 * MIB, 0);
  struct store_placement beyond = { .cgroup = 1 << 16, .prio = 1 };
  unsigned char page[2 * PAGE];

  (void) state;
  put (store, 99, PAGE_TEXT, 1);
  memset (page, 1, sizeof page);
  assert_int_equal (store_write (store, page, 2 * PAGE, 99 * PAGE, &root), -1);
  assert_int_equal (errno, EINVAL);
  assert_int_equal (store_write (store, page, 1, 100 * PAGE, &root), -1);
  assert_int_equal (errno, EINVAL);
  assert_int_equal (store_write (store, page, PAGE, 0, &beyond), -1);
  assert_int_equal (errno, EINVAL);
  assert_int_equal (store_read (store, page, PAGE, UINT64_MAX - PAGE), -1);
  assert_int_equal (errno, EINVAL);
  assert_int_equal (store_trim (store, 101 * PAGE, 0), -1);
  assert_int_equal (errno, EINVAL);
  assert_int_equal (store_zero (store, PAGE, 100 * PAGE, true, &root), -1);
  assert_int_equal (errno, EINVAL);
  assert_int_equal (store_write (store, page, 0, 100 * PAGE, &root), 0);
  expect (store, 99, PAGE_TEXT, 1);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

static void
test_bad_options (void **state)
{
  struct store_options options
      = { .size = 100 * PAGE,
          .pool_limit = 8 * MIB,
          .tiers = { { 1, { CODEC_LZ4, 0 }, 0 }, { 1, { CODEC_ZSTD, 1 }, 0 } },
          .tiers_count = 2 };
  struct store *store;

  (void) state;
  assert_int_equal (store_create (&options, &store), -1);
  assert_int_equal (errno, EINVAL);
  options.tiers[1].prio = 2;
  options.tiers[1].codec.level = 20;
  assert_int_equal (store_create (&options, &store), -1);
  options.tiers[1].codec.level = 1;
  options.size = 100;
  assert_int_equal (store_create (&options, &store), -1);
  options.size = 100 * PAGE;
  options.tiers_count = 0;
  assert_int_equal (store_create (&options, &store), -1);
}

/* The tier of its prio at its limit: the next one takes the page. */
static void
test_fall_back (void **state)
{
  struct store *store = make (64 * MIB, 32 * MIB, 1 * MIB);
  struct store_statistics s;

  (void) state;
  for (unsigned i = 0; i < 2000; ++i)
    put (store, i, PAGE_HALF, i);
  s = statistics_at_rest (store);
  assert_true (s.tiers[0].mem_used_bytes <= 1 * MIB);
  assert_true (s.tiers[0].pages > 200);
  assert_int_equal (s.tiers[0].pages + s.tiers[2].pages, 2000);
  for (unsigned i = 0; i < 2000; ++i)
    expect (store, i, PAGE_HALF, i);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

/* Prio chooses the tier; a prio between two tiers means the next higher. */
static void
test_prio (void **state)
{
  static const struct store_placement placements[]
      = { { .prio = 1 }, { .prio = 2 }, { .prio = 3 }, { .prio = 4 } };
  struct store *store = make (64 * MIB, 32 * MIB, 0);
  unsigned char page[PAGE];
  struct store_statistics s;

  (void) state;
  for (unsigned i = 0; i < 4; ++i) {
    page_make (page, PAGE_TEXT, i);
    assert_int_equal (store_write (store, page, PAGE, i * PAGE, &placements[i]),
                      0);
  }
  s = statistics_at_rest (store);
  assert_int_equal (s.tiers[0].pages, 1);
  assert_int_equal (s.tiers[2].pages, 3);
  for (unsigned i = 0; i < 4; ++i)
    expect (store, i, PAGE_TEXT, i);
  store_free (store);
}

/* Full: ENOSPC, and nothing stored is harmed; room made, it goes on. */
static void
test_no_space (void **state)
{
  struct store *store = make (64 * MIB, 4 * MIB, 0);
  unsigned char page[PAGE];
  struct store_statistics s;
  unsigned stored, more;

  (void) state;
  for (stored = 0; stored < 4000; ++stored) {
    page_make (page, PAGE_RANDOM, stored);
    if (store_write (store, page, PAGE, (uint64_t) stored * PAGE, &root) == -1)
      break;
  }
  assert_int_equal (errno, ENOSPC);
  assert_in_range (stored, 600, 1024);
  /* A page that is overwritten in vain keeps its old content. */
  page_make (page, PAGE_RANDOM, 9999);
  assert_int_equal (store_write (store, page, PAGE, 0, &root), -1);
  assert_int_equal (errno, ENOSPC);
  assert_int_equal (store_write (store, page, 100, 50, &root), -1);
  assert_int_equal (errno, ENOSPC);
  /* Same-filled pages need no room. */
  put (store, 5000, PAGE_WIDE, 1);
  for (unsigned i = 0; i < stored; ++i)
    expect (store, i, PAGE_RANDOM, i);
  s = statistics_at_rest (store);
  assert_true (s.mem_used_bytes <= 4 * MIB);
  assert_true (s.mem_used_peak_bytes <= 4 * MIB);
  assert_int_equal (s.write_errors, 3);
  assert_int_equal (store_check (store), 0);

  /* The limit raised, live. */
  store_set_pool_limit (store, 8 * MIB);
  for (more = stored; more < stored + 500; ++more)
    put (store, more, PAGE_RANDOM, more);

  /* And lowered below what is used: nothing is lost, nothing new is taken. */
  store_set_pool_limit (store, 2 * MIB);
  page_make (page, PAGE_RANDOM, more);
  for (unsigned i = 0; i < 200; ++i)
    if (store_write (store, page, PAGE, (6000 + i) * PAGE, &root) == -1)
      break;
  assert_int_equal (errno, ENOSPC);
  for (unsigned i = 0; i < more; ++i)
    expect (store, i, PAGE_RANDOM, i);
  assert_int_equal (store_trim (store, 64 * MIB, 0), 0);
  put (store, 1, PAGE_RANDOM, 1);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

static void
test_level (void **state)
{
  struct store *store = make (64 * MIB, 32 * MIB, 0);
  const struct store_placement dense = { .prio = 3 };
  unsigned char page[PAGE];
  uint64_t before;

  (void) state;
  page_make (page, PAGE_TEXT, 1);
  store_set_tier_level (store, 2, -100);
  assert_int_equal (store_write (store, page, PAGE, 0, &dense), 0);
  before = statistics_at_rest (store).compr_bytes;
  store_set_tier_level (store, 2, 19);
  assert_int_equal (store_write (store, page, PAGE, PAGE, &dense), 0);
  assert_true (statistics_at_rest (store).compr_bytes - before < before);
  assert_int_equal (statistics_at_rest (store).tiers[2].codec.level, 19);
  expect (store, 0, PAGE_TEXT, 1);
  expect (store, 1, PAGE_TEXT, 1);
  store_free (store);
}

/* KiB of this process in memory. */
static unsigned long
resident (void)
{
  FILE *file = fopen ("/proc/self/statm", "r");
  unsigned long size, pages;

  assert_non_null (file);
  assert_int_equal (fscanf (file, "%lu %lu", &size, &pages), 2);
  fclose (file);
  return pages * 4;
}

/* Trimmed at once, and the memory goes back to the kernel. */
static void
test_trim_gives_back (void **state)
{
  struct store *store = make (256 * MIB, 128 * MIB, 0);
  struct store_statistics s;
  unsigned long before, now = 0;

  (void) state;
  for (unsigned i = 0; i < 16000; ++i)
    put (store, i, PAGE_RANDOM, i);
  before = resident ();
  assert_int_equal (store_trim (store, 256 * MIB, 0), 0);
  s = statistics_at_rest (store);
  assert_int_equal (s.pages_stored, 0);
  assert_int_equal (s.compr_bytes, 0);
  /* Nothing but the tables and two open segments. */
  assert_true (s.mem_used_bytes <= s.meta_bytes + 512 * 1024);
  for (unsigned i = 0; i < 30000; ++i) {
    now = resident ();
    if (now + 40 * 1024 < before)
      break;
    nanosleep (&(struct timespec){ 0, 10000000 }, NULL);
  }
  assert_true (now + 40 * 1024 < before);
  s = statistics_at_rest (store);
  assert_true (s.reserve_bytes > 0);
  for (unsigned i = 0; i < 16000; i += 7)
    expect (store, i, PAGE_ZERO, 0);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

struct seen {
  uint64_t offset[8], length[8];
  enum store_extent kind[8];
  unsigned count;
};

static int
see (void *opaque, uint64_t offset, uint64_t length, enum store_extent kind)
{
  struct seen *seen = opaque;

  if (seen->count == 8)
    return 1;
  seen->offset[seen->count] = offset;
  seen->length[seen->count] = length;
  seen->kind[seen->count++] = kind;
  return 0;
}

static void
test_extents (void **state)
{
  struct store *store = make (64 * MIB, 32 * MIB, 0);
  struct seen seen = { .count = 0 };

  (void) state;
  put (store, 2000, PAGE_TEXT, 1);
  put (store, 2001, PAGE_SMALL, 12);
  put (store, 2002, PAGE_ZERO, 0);
  put (store, 2003, PAGE_ZERO, 0);
  assert_int_equal (store_extents (store, 64 * MIB, 0, see, &seen), 0);
  assert_int_equal (seen.count, 4);
  assert_int_equal (seen.kind[0], STORE_HOLE);
  assert_int_equal (seen.length[0], 2000 * PAGE);
  assert_int_equal (seen.kind[1], STORE_DATA);
  assert_int_equal (seen.offset[1], 2000 * PAGE);
  assert_int_equal (seen.length[1], 2 * PAGE);
  assert_int_equal (seen.kind[2], STORE_ZERO);
  assert_int_equal (seen.length[2], 2 * PAGE);
  assert_int_equal (seen.kind[3], STORE_HOLE);
  assert_int_equal (seen.offset[3] + seen.length[3], 64 * MIB);

  seen.count = 0;
  assert_int_equal (store_extents (store, 2 * PAGE, 2001 * PAGE, see, &seen),
                    0);
  assert_int_equal (seen.count, 2);
  assert_int_equal (seen.offset[0], 2001 * PAGE);
  assert_int_equal (seen.length[1], PAGE);

  assert_int_equal (store_trim (store, PAGE, 2000 * PAGE), 0);
  seen.count = 0;
  assert_int_equal (store_extents (store, PAGE, 2000 * PAGE, see, &seen), 0);
  assert_int_equal (seen.kind[0], STORE_HOLE);
  store_free (store);
}

/* A large device costs nothing before it is used. */
static void
test_sparse (void **state)
{
  unsigned long before = resident ();
  struct store *store = make (UINT64_C (1) << 43, 8 * MIB, 0);
  struct store_statistics s;

  (void) state;
  put (store, (UINT64_C (1) << 31) - 1, PAGE_TEXT, 1);
  assert_int_equal (store_trim (store, UINT64_C (1) << 42, 0), 0);
  expect (store, (UINT64_C (1) << 31) - 1, PAGE_TEXT, 1);
  s = statistics_at_rest (store);
  assert_true (s.meta_bytes < 2 * PAGE);
  assert_true (resident () < before + 16 * 1024);
  store_free (store);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_kinds),
    cmocka_unit_test (test_same_filled),
    cmocka_unit_test (test_zeros_of_cgroup),
    cmocka_unit_test (test_alignment),
    cmocka_unit_test (test_out_of_range),
    cmocka_unit_test (test_bad_options),
    cmocka_unit_test (test_fall_back),
    cmocka_unit_test (test_prio),
    cmocka_unit_test (test_no_space),
    cmocka_unit_test (test_level),
    cmocka_unit_test (test_trim_gives_back),
    cmocka_unit_test (test_extents),
    cmocka_unit_test (test_sparse),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
