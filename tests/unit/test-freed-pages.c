/* SPDX-License-Identifier: BSD-3-Clause */
/* What one cgroup's pages held never shows up in what another reads, however
 * they were freed; with wipe it is not in memory any more; and with verify a
 * page that was damaged in memory is not read.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define PAGES 2048

static const struct store_placement first
    = { .cgroup = 1, .prio = 1, .writeback_prio = 1 };
static const struct store_placement second
    = { .cgroup = 2, .prio = 1, .writeback_prio = 1 };
static const struct store_placement second_dense
    = { .cgroup = 2, .prio = 2, .writeback_prio = 1 };

static const char secret[] = "the key of cgroup one";
#define SECRET (sizeof secret - 1)

/* The secret again and again between bytes that do not compress: whether a page
 * is stored raw or compressed, it is in the stored bytes.
 */
static void
make_secret (unsigned char page[PAGE_BYTES], uint64_t seed, unsigned random)
{
  memset (page, 0, PAGE_BYTES);
  for (unsigned i = 0; i < random; ++i)
    page[i] = (unsigned char) random_next (&seed);
  for (unsigned at = 64; at + SECRET < PAGE_BYTES; at += 256)
    memcpy (page + at, secret, SECRET);
}

static bool
has_secret (const void *bytes, size_t length)
{
  return memmem (bytes, length, secret, SECRET) != NULL;
}

static void
write_secrets (struct rig *rig, unsigned from, unsigned count, unsigned random)
{
  unsigned char page[PAGE_BYTES];

  for (unsigned i = from; i < from + count; ++i) {
    make_secret (page, i, random);
    assert_int_equal (store_write (rig->store, page, PAGE_BYTES,
                                   (uint64_t) i * PAGE_BYTES, &first),
                      0);
  }
}

static bool
memory_has_secret (struct rig *rig)
{
  const struct arena *arena = &rig->store->arena;
  bool found;

  /* The cleaner does not write there meanwhile. */
  rig_rest_cleaner (rig);
  found = has_secret (arena_frame (arena, 0),
                      (size_t) arena_high_water (arena) * FRAME_BYTES);
  rig_resume_cleaner (rig);
  return found;
}

/* The ways in which pages are freed. */
static void
free_secrets (struct rig *rig)
{
  uint64_t quarter = PAGES / 4 * PAGE_BYTES;
  unsigned char page[PAGE_BYTES];

  assert_int_equal (store_trim (rig->store, quarter, 0), 0);
  assert_int_equal (store_zero (rig->store, quarter, quarter, true, &first), 0);
  assert_int_equal (
      store_zero (rig->store, quarter, 2 * quarter, false, &first), 0);
  for (unsigned i = PAGES / 4 * 3; i < PAGES; ++i) {
    page_make (page, PAGE_HALF, i);
    assert_int_equal (store_write (rig->store, page, PAGE_BYTES,
                                   (uint64_t) i * PAGE_BYTES, &first),
                      0);
  }
}

/* Whole pages, parts of pages and no pages, of each way of storing. */
static void
use_by_another (struct rig *rig)
{
  unsigned char page[PAGE_BYTES];

  for (unsigned i = 4000; i < 8000; ++i) {
    unsigned length = 1 + i * 37 % 4000;
    const struct store_placement *placement
        = i / 4 % 2 ? &second : &second_dense;

    switch (i % 4) {
    case 0:
      rig_write (rig, i, 1, (enum page_kind) (i / 4 % PAGE_KINDS), placement);
      break;
    case 1:
      page_make (page, PAGE_TEXT, i);
      assert_int_equal (store_write (rig->store, page, length,
                                     (uint64_t) i * PAGE_BYTES + 50, placement),
                        0);
      break;
    default: /* never written */
      break;
    }
  }
}

static void
check_another (struct rig *rig)
{
  unsigned char page[PAGE_BYTES], expected[PAGE_BYTES];

  rig_check (rig, 4000, 4000);
  for (unsigned i = 0; i < RIG_PAGES; ++i) {
    unsigned length = 1 + i * 37 % 4000;

    assert_int_equal (
        store_read (rig->store, page, PAGE_BYTES, (uint64_t) i * PAGE_BYTES),
        0);
    assert_false (has_secret (page, PAGE_BYTES));
    if (i < 4000 || i >= 8000 || i % 4 == 0)
      continue;
    memset (expected, 0, PAGE_BYTES);
    if (i % 4 == 1) {
      unsigned char text[PAGE_BYTES];

      page_make (text, PAGE_TEXT, i);
      memcpy (expected + 50, text, length);
    }
    assert_memory_equal (page, expected, PAGE_BYTES);
  }
}

static void
run (bool wipe, bool backed)
{
  struct rig *rig = rig_start (16 * MIB);

  store_set_wipe (rig->store, wipe);
  /* What is gone from memory then is gone because it was wiped. */
  atomic_store (&rig->store->arena.cannot_release, true);
  rig_add (rig, "disk", 1, 128);
  write_secrets (rig, 0, PAGES / 2, PAGE_BYTES);
  write_secrets (rig, PAGES / 2, PAGES / 2, 1000);
  assert_true (memory_has_secret (rig));
  if (backed)
    rig_command (rig, &RIG_ALL);
  free_secrets (rig);
  /* What shares a frame with pages that live is moved out of it. */
  store_compact (rig->store);
  if (!wipe && !backed) /* else other pages may have come to its place */
    assert_true (memory_has_secret (rig));
  use_by_another (rig);
  check_another (rig);
  rig_command (rig, &RIG_ALL);
  check_another (rig);
  /* Segments of the secrets that are sparse, but not worth cleaning, go when
   * what else is in them does.
   */
  assert_int_equal (store_trim (rig->store, store_size (rig->store), 0), 0);
  for (unsigned i = 0; i < RIG_PAGES; ++i)
    rig->pages[i].written = false;
  if (wipe)
    assert_false (memory_has_secret (rig));
  rig_stop (rig);
}

static void
test_in_memory (void **state)
{
  (void) state;
  run (false, false);
}

static void
test_on_backing (void **state)
{
  (void) state;
  run (false, true);
}

static void
test_wiped (void **state)
{
  (void) state;
  run (true, false);
  run (true, true);
}

/* One bit of a stored page changes. */
static void
damage (struct rig *rig, unsigned page, unsigned byte)
{
  slot_word word = slots_load (&rig->store->slots, page);
  struct segment *segment
      = store_segment (rig->store, (uint32_t) slot_segment (word));
  uint64_t frame = place_number (atomic_load (&segment->place));

  arena_frame (&rig->store->arena,
               (uint32_t) frame)[slot_units (word) * OBJECT_UNIT + byte]
      ^= 1;
}

static void
test_verified (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  unsigned char page[PAGE_BYTES], expected[PAGE_BYTES];

  (void) state;
  rig_write (rig, 0, 100, PAGE_RANDOM, &first);
  rig_write (rig, 100, 100, PAGE_TEXT, &first);
  rig_wait (atomic_load (&rig->store->cleaner.asleep));
  /* Without verify a raw page with another bit is read as it is. */
  damage (rig, 7, OBJECT_HEADER + 1000);
  page_make (expected, rig->pages[7].kind, rig->pages[7].seed);
  assert_int_equal (
      store_read (rig->store, page, PAGE_BYTES, 7 * (uint64_t) PAGE_BYTES), 0);
  assert_memory_not_equal (page, expected, PAGE_BYTES);

  store_set_verify (rig->store, true);
  damage (rig, 107, OBJECT_HEADER + 20);
  damage (rig, 108, 5);
  for (unsigned i = 0; i < 200; ++i) {
    int r
        = store_read (rig->store, page, PAGE_BYTES, (uint64_t) i * PAGE_BYTES);

    if (i == 7 || i == 107 || i == 108) {
      assert_int_equal (r, -1);
      assert_int_equal (errno, EIO);
    }
    else
      assert_int_equal (r, 0);
  }
  /* Nor is a part of it written, whereby the rest would seem right. */
  assert_int_equal (store_write (rig->store, secret, SECRET,
                                 107 * (uint64_t) PAGE_BYTES, &second),
                    -1);
  assert_int_equal (errno, EIO);
  /* Whole it may be. */
  rig_write (rig, 7, 1, PAGE_TEXT, &first);
  rig_write (rig, 107, 2, PAGE_HALF, &first);
  rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_in_memory),
    cmocka_unit_test (test_on_backing),
    cmocka_unit_test (test_wiped),
    cmocka_unit_test (test_verified),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
