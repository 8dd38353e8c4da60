/* SPDX-License-Identifier: BSD-3-Clause */
/* What moves between memory and backings, and between tiers: packed, read
 * back, merged, drained, demoted; the contents stay.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "rig.h"
#include "store/mover.h"

#define RAW 63 /* raw pages of a segment */

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };

/* A command that finds nothing, after what goes by itself. */
static const struct writeback_command nothing = { .cgroup = 99, .tier = -1 };

static uint64_t
used (struct rig *rig, unsigned backing)
{
  return backing_extents_used (rig->backings.list[backing].backing);
}

/* From here on nothing is merged: more would be written than the day's limit
 * allows.  It may just be looking for what to merge, without the limit.
 */
static void
forbid_merging (struct rig *rig)
{
  writeback_configure (
      rig->writeback,
      &(struct config_writeback){ .high = 100, .low = 99, .limit = 4096 });
  rig_settle (rig);
}

/* Half of every segment is dead: that is not written. */
static void
test_dead_bytes (void **state)
{
  struct rig *rig = rig_start (64 * MIB);
  const struct store_placement never = { .prio = 1 };
  struct writeback_counters done;
  struct store_statistics s;

  (void) state;
  rig_add (rig, "one", 1, 256);
  /* No cleaner is to do it before. */
  rig_rest_cleaner (rig);
  rig_write (rig, 0, 6000, PAGE_HALF, &usual);
  for (unsigned i = 0; i < 6000; i += 2)
    rig_write (rig, i, 1, PAGE_HALF, &never);
  done = rig_command (rig, &RIG_ALL);
  rig_resume_cleaner (rig);
  assert_int_equal (done.pages, 3000);
  store_get_statistics (rig->store, &s);
  assert_int_equal (s.backings[0].pages, 3000);
  assert_true (done.bytes <= s.backings[0].compr_bytes / 100 * 105);
  rig_stop (rig);
}

static void
test_promote (void **state)
{
  struct rig *rig = rig_start (16 * MIB);

  (void) state;
  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, 600, PAGE_HALF, &usual);
  rig_command (rig, &RIG_ALL);
  rig_check (rig, 0, 200);
  assert_int_equal (rig_count (rig, 0, 600, 0), 600);

  store_set_promote (rig->store, 0, true);
  rig_check (rig, 0, 200);
  assert_int_equal (rig_count (rig, 0, 200, RIG_MEMORY), 200);
  assert_int_equal (rig_count (rig, 200, 400, 0), 400);
  store_set_promote (rig->store, 0, false);
  rig_stop (rig);
}

/* Of a backing that is nearly full most is dead, in each extent a little: then
 * it is merged, and there is room for more.
 */
static void
test_merge (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  const struct config_writeback config = { .high = 100, .low = 99 };

  (void) state;
  rig_add (rig, "one", 1, 32);
  rig_write (rig, 0, 32 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (used (rig, 0), 32);
  /* Not before all is trimmed, or it ends early: as soon as some are free. */
  forbid_merging (rig);
  for (unsigned i = 0; i < 32 * RAW; ++i)
    if (i % 4) {
      store_trim (rig->store, PAGE_BYTES, (uint64_t) i * PAGE_BYTES);
      rig->pages[i].written = false;
    }
  writeback_configure (rig->writeback, &config);
  rig_wait (used (rig, 0) <= 10 && rig_count (rig, 0, 32 * RAW, 0) >= 7 * RAW);
  rig_check (rig, 0, 32 * RAW);
  rig_write (rig, 32 * RAW, 20 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 32 * RAW, 20 * RAW, 0), 20 * RAW);
  rig_stop (rig);
}

/* Where merging gains nothing it ends: each cgroup has one extent of which
 * little is live, and all are so old that they leave memory at once.
 */
static void
test_merge_ends (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct config_writeback config = { .high = 100, .low = 99, .age = 5 };
  struct writeback_counters before, after;

  (void) state;
  rig_add (rig, "one", 1, 16);
  for (unsigned i = 0; i < 16; ++i) {
    const struct store_placement placement
        = { .cgroup = i, .prio = 1, .writeback_prio = 1 };

    rig_write (rig, i * 20, 20, PAGE_RANDOM, &placement);
  }
  rig_age (rig, 0, 320, 20);
  writeback_configure (rig->writeback, &config);
  rig_wait (rig_count (rig, 0, 320, 0) == 320);
  assert_int_equal (used (rig, 0), 16);
  /* They are counted a moment later, but before the next command. */
  rig_command (rig, &nothing);
  writeback_get_counters (rig->writeback, &before);
  for (unsigned i = 0; i < 10; ++i)
    rig_command (rig, &nothing);
  writeback_get_counters (rig->writeback, &after);
  assert_int_equal (after.bytes, before.bytes);
  rig_stop (rig);
}

/* Where memory has no room to merge in, nothing is fetched that could only be
 * written again as it is.
 */
static void
test_merge_without_room (void **state)
{
  const struct store_placement never = { .prio = 1 };
  const struct config_writeback config = { .high = 100, .low = 99, .age = 5 };
  struct rig *rig = rig_start (16 * MIB);
  struct writeback_counters before, after;
  unsigned filled;

  (void) state;
  /* The cleaner rests: it would make room. */
  rig_rest_cleaner (rig);
  rig_add (rig, "one", 1, 16);
  rig_write (rig, 0, 16 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (used (rig, 0), 16);
  forbid_merging (rig);
  for (unsigned i = 0; i < 16 * RAW; ++i)
    if (i % 4)
      rig_trim (rig, i);
  filled = rig_write (rig, 16 * RAW, 100 * RAW, PAGE_RANDOM, &never);
  assert_in_range (filled, 50 * RAW, 64 * RAW);
  rig_age (rig, 0, 16 * RAW, 20);

  writeback_get_counters (rig->writeback, &before);
  writeback_configure (rig->writeback, &config);
  for (unsigned i = 0; i < 100; ++i)
    rig_command (rig, &nothing);
  writeback_get_counters (rig->writeback, &after);
  assert_in_range (after.segments - before.segments, 0, 32);
  assert_int_equal (used (rig, 0), 16);
  /* Then there is some. */
  for (unsigned i = 16 * RAW; i < 16 * RAW + filled; ++i)
    rig_trim (rig, i);
  rig_wait ((writeback_kick (rig->writeback), used (rig, 0) <= 5));
  rig_stop (rig);
}

/* What may not be written any more today is not fetched to be merged. */
static void
test_merge_within_limit (void **state)
{
  struct rig *rig = rig_start (16 * MIB);

  (void) state;
  rig_add (rig, "one", 1, 16);
  rig_write (rig, 0, 16 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  forbid_merging (rig);
  for (unsigned i = 0; i < 16 * RAW; ++i)
    if (i % 4) {
      store_trim (rig->store, PAGE_BYTES, (uint64_t) i * PAGE_BYTES);
      rig->pages[i].written = false;
    }
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, 16 * RAW, RIG_MEMORY), 0);
  rig_stop (rig);
}

static void
drain (struct rig *rig, unsigned backing)
{
  rig_drain (rig, backing, false);
  rig_wait (used (rig, backing) == 0);
}

static void
test_drain_to_backing (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  unsigned one = rig_add (rig, "one", 1, 64), two;

  (void) state;
  rig_write (rig, 0, 40 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, 40 * RAW, (int) one), 40 * RAW);
  two = rig_add (rig, "two", 2, 64);
  drain (rig, one);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, 40 * RAW, (int) two), 40 * RAW);
  /* Nothing goes to it any more, until draining is called off. */
  rig_write (rig, 0, 10 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, 40 * RAW, (int) two), 40 * RAW);
  rig_check (rig, 0, 40 * RAW);
  backings_drain (&rig->backings, one, false, false);
  rig_write (rig, 0, 10 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, 10 * RAW, (int) one), 10 * RAW);
  rig_stop (rig);
}

static void
test_drain_to_memory (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  unsigned one = rig_add (rig, "one", 1, 64);

  (void) state;
  rig_write (rig, 0, 20 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, 20 * RAW, (int) one), 20 * RAW);
  drain (rig, one);
  assert_int_equal (rig_count (rig, 0, 20 * RAW, RIG_MEMORY), 20 * RAW);
  rig_stop (rig);
}

static uint32_t
segment_of (struct rig *rig, unsigned page)
{
  return (uint32_t) slot_segment (rig_word (rig, page));
}

/* Who knows a segment by its number alone may come late: somebody else has
 * written it already, or it is another one now.
 */
static void
test_claim_late (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  const struct store_placement never = { .prio = 1 };

  (void) state;
  rig_rest_cleaner (rig);
  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  rig_write (rig, 1000, RAW, PAGE_RANDOM, &usual);
  rig_write (rig, 2000, RAW, PAGE_RANDOM, &never);
  store_seal_cgroup (rig->store, 0);
  assert_int_equal (rig_where (rig, 0), 0);
  assert_false (mover_claim (rig->store, segment_of (rig, 0)));
  assert_false (mover_claim (rig->store, segment_of (rig, 2000)));
  assert_true (mover_claim (rig->store, segment_of (rig, 1000)));
  assert_false (mover_claim (rig->store, segment_of (rig, 1000)));
  mover_unclaim (rig->store, segment_of (rig, 1000));
  /* Nothing was left claimed. */
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 1000, RAW, 0), RAW);
  rig_stop (rig);
}

/* Pages of the first tier, by their cgroup's segments' owner. */
static unsigned
in_tier (struct rig *rig, unsigned first, unsigned count, unsigned tier)
{
  unsigned there = 0;

  for (unsigned i = first; i < first + count; ++i) {
    slot_word word = slots_load (&rig->store->slots, i);

    if (slot_is_object (word))
      there += owner_tier (atomic_load (
                   &store_segment (rig->store, (uint32_t) slot_segment (word))
                        ->owner))
               == tier;
  }
  return there;
}

/* Old pages are compressed again for the next tier where that gains
 * something, and the young and the incompressible stay.
 */
static void
test_demotion (void **state)
{
  struct rig *rig = rig_start (32 * MIB);
  const struct store_placement other = { .cgroup = 1, .prio = 1 };
  struct store_statistics before, after;
  struct writeback_counters counters;

  (void) state;
  rig_write (rig, 0, 1000, PAGE_TEXT, &usual);
  rig_write (rig, 1000, 1000, PAGE_TEXT, &other);
  rig_write (rig, 2000, 300, PAGE_RANDOM, &usual);
  store_get_statistics (rig->store, &before);
  rig_age (rig, 0, 1000, 100);
  rig_age (rig, 2000, 300, 100);
  writeback_set_demote_age (rig->writeback, 0, 50);
  rig_settle (rig);
  assert_int_equal (in_tier (rig, 0, 1000, 1), 1000);
  assert_int_equal (in_tier (rig, 2000, 300, 0), 300);
  store_get_statistics (rig->store, &after);
  assert_true (after.compr_bytes < before.compr_bytes);
  writeback_get_counters (rig->writeback, &counters);
  assert_in_range (counters.pages_demoted, 1000, 2000);
  rig_check (rig, 0, 2300);
  rig_stop (rig);
}

static uint64_t
reads_of (struct rig *rig, unsigned backing)
{
  struct backing_counters counters;

  backing_get_counters (rig->backings.list[backing].backing, &counters);
  return counters.read_ios;
}

/* A request holds a segment for each of its pages, but not where so many hold
 * it already that these would not fit in: then they are read one by one.
 */
static void
test_many_holds (void **state)
{
  static unsigned char there[20 * PAGE_BYTES], back[20 * PAGE_BYTES];
  const uint64_t many = 4096 * CONTROL_HOLD;
  struct rig *rig = rig_start (16 * MIB);
  unsigned one = rig_add (rig, "one", 1, 64);
  struct segment *segment;
  uint64_t before, reads;

  (void) state;
  rig_write (rig, 0, RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, RAW, (int) one), RAW);
  assert_int_equal (segment_of (rig, 0), segment_of (rig, 19));
  segment = store_segment (rig->store, segment_of (rig, 0));
  before = reads_of (rig, one);
  assert_int_equal (store_read (rig->store, there, sizeof there, 0), 0);
  reads = reads_of (rig, one) - before;
  assert_in_range (reads, 1, 19);

  atomic_fetch_add (&segment->control, many);
  before = reads_of (rig, one);
  assert_int_equal (store_read (rig->store, back, sizeof back, 0), 0);
  assert_int_equal (reads_of (rig, one) - before, 20);
  assert_memory_equal (back, there, sizeof there);
  assert_int_equal (control_holds (atomic_load (&segment->control)), 4096);
  atomic_fetch_sub (&segment->control, many);
  rig_check (rig, 0, RAW);
  rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_dead_bytes),
    cmocka_unit_test (test_promote),
    cmocka_unit_test (test_merge),
    cmocka_unit_test (test_merge_ends),
    cmocka_unit_test (test_merge_without_room),
    cmocka_unit_test (test_merge_within_limit),
    cmocka_unit_test (test_drain_to_backing),
    cmocka_unit_test (test_drain_to_memory),
    cmocka_unit_test (test_claim_late),
    cmocka_unit_test (test_demotion),
    cmocka_unit_test (test_many_holds),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
