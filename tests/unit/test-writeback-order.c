/* SPDX-License-Identifier: BSD-3-Clause */
/* Writeback: which segment goes first, and what finding it costs. */
#include "test.h"

#include "rig.h"
#include "store/pick.h"

#define RAW 63 /* raw pages of a segment */

static struct store_placement
of_cgroup (unsigned cgroup)
{
  return (struct store_placement){ .cgroup = cgroup,
                                   .prio = 1,
                                   .writeback_prio = 1 };
}

/* Groups of pages, each a segment and a little more of its own cgroup. */
#define GROUP (RAW + 1)
#define GROUPS 5

static void
write_groups (struct rig *rig)
{
  for (unsigned i = 0; i < GROUPS; ++i) {
    const struct store_placement placement = of_cgroup (i);

    rig_write (rig, i * GROUP, GROUP, PAGE_RANDOM, &placement);
  }
}

static void
test_coldest_first (void **state)
{
  static const unsigned order[GROUPS] = { 3, 0, 4, 1, 2 };
  struct rig *rig = rig_start (16 * MIB);
  struct writeback_command command = RIG_ALL;

  (void) state;
  rig_add (rig, "one", 1, 64);
  write_groups (rig);
  for (unsigned i = 0; i < GROUPS; ++i)
    rig_age (rig, order[i] * GROUP, GROUP, 10 * (GROUPS - i));
  command.max = 1; /* one segment */
  for (unsigned i = 0; i < GROUPS; ++i) {
    assert_int_equal (rig_command (rig, &command).pages, RAW);
    for (unsigned j = 0; j < GROUPS; ++j)
      assert_int_equal (rig_count (rig, order[j] * GROUP, GROUP, 0),
                        j <= i ? RAW : 0);
  }
  rig_stop (rig);
}

static void
test_higher_prio_first (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  const struct store_placement first = { .prio = 1, .writeback_prio = 1 };
  const struct store_placement second = { .prio = 2, .writeback_prio = 1 };
  struct writeback_command command = RIG_ALL;

  (void) state;
  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, 3 * RAW, PAGE_RANDOM, &first);
  rig_write (rig, 3 * RAW, 3 * RAW, PAGE_RANDOM, &second);
  rig_age (rig, 0, 3 * RAW, 10);
  command.max = 2 * EXTENT_BYTES;
  assert_in_range (rig_command (rig, &command).pages, RAW, 3 * RAW);
  assert_int_equal (rig_count (rig, 0, 3 * RAW, 0), 0);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, 6 * RAW, 0), 6 * RAW);
  rig_stop (rig);
}

/* What was read since it was written stays, the first time. */
static void
test_read_since (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  const struct store_placement usual = of_cgroup (0);

  (void) state;
  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, 10 * RAW, PAGE_HALF, &usual);
  for (unsigned i = 0; i < 10 * RAW; i += 5)
    rig_check (rig, i, 1);
  /* As many segments as there are: those that stay are not looked at again. */
  assert_int_equal (rig_count (rig, 0, 10 * RAW, RIG_MEMORY), 10 * RAW);
  /* All at once: what is read stays in what is young and open. */
  rig_age (rig, 0, 10 * RAW, 100);
  writeback_configure (rig->writeback, &(struct config_writeback){
                                           .high = 100, .low = 99, .age = 60 });
  rig_settle (rig);
  for (unsigned i = 0; i < 10 * RAW; ++i)
    assert_int_equal (rig_where (rig, i), i % 5 ? 0 : RIG_MEMORY);

  rig_age (rig, 0, 10 * RAW, 100);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, 10 * RAW, 0), 10 * RAW);
  rig_stop (rig);
}

/* Segments looked at to pick one when so many pages are stored. */
static uint64_t
looked_at (unsigned pages)
{
  struct rig *rig = rig_start (64 * MIB);
  struct pick pick = {
    .tier = PICK_ANY, .cgroup = PICK_ANY, .classes = 2, .before = UINT32_MAX
  };
  uint64_t before;

  for (unsigned i = 0; i < 3; ++i) {
    const struct store_placement placement = of_cgroup (i);

    rig_write (rig, i * (pages / 3), pages / 3, PAGE_RANDOM, &placement);
  }
  before = atomic_load (&rig->store->looked);
  for (unsigned i = 0; i < 10; ++i) {
    uint32_t segment = pick_coldest (rig->store, &pick);

    assert_int_not_equal (segment, PICK_NONE);
    segment_drop (rig->store, segment, CONTROL_BUSY);
  }
  before = atomic_load (&rig->store->looked) - before;
  rig_stop (rig);
  return before;
}

static void
test_cost (void **state)
{
  uint64_t few = looked_at (1200), many = looked_at (12000);

  (void) state;
  assert_true (few >= 10);
  assert_true (many <= few);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_coldest_first),
    cmocka_unit_test (test_higher_prio_first),
    cmocka_unit_test (test_read_since),
    cmocka_unit_test (test_cost),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
