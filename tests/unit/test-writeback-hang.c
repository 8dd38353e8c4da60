/* SPDX-License-Identifier: BSD-3-Clause */
/* A backing's server stops answering: requests end by their deadline, writers
 * go on or are refused, and when it answers again all its pages are there.
 */
#include "test.h"

#include <errno.h>
#include <time.h>

#include "far.h"
#include "policy/drain.h"
#include "store/room.h"

#define DEADLINE 4 /* seconds */
#define LONG_DEADLINE 120

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };
static const struct store_placement never = { .cgroup = 1, .prio = 1 };

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static bool
readable (struct rig *rig, unsigned page)
{
  unsigned char buffer[PAGE_BYTES];
  int r = store_read (rig->store, buffer, PAGE_BYTES,
                      (uint64_t) page * PAGE_BYTES);

  if (r == -1)
    assert_int_equal (errno, EIO);
  return r == 0;
}

static void
test_another_takes (void **state)
{
  struct rig *rig = rig_start (8 * MIB);
  struct config_writeback config = { .high = 60, .low = 40 };
  double start;

  (void) state;
  far_start (rig);
  far_add (rig, 1, DEADLINE);
  rig_add (rig, "near", 2, 128);
  rig_write (rig, 0, 200, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, 200, 0), 200);
  rig_write (rig, 200, 100, PAGE_HALF, &never);

  far_hang (rig);
  writeback_configure (rig->writeback, &config);
  start = now ();
  assert_false (readable (rig, 0));
  assert_true (now () - start < LONG_DEADLINE);
  rig_check (rig, 200, 100);
  /* Three times what the pool holds. */
  assert_int_equal (rig_write (rig, 300, 6000, PAGE_RANDOM, &usual), 6000);
  rig_check (rig, 200, 6100);
  assert_true (rig_count (rig, 300, 6000, 1) > 4000);
  assert_false (readable (rig, 199));

  far_resume ();
  rig_wait (readable (rig, 0));
  rig_check (rig, 0, 6300);
  rig_stop (rig);
  far_stop ();
}

static void
test_none_takes (void **state)
{
  struct rig *rig = rig_start (8 * MIB);
  struct config_writeback config = { .high = 60, .low = 40 };
  unsigned written = 300, before;
  double start;

  (void) state;
  far_start (rig);
  far_add (rig, 1, DEADLINE);
  rig_write (rig, 0, 200, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  rig_write (rig, 200, 100, PAGE_HALF, &never);

  far_hang (rig);
  writeback_configure (rig->writeback, &config);
  start = now ();
  written += rig_write (rig, 300, 4000, PAGE_RANDOM, &usual);
  assert_in_range (written, 1000, 4299);
  assert_true (now () - start < 15 * ROOM_WAIT_SECONDS);
  rig_check (rig, 200, written - 200);

  far_resume ();
  rig_wait (readable (rig, 0));
  before = written;
  rig_wait (
      (written += rig_write (rig, written, 4300 - written, PAGE_RANDOM, &usual))
      == 4300);
  assert_true (written > before);
  rig_check (rig, 0, 4300);
  rig_stop (rig);
  far_stop ();
}

/* It is drained as far as can be, and the rest when it answers again. */
static void
test_drain (void **state)
{
  struct rig *rig = rig_start (8 * MIB);
  unsigned far;

  (void) state;
  far_start (rig);
  far = far_add (rig, 1, DEADLINE);
  rig_write (rig, 0, 1000, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  far_hang (rig);
  rig_drain (rig, far, false);
  rig_wait (backing_state (rig->backings.list[far].backing) == BACKING_FAILED);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, 1000, (int) far), 1000);

  far_resume ();
  rig_wait (rig_count (rig, 0, 1000, RIG_MEMORY) == 1000);
  assert_int_equal (backing_extents_used (rig->backings.list[far].backing), 0);
  rig_stop (rig);
  far_stop ();
}

/* While one that is drained does not answer, pages are written back to another
 * one, and a third is drained; that one is closed when nobody may be using it.
 */
static void
test_others_go_on (void **state)
{
  struct rig *rig = rig_start (32 * MIB);
  struct tier_backing *list = rig->backings.list;
  unsigned far, near, third;

  (void) state;
  far_start (rig);
  far = far_add (rig, 1, LONG_DEADLINE);
  rig_write (rig, 0, 200, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, 200, (int) far), 200);
  third = rig_add (rig, "third", 2, 64);
  rig_write (rig, 200, 200, PAGE_RANDOM,
             &(struct store_placement){ .prio = 1, .writeback_prio = 2 });
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 200, 200, (int) third), 200);
  near = rig_add (rig, "near", 3, 64);

  far_hang (rig);
  rig_drain (rig, far, false);
  rig_wait (drain_at_work (rig->writeback));
  rig_write (rig, 400, 500, PAGE_RANDOM, &usual);
  rig_drain (rig, third, true);
  rig_command (rig, &RIG_ALL);
  rig_wait (rig_count (rig, 200, 700, (int) near) == 700);
  /* It still hangs. */
  assert_int_equal (backing_state (list[far].backing), BACKING_DRAINING);
  assert_true (drain_at_work (rig->writeback));
  assert_int_equal (rig_count (rig, 0, 200, (int) far), 200);

  far_resume ();
  rig_wait (rig_count (rig, 0, 200, (int) far) == 0);
  rig_wait (atomic_load (&list[third].backing) == NULL);
  rig_stop (rig);
  far_stop ();
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_another_takes),
    cmocka_unit_test (test_none_takes),
    cmocka_unit_test (test_drain),
    cmocka_unit_test (test_others_go_on),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
