/* SPDX-License-Identifier: BSD-3-Clause */
/* What demotion and writeback by size leave where it is keeps its age, and is
 * not tried again and again.
 */
#include "test.h"

#include <stdlib.h>

#include "rig.h"
#include "store/cleaner.h"
#include "store/mover.h"
#include "store/pick.h"

#define PAGES 600
#define DEMOTE_AGE 60
#define WRITE_AGE 180

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };

/* A rig with a backing, of which the cleaner rests, and pages of which every
 * third does not compress.
 */
static struct rig *
start (void)
{
  struct rig *rig = rig_start (32 * MIB);

  rig_add (rig, "one", 1, 64);
  rig_rest_cleaner (rig);
  for (unsigned i = 0; i < PAGES; ++i)
    rig_write (rig, i, 1, i % 3 ? PAGE_TEXT : PAGE_RANDOM, &usual);
  return rig;
}

static void
by_age (struct rig *rig)
{
  const struct config_writeback config
      = { .high = 100, .low = 99, .age = WRITE_AGE };

  writeback_set_demote_age (rig->writeback, 0, DEMOTE_AGE);
  writeback_configure (rig->writeback, &config);
  rig_settle (rig);
}

static bool
is_raw (unsigned page)
{
  return page % 3 == 0;
}

static struct segment *
segment_of (struct rig *rig, unsigned page)
{
  return store_segment (rig->store,
                        (uint32_t) slot_segment (rig_word (rig, page)));
}

static unsigned
tier_of (struct rig *rig, unsigned page)
{
  return owner_tier (atomic_load (&segment_of (rig, page)->owner));
}

static void
take_words (struct rig *rig, slot_word words[PAGES])
{
  for (unsigned i = 0; i < PAGES; ++i)
    words[i] = rig_word (rig, i);
}

/* How many pages are not where they were. */
static unsigned
moved (struct rig *rig, const slot_word words[PAGES])
{
  unsigned count = 0;

  for (unsigned i = 0; i < PAGES; ++i)
    count += rig_word (rig, i) != words[i];
  return count;
}

static void
check_tiers (struct rig *rig)
{
  for (unsigned i = 0; i < PAGES; ++i) {
    assert_int_equal (rig_where (rig, i), RIG_MEMORY);
    assert_int_equal (tier_of (rig, i), is_raw (i) ? 0 : 1);
  }
}

/* What the next tier would not make shorter is tried once, and is written back
 * when its time has come.
 */
static void
test_in_vain (void **state)
{
  struct rig *rig = start ();
  slot_word words[PAGES];

  (void) state;
  rig_age (rig, 0, PAGES, DEMOTE_AGE + 10);
  by_age (rig);
  check_tiers (rig);
  take_words (rig, words);
  /* Nothing is done about them now, nor when they have got older. */
  rig_age (rig, 0, PAGES, DEMOTE_AGE + 10);
  writeback_kick (rig->writeback);
  rig_settle (rig);
  assert_int_equal (moved (rig, words), 0);
  rig_age (rig, 0, PAGES, DEMOTE_AGE + 10);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, PAGES, 0), PAGES);
  rig_stop (rig);
}

/* The cleaner moves them, and still they are not tried again. */
static void
test_in_vain_and_cleaned (void **state)
{
  struct rig *rig = start ();
  slot_word words[PAGES];
  struct segment *was;

  (void) state;
  rig_age (rig, 0, PAGES, DEMOTE_AGE + 10);
  by_age (rig);
  check_tiers (rig);
  store_seal_cgroup (rig->store, 0);
  was = segment_of (rig, 0);
  take_words (rig, words);
  assert_true (segment_claim (rig->store, (uint32_t) slot_segment (words[0])));
  assert_int_equal (
      cleaner_empty (rig->store, (uint32_t) slot_segment (words[0]), NULL), 0);
  assert_true (segment_of (rig, 0) != was);
  store_seal_cgroup (rig->store, 0);
  take_words (rig, words);
  rig_age (rig, 0, PAGES, DEMOTE_AGE + 10);
  writeback_kick (rig->writeback);
  rig_settle (rig);
  assert_int_equal (moved (rig, words), 0);
  check_tiers (rig);
  rig_age (rig, 0, PAGES, WRITE_AGE);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, PAGES, 0), PAGES);
  rig_stop (rig);
}

/* A page that was read is young again, and those beside it are not. */
static void
test_read (void **state)
{
  struct rig *rig = start ();

  (void) state;
  for (unsigned i = 0; i < PAGES; i += 10)
    rig_check (rig, i, 1);
  rig_age (rig, 0, PAGES, DEMOTE_AGE + 10);
  by_age (rig);
  for (unsigned i = 0; i < PAGES; ++i)
    assert_int_equal (tier_of (rig, i), i % 10 == 0 || is_raw (i) ? 0 : 1);
  /* Not demoted before the others left: where those are, it would make them
   * younger.
   */
  writeback_set_demote_age (rig->writeback, 0, 0);
  rig_settle (rig);
  rig_age (rig, 0, PAGES, WRITE_AGE - DEMOTE_AGE + 10);
  rig_settle (rig);
  writeback_set_demote_age (rig->writeback, 0, DEMOTE_AGE);
  rig_settle (rig);
  for (unsigned i = 0; i < PAGES; ++i) {
    assert_int_equal (rig_where (rig, i), i % 10 == 0 ? RIG_MEMORY : 0);
    if (i % 10 == 0)
      assert_int_equal (tier_of (rig, i), is_raw (i) ? 0 : 1);
  }
  rig_stop (rig);
}

/* Write back by command what has at least so many bytes.  How many pages. */
static uint64_t
by_size (struct rig *rig, unsigned least)
{
  struct writeback_command command = RIG_ALL;

  command.least = least;
  return rig_command (rig, &command).pages;
}

/* What is too short for it keeps its age, and is looked at by the next one. */
static void
test_by_size (void **state)
{
  struct rig *rig = start ();
  unsigned raw = (PAGES + 2) / 3;

  (void) state;
  writeback_configure (
      rig->writeback,
      &(struct config_writeback){ .high = 100, .low = 99, .age = WRITE_AGE });
  rig_age (rig, 0, PAGES, WRITE_AGE - 50);
  for (unsigned i = 0; i < PAGES; i += 30)
    rig_check (rig, i, 1);
  raw -= PAGES / 30;
  assert_int_equal (by_size (rig, 3000), raw);
  assert_int_equal (by_size (rig, 4000), PAGES / 30);
  assert_int_equal (by_size (rig, 3000), 0);
  for (unsigned i = 0; i < PAGES; ++i)
    assert_int_equal (rig_where (rig, i), is_raw (i) ? 0 : RIG_MEMORY);
  rig_age (rig, 0, PAGES, 60);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, PAGES, 0), PAGES);
  rig_write (rig, 0, PAGES, PAGE_HALF, &usual);
  assert_int_equal (by_size (rig, 3000), 0);
  assert_int_equal (by_size (rig, 2000), PAGES);
  rig_stop (rig);
}

/* What the cleaner moves at that moment is passed over, by this one only. */
static void
test_by_size_and_cleaner (void **state)
{
  struct rig *rig = start ();
  uint64_t raw = (PAGES + 2) / 3, first;
  uint32_t claimed;

  (void) state;
  store_seal_cgroup (rig->store, 0);
  claimed = (uint32_t) slot_segment (rig_word (rig, 0));
  assert_true (segment_claim (rig->store, claimed));
  first = by_size (rig, 3000);
  assert_in_range (first, 1, raw - 1);
  assert_int_equal (cleaner_empty (rig->store, claimed, NULL), 0);
  assert_int_equal (by_size (rig, 3000), raw - first);
  for (unsigned i = 0; i < PAGES; ++i)
    assert_int_equal (rig_where (rig, i), is_raw (i) ? 0 : RIG_MEMORY);
  rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_in_vain),
    cmocka_unit_test (test_in_vain_and_cleaned),
    cmocka_unit_test (test_read),
    cmocka_unit_test (test_by_size),
    cmocka_unit_test (test_by_size_and_cleaner),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
