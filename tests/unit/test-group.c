/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups: neighbouring pages that are compressed together when they are
 * demoted, read alone and together, overwritten, cleaned, written back.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"
#include "store/check.h"
#include "store/pick.h"
#include "store/worker.h"

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };

/* A rig of which the cleaner rests: what is dead stays, and no segment that
 * shall move is claimed.
 */
static struct rig *
start (void)
{
  struct rig *rig = rig_start (32 * MIB);

  rig_rest_cleaner (rig);
  return rig;
}

/* Pages that share the object of one, 0 if it has none. */
static unsigned
group_at (struct rig *rig, unsigned page)
{
  slot_word word = rig_word (rig, page);

  return slot_is_object (word) ? slot_pages (word) : 0;
}

static unsigned
tier_at (struct rig *rig, unsigned page)
{
  uint32_t segment = (uint32_t) slot_segment (rig_word (rig, page));

  return owner_tier (atomic_load (&store_segment (rig->store, segment)->owner));
}

/* Demote a range out of TIER, up to so many pages together. */
static void
demote (struct rig *rig, unsigned tier, unsigned first, unsigned count,
        unsigned group)
{
  const struct pick all = { .tier = PICK_ANY,
                            .cgroup = PICK_ANY,
                            .classes = (1u << STORE_CLASSES) - 1,
                            .before = UINT32_MAX };

  rig_age (rig, first, count, 100);
  store_set_tier_group (rig->store, tier + 1, group);
  writeback_set_demote_age (rig->writeback, tier, 50);
  rig_settle (rig);
  writeback_set_demote_age (rig->writeback, tier, 0);
  /* What stays the next time does not make it younger. */
  pick_seal (rig->store, &all);
}

static void
write_and_demote (struct rig *rig, unsigned first, unsigned count,
                  unsigned group)
{
  assert_int_equal (rig_write (rig, first, count, PAGE_TEXT, &usual), count);
  demote (rig, 0, first, count, group);
  for (unsigned i = first; i < first + count; ++i)
    assert_int_equal (tier_at (rig, i), 1);
}

/* Everything in one request, from any page of a group to any. */
static void
check_ranges (struct rig *rig, unsigned first, unsigned count)
{
  unsigned char *back = malloc (count * PAGE_BYTES), expected[PAGE_BYTES];

  assert_non_null (back);
  for (unsigned skip = 0; skip < 4; ++skip) {
    unsigned pages = count - 2 * skip;

    assert_int_equal (store_read (rig->store, back, pages * PAGE_BYTES,
                                  (uint64_t) (first + skip) * PAGE_BYTES),
                      0);
    for (unsigned i = 0; i < pages; ++i) {
      page_make (expected, rig->pages[first + skip + i].kind,
                 rig->pages[first + skip + i].seed);
      assert_memory_equal (back + i * PAGE_BYTES, expected, PAGE_BYTES);
    }
  }
  free (back);
}

/* Was a page read that shares an object with this one? */
static bool
read_with (struct rig *rig, unsigned page)
{
  for (unsigned i = page / 4 * 4; i < page / 4 * 4 + 4; ++i)
    if (rig_word (rig, i) == rig_word (rig, page)
        && slots_load (&rig->store->slots, i) & SLOT_REFERENCED)
      return true;
  return false;
}

/* Each group has as many live pages as it was made of. */
static void
all_whole (struct rig *rig, unsigned first, unsigned count)
{
  for (unsigned i = first; i < first + count; ++i) {
    unsigned group = group_at (rig, i), members = 0;

    for (unsigned j = i / 4 * 4; j < i / 4 * 4 + 4; ++j)
      members += rig_word (rig, j) == rig_word (rig, i);
    if (group > 0)
      assert_int_equal (members, group);
  }
}

/* Groups of 1 to 4: the larger, the less they take.  Neighbours that are in two
 * segments are not found.
 */
static void
test_sizes (void **state)
{
  static const unsigned expected[4][4]
      = { { 1, 1, 1, 1 }, { 2, 2, 2, 2 }, { 3, 3, 3, 1 }, { 4, 4, 4, 4 } };
  uint64_t last = UINT64_MAX;

  (void) state;
  for (unsigned group = 1; group <= 4; ++group) {
    struct rig *rig = start ();
    unsigned as_expected = 0;
    struct store_statistics s;

    write_and_demote (rig, 0, 1000, group);
    for (unsigned i = 0; i < 1000; ++i)
      as_expected += group_at (rig, i) == expected[group - 1][i % 4];
    assert_in_range (as_expected, group == 1 ? 1000 : 900, 1000);
    all_whole (rig, 0, 1000);
    store_get_statistics (rig->store, &s);
    assert_int_equal (s.tiers[1].pages, 1000);
    assert_true (s.compr_bytes < last);
    last = s.compr_bytes;
    check_ranges (rig, 0, 1000);
    rig_stop (rig);
  }
}

/* What does not compress is not grouped, and what has no object is passed
 * over.
 */
static void
test_neighbours (void **state)
{
  struct rig *rig = start ();

  (void) state;
  for (unsigned i = 0; i < 80; i += 4) {
    rig_write (rig, i, 1, PAGE_TEXT, &usual);
    rig_write (rig, i + 1, 1, i % 8 ? PAGE_ZERO : PAGE_WIDE, &usual);
    rig_write (rig, i + 2, 1, PAGE_POINTERS, &usual);
    rig_write (rig, i + 3, 1, PAGE_RANDOM, &usual);
  }
  rig_write (rig, 85, 2, PAGE_TEXT, &usual);
  rig_write (rig, 87, 2, PAGE_TEXT, &usual);
  demote (rig, 0, 0, 90, 4);
  for (unsigned i = 0; i < 80; i += 4) {
    assert_int_equal (group_at (rig, i), 2);
    assert_int_equal (group_at (rig, i + 1), 0);
    assert_true (rig_word (rig, i + 2) == rig_word (rig, i));
    assert_int_equal (group_at (rig, i + 3), 1);
    assert_int_equal (tier_at (rig, i + 3), 0);
  }
  assert_int_equal (group_at (rig, 84), 0);
  for (unsigned i = 85; i < 88; ++i)
    assert_int_equal (group_at (rig, i), 3);
  assert_int_equal (group_at (rig, 88), 1);
  check_ranges (rig, 0, 80);
  rig_stop (rig);
}

/* Written in any order: neighbours are found. */
static void
test_shuffled (void **state)
{
  struct rig *rig = start ();

  (void) state;
  for (unsigned i = 0; i < 100; ++i)
    rig_write (rig, i * 37 % 100, 1, PAGE_TEXT, &usual);
  demote (rig, 0, 0, 100, 4);
  for (unsigned i = 0; i < 100; ++i)
    assert_int_equal (group_at (rig, i), 4);
  rig_stop (rig);
}

/* A page that was read is not demoted; its neighbours are. */
static void
test_read_since (void **state)
{
  struct rig *rig = start ();

  (void) state;
  rig_write (rig, 0, 100, PAGE_TEXT, &usual);
  for (unsigned i = 0; i < 100; i += 4)
    rig_check (rig, i + 1, 1);
  demote (rig, 0, 0, 100, 4);
  for (unsigned i = 0; i < 100; i += 4) {
    assert_int_equal (group_at (rig, i), 3);
    assert_int_equal (tier_at (rig, i + 1), 0);
  }
  rig_stop (rig);
}

/* One page of a group goes, in whatever way: its share goes with it, and the
 * others are there.
 */
static void
test_one_goes (void **state)
{
  struct rig *rig = start ();
  struct store_statistics before, after;
  unsigned char part[100];
  uint64_t share = 0;

  (void) state;
  write_and_demote (rig, 0, 400, 4);
  store_get_statistics (rig->store, &before);
  for (unsigned i = 0; i < 400; i += 4) {
    share += slot_length (rig_word (rig, i));
    rig_trim (rig, i + i / 4 % 4);
  }
  store_get_statistics (rig->store, &after);
  assert_int_equal (after.tiers[1].pages, before.tiers[1].pages - 100);
  assert_int_equal (after.compr_bytes, before.compr_bytes - share);
  for (unsigned i = 0; i < 400; i += 4)
    rig_write (rig, i + (i / 4 + 1) % 4, 1, PAGE_HALF, &usual);

  /* A part of a page of a group. */
  memset (part, 'x', sizeof part);
  assert_int_equal (
      store_write (rig->store, part, sizeof part, 2 * PAGE_BYTES + 50, &usual),
      0);
  assert_int_equal (
      store_read (rig->store, part, sizeof part, 2 * PAGE_BYTES + 100), 0);
  assert_memory_equal (part, "xxxx", 4);
  assert_true (part[99] != 'x');
  assert_int_equal (group_at (rig, 2), 1);
  rig_write (rig, 2, 1, PAGE_TEXT, &usual);

  rig_check (rig, 0, 400);
  check_ranges (rig, 0, 400);
  /* The last ones: nothing of their segments is left. */
  for (unsigned i = 0; i < 400; ++i)
    rig_trim (rig, i);
  store_get_statistics (rig->store, &after);
  assert_int_equal (after.tiers[1].pages, 0);
  rig_stop (rig);
}

/* Groups that have lost pages are made anew by the cleaner: TOGETHER, or each
 * page alone.
 */
static void
clean (bool together)
{
  struct rig *rig = start ();
  struct worker *worker = worker_get (rig->store);
  unsigned groups = 0;

  write_and_demote (rig, 0, 4000, 4);
  for (unsigned i = 0; i < 4000; i += 4)
    for (unsigned j = 0; j < i / 4 % 5; ++j)
      rig_trim (rig, i + (i + j) % 4);
  assert_non_null (worker);
  worker->groups = together;
  store_compact (rig->store);
  all_whole (rig, 0, 4000);
  for (unsigned i = 0; i < 4000; ++i)
    groups += i / 4 % 5 > 0 && group_at (rig, i) > 1;
  /* 3 and 2 are left of each 200, but for neighbours in two segments. */
  if (together)
    assert_in_range (groups, 900, 1000);
  else
    assert_in_range (groups, 0, 100);
  check_ranges (rig, 0, 4000);
  rig_stop (rig);
}

static void
test_cleaned_together (void **state)
{
  (void) state;
  clean (true);
}

static void
test_cleaned_alone (void **state)
{
  (void) state;
  clean (false);
}

/* Groups go to a backing as they are, are read from there, and come back one
 * page at a time, or all together.
 */
static void
test_writeback (void **state)
{
  struct rig *rig = start ();
  const struct writeback_command command = RIG_ALL;

  (void) state;
  rig_add (rig, "one", 1, 64);
  write_and_demote (rig, 0, 1000, 4);
  for (unsigned i = 0; i < 1000; i += 8)
    rig_trim (rig, i + 5);
  rig_command (rig, &command);
  assert_int_equal (rig_count (rig, 0, 1000, 0), 875);
  all_whole (rig, 0, 1000);
  assert_int_equal (group_at (rig, 0), 4);
  check_ranges (rig, 0, 1000);
  /* Groups on a backing that lose pages. */
  for (unsigned i = 0; i < 1000; i += 8)
    rig_trim (rig, i + 1);
  rig_check (rig, 0, 1000);
  check_ranges (rig, 0, 1000);

  store_set_promote (rig->store, 0, true);
  rig_check (rig, 0, 8);
  assert_int_equal (rig_count (rig, 0, 8, RIG_MEMORY), 6);
  assert_int_equal (group_at (rig, 0), 1);
  assert_int_equal (tier_at (rig, 0), 1);
  store_set_promote (rig->store, 0, false);

  rig_drain (rig, 0, false);
  rig_wait (rig_count (rig, 0, 1000, 0) == 0);
  check_ranges (rig, 0, 1000);
  rig_stop (rig);
}

/* A group stays in memory if one of its pages was read, for that time. */
static void
test_read_before_writeback (void **state)
{
  struct rig *rig = start ();
  bool stays[400];
  unsigned staying = 0;

  (void) state;
  rig_add (rig, "one", 1, 64);
  write_and_demote (rig, 0, 400, 4);
  for (unsigned i = 0; i < 400; i += 8)
    rig_check (rig, i + 2, 1);
  rig_trim (rig, 3);
  for (unsigned i = 0; i < 400; ++i)
    staying += stays[i] = i != 3 && read_with (rig, i);
  assert_in_range (staying, 150, 200);
  writeback_configure (rig->writeback, &(struct config_writeback){
                                           .high = 100, .low = 99, .age = 60 });
  /* They are old: demotion does not make them younger. */
  rig_settle (rig);
  for (unsigned i = 0; i < 400; ++i)
    if (i != 3)
      assert_int_equal (rig_where (rig, i), stays[i] ? RIG_MEMORY : 0);
  all_whole (rig, 0, 400);
  rig_age (rig, 0, 400, 100);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, 400, 0), 399);
  rig_stop (rig);
}

/* Damage the object of PAGE on the first backing. */
static void
damage (struct rig *rig, unsigned page)
{
  slot_word word = rig_word (rig, page);
  uint64_t place = atomic_load (
      &store_segment (rig->store, (uint32_t) slot_segment (word))->place);
  char path[128];
  unsigned char byte;
  off_t at = (off_t) (place_number (place) * EXTENT_BYTES
                      + slot_units (word) * OBJECT_UNIT + 100);
  int file;

  assert_int_equal (place_backing (place), 0);
  snprintf (path, sizeof path, "%s/one", rig->folder);
  file = open (path, O_RDWR);
  assert_int_not_equal (file, -1);
  assert_int_equal (pread (file, &byte, 1, at), 1);
  byte ^= 1;
  assert_int_equal (pwrite (file, &byte, 1, at), 1);
  assert_int_equal (fsync (file), 0);
  close (file);
}

/* What came back wrong is an error for all pages of the group, and for no
 * others.
 */
static void
test_checksum (void **state)
{
  struct rig *rig = start ();
  const struct writeback_command command = RIG_ALL;
  unsigned char pages[12 * PAGE_BYTES];
  struct store_statistics s;

  (void) state;
  rig_add (rig, "one", 1, 64);
  write_and_demote (rig, 0, 400, 4);
  rig_command (rig, &command);
  damage (rig, 8);
  for (unsigned i = 8; i < 12; ++i) {
    errno = 0;
    assert_int_equal (
        store_read (rig->store, pages, PAGE_BYTES, (uint64_t) i * PAGE_BYTES),
        -1);
    assert_int_equal (errno, EIO);
  }
  assert_int_equal (
      store_read (rig->store, pages, sizeof pages, 4 * PAGE_BYTES), -1);
  store_get_statistics (rig->store, &s);
  assert_int_equal (s.backings[0].checksum_errors, 8);
  rig_check (rig, 0, 8);
  rig_check (rig, 12, 388);
  for (unsigned i = 8; i < 12; ++i)
    rig_trim (rig, i);
  rig_stop (rig);
}

/* From a tier with groups on into another one. */
static void
test_two_steps (void **state)
{
  static const struct store_tier_options third = { 3, { CODEC_ZSTD, 12 }, 0 };
  struct rig *rig = start ();
  bool stays[800];
  unsigned demoted = 0;

  (void) state;
  assert_int_equal (store_add_tier (rig->store, &third), 0);
  write_and_demote (rig, 0, 800, 4);
  for (unsigned i = 0; i < 800; i += 8)
    rig_trim (rig, i);
  for (unsigned i = 0; i < 800; i += 16)
    rig_check (rig, i + 1, 1);
  for (unsigned i = 0; i < 800; ++i)
    stays[i] = read_with (rig, i);
  demote (rig, 1, 0, 800, 2);
  for (unsigned i = 0; i < 800; ++i)
    if (i % 8 > 0 && tier_at (rig, i) == 2) {
      assert_false (stays[i]);
      assert_in_range (group_at (rig, i), 1, 2);
      demoted++;
    }
  assert_in_range (demoted, 100, 650);
  all_whole (rig, 0, 800);
  check_ranges (rig, 0, 800);
  rig_stop (rig);
}

/* Change a bit of the object of PAGE in memory. */
static void
damage_memory (struct rig *rig, unsigned page, unsigned byte)
{
  slot_word word = rig_word (rig, page);
  uint64_t place = atomic_load (
      &store_segment (rig->store, (uint32_t) slot_segment (word))->place);

  assert_true (place_is_frame (place));
  arena_frame (
      &rig->store->arena,
      (uint32_t) place_number (place))[slot_units (word) * OBJECT_UNIT + byte]
      ^= 1;
}

/* A damaged page reads as an error, alone and beside others. */
static void
check_damaged (struct rig *rig, unsigned page)
{
  static unsigned char pages[4 * PAGE_BYTES];
  uint64_t offset = (uint64_t) page * PAGE_BYTES;

  errno = 0;
  assert_int_equal (store_read (rig->store, pages, PAGE_BYTES, offset), -1);
  assert_int_equal (errno, EIO);
  assert_int_equal (store_read (rig->store, pages, sizeof pages,
                                (page / 4 * 4) * (uint64_t) PAGE_BYTES),
                    -1);
  /* Nor is a part of it written, whereby the rest would seem right. */
  errno = 0;
  assert_int_equal (store_write (rig->store, "x", 1, offset + 7, &usual), -1);
  assert_int_equal (errno, EIO);
}

/* With verify a group that was damaged in memory is not read, and is not made
 * anew, which would hide it: when it is cleaned, whole and in part, and
 * demoted.
 */
static void
test_verified (void **state)
{
  static const struct store_tier_options third = { 3, { CODEC_ZSTD, 12 }, 0 };
  /* In the stored bytes, and in the checksum. */
  static const unsigned bytes[] = { OBJECT_HEADER + 100, 5 };

  (void) state;
  for (unsigned k = 0; k < 2; ++k) {
    struct rig *rig = start ();

    assert_int_equal (store_add_tier (rig->store, &third), 0);
    store_set_verify (rig->store, true);
    worker_get (rig->store)->groups = true;
    write_and_demote (rig, 0, 400, 4);
    assert_int_equal (group_at (rig, 8), 4);
    assert_int_equal (group_at (rig, 200), 4);
    damage_memory (rig, 8, bytes[k]);
    damage_memory (rig, 200, bytes[k]);
    for (unsigned i = 8; i < 12; ++i)
      check_damaged (rig, i);
    /* One page of it goes, and much besides: it is cleaned. */
    for (unsigned i = 0; i < 400; i += 4)
      if (i != 200)
        rig_trim (rig, i + 1);
    store_compact (rig->store);
    check_damaged (rig, 8);
    check_damaged (rig, 10);
    /* Nor does the next tier take it. */
    demote (rig, 1, 0, 400, 4);
    assert_int_equal (tier_at (rig, 12), 2);
    check_damaged (rig, 10);
    check_damaged (rig, 11);
    for (unsigned i = 200; i < 204; ++i) {
      assert_int_equal (tier_at (rig, i), 1);
      check_damaged (rig, i);
      rig_trim (rig, i);
    }
    for (unsigned i = 8; i < 12; ++i)
      rig_trim (rig, i);
    check_ranges (rig, 12, 388);
    rig_stop (rig);
  }
}

/* A page alone that was damaged is in no group. */
static void
test_verified_alone (void **state)
{
  struct rig *rig = start ();

  (void) state;
  store_set_verify (rig->store, true);
  rig_write (rig, 0, 100, PAGE_TEXT, &usual);
  rig_write (rig, 100, 8, PAGE_RANDOM, &usual);
  damage_memory (rig, 9, OBJECT_HEADER + 20);
  damage_memory (rig, 101, OBJECT_HEADER + 20);
  demote (rig, 0, 0, 108, 4);
  for (unsigned i = 0; i < 100; ++i)
    assert_int_equal (tier_at (rig, i), i == 9 ? 0 : 1);
  assert_int_equal (group_at (rig, 8), 3);
  check_damaged (rig, 9);
  check_damaged (rig, 101);
  rig_trim (rig, 9);
  rig_trim (rig, 101);
  check_ranges (rig, 0, 108);
  rig_stop (rig);
}

/* Without verify memory is trusted, but not with what a group's header says:
 * that leads nowhere beyond it.
 */
static void
test_other_header (void **state)
{
  struct rig *rig = start ();
  unsigned char page[PAGE_BYTES];

  (void) state;
  write_and_demote (rig, 0, 400, 4);
  for (unsigned byte = 8; byte <= OBJECT_HEADER; ++byte) {
    damage_memory (rig, 8, byte);
    errno = 0;
    assert_int_equal (store_read (rig->store, page, PAGE_BYTES, 8 * PAGE_BYTES),
                      -1);
    assert_int_equal (errno, EIO);
    damage_memory (rig, 8, byte);
  }
  rig_check (rig, 0, 400);
  rig_stop (rig);
}

/* The check of all tables sees a group of which a page is wrong. */
static void
test_check (void **state)
{
  struct rig *rig = start ();
  struct store_check check = { .patience = 1 };

  (void) state;
  write_and_demote (rig, 0, 400, 4);
  rig_trim (rig, 9);
  assert_int_equal (store_check_live (rig->store, &check), 0);
  assert_int_equal (check.pages, 399);
  damage_memory (rig, 8, OBJECT_HEADER + 100);
  assert_int_equal (store_check_live (rig->store, &check), -1);
  assert_non_null (strstr (check.wrong, "checksum"));
  damage_memory (rig, 8, OBJECT_HEADER + 100);
  damage_memory (rig, 8, OBJECT_HEADER);
  assert_int_equal (store_check_live (rig->store, &check), -1);
  assert_non_null (strstr (check.wrong, "another slot's object"));
  damage_memory (rig, 8, OBJECT_HEADER);
  /* A word of a page that is no member. */
  rig->store->slots.words[9] = rig->store->slots.words[4];
  assert_int_equal (store_check_live (rig->store, &check), -1);
  assert_non_null (strstr (check.wrong, "another slot's object"));
  rig->store->slots.words[9] = 0;
  assert_int_equal (store_check_live (rig->store, &check), 0);
  rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_sizes),
    cmocka_unit_test (test_neighbours),
    cmocka_unit_test (test_shuffled),
    cmocka_unit_test (test_read_since),
    cmocka_unit_test (test_one_goes),
    cmocka_unit_test (test_cleaned_together),
    cmocka_unit_test (test_cleaned_alone),
    cmocka_unit_test (test_writeback),
    cmocka_unit_test (test_read_before_writeback),
    cmocka_unit_test (test_checksum),
    cmocka_unit_test (test_two_steps),
    cmocka_unit_test (test_verified),
    cmocka_unit_test (test_verified_alone),
    cmocka_unit_test (test_other_header),
    cmocka_unit_test (test_check),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
