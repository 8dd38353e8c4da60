/* SPDX-License-Identifier: BSD-3-Clause */
/* A backing hangs with writes in flight, long before their deadline: what else
 * writeback has to do goes on, and whatever becomes of them in the end, nothing
 * is lost and all is counted.
 */
#include "test.h"

#include <errno.h>

#include "backing/internal.h"
#include "far.h"
#include "policy/pass.h"

#define LONG_DEADLINE 600 /* seconds: the tests end before */
#define RAW 63            /* raw pages of a segment */

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };
static const struct store_placement never = { .cgroup = 1, .prio = 1 };
static unsigned far, near;

/* A backing that is about to hang, and beside it one of this prio (0: none). */
static struct rig *
start (uint64_t pool_limit, unsigned prio)
{
  struct rig *rig = rig_start (pool_limit);

  far_start (rig);
  far = far_add (rig, 1, LONG_DEADLINE);
  if (prio)
    near = rig_add (rig, "near", prio, 128);
  far_hang (rig);
  return rig;
}

static uint64_t
in_flight (struct rig *rig)
{
  return atomic_load (&rig->writeback->writing);
}

/* Writes to it have not ended. */
static bool
hangs (struct rig *rig)
{
  struct backing *backing = rig->backings.list[far].backing;
  struct backing_counters counters;

  backing_get_counters (backing, &counters);
  return in_flight (rig) > 0 && backing_extents_used (backing) > 0
         && counters.written_bytes == 0 && counters.io_errors == 0
         && backing_state (backing) == BACKING_ONLINE;
}

enum ending { COMES_BACK, FAILS };

/* What is in flight ends so or so: it is counted where it arrived. */
static void
end (struct rig *rig, enum ending ending)
{
  struct writeback_counters moved;
  struct backing_counters there, all = { 0 };
  struct store_statistics s;

  assert_true (hangs (rig));
  if (ending == COMES_BACK)
    far_resume ();
  else
    far_stop ();
  rig_wait (in_flight (rig) == 0);
  rig_settle (rig);
  writeback_get_counters (rig->writeback, &moved);
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct backing *backing = atomic_load (&rig->backings.list[i].backing);

    if (!backing)
      continue;
    backing_get_counters (backing, &there);
    all.written_bytes += there.written_bytes;
    all.write_ios += there.write_ios;
  }
  assert_int_equal (moved.bytes, all.written_bytes);
  assert_int_equal (moved.segments, all.write_ios);
  assert_int_equal (atomic_load (&rig->writeback->spent), moved.bytes);
  store_get_statistics (rig->store, &s);
  assert_int_equal (rig_count (rig, 0, RIG_PAGES, (int) far),
                    s.backings[far].pages);
  assert_true ((s.backings[far].pages > 0) == (ending == COMES_BACK));
  rig_stop (rig);
  if (ending == COMES_BACK)
    far_stop ();
}

/* Writers get room, three times what the pool holds. */
static void
pressure (unsigned prio, enum ending ending)
{
  struct config_writeback config = { .high = 60, .low = 40 };
  struct rig *rig = start (8 * MIB, prio);

  writeback_configure (rig->writeback, &config);
  assert_int_equal (rig_write (rig, 0, 6000, PAGE_RANDOM, &usual), 6000);
  assert_true (rig_count (rig, 0, 6000, (int) near) > 4000);
  /* What hangs does not count as gone: as much as is to leave, leaves. */
  rig_wait (store_memory_used (rig->store) <= 8 * MIB / 100 * 60);
  end (rig, ending);
}

static void
test_next_prio (void **state)
{
  (void) state;
  pressure (2, COMES_BACK);
  pressure (2, FAILS);
}

static void
test_same_prio (void **state)
{
  (void) state;
  pressure (1, COMES_BACK);
  pressure (1, FAILS);
}

/* Pages of another class have their own backing, which is not waited for. */
static void
test_other_class (void **state)
{
  const struct store_placement second = { .prio = 1, .writeback_prio = 2 };
  struct rig *rig = start (32 * MIB, 2);

  (void) state;
  /* The only one that pages of class 3 may go to. */
  rig->backings.list[far].prio = 3;
  rig_write (rig, 0, 30 * RAW, PAGE_RANDOM,
             &(struct store_placement){ .prio = 1, .writeback_prio = 3 });
  writeback_configure (rig->writeback,
                       &(struct config_writeback){ .high = 10, .low = 5 });
  rig_wait (in_flight (rig) > 0);
  rig_write (rig, 2000, 1000, PAGE_RANDOM, &second);
  rig_wait (rig_count (rig, 2000, 1000, (int) near) > 900);
  assert_true (hangs (rig));
  /* No more than its share. */
  assert_int_equal (backing_extents_used (rig->backings.list[far].backing),
                    MOVER_SHARE);
  end (rig, COMES_BACK);
}

/* Let relief give it something that it keeps, and rest again. */
static void
occupy (struct rig *rig)
{
  writeback_configure (rig->writeback,
                       &(struct config_writeback){ .high = 2, .low = 1 });
  rig_wait (in_flight (rig) > 0);
  writeback_configure (rig->writeback,
                       &(struct config_writeback){ .high = 100, .low = 99 });
}

/* A command is done with what it moved, and counts nothing else. */
static void
command (enum ending ending)
{
  struct rig *rig = start (32 * MIB, 2);
  struct writeback_counters done;
  unsigned before;

  rig_write (rig, 0, 300, PAGE_RANDOM, &usual);
  occupy (rig);
  rig_settle (rig);
  before = rig_count (rig, 0, RIG_PAGES, (int) near);
  rig_write (rig, 1000, 500, PAGE_RANDOM, &usual);
  done = rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 1000, 500, (int) near), 500);
  assert_int_equal (done.pages,
                    rig_count (rig, 0, RIG_PAGES, (int) near) - before);
  end (rig, ending);
}

static void
test_command (void **state)
{
  (void) state;
  command (COMES_BACK);
  command (FAILS);
}

struct commanding {
  struct rig *rig;
  struct writeback_command command;
  struct writeback_counters done;
  int error;
  _Atomic bool ended;
};

static void *
run_command (void *data)
{
  struct commanding *c = data;

  c->error = writeback_run (c->rig->writeback, &c->command, &c->done) == -1
                 ? errno
                 : 0;
  atomic_store (&c->ended, true);
  return NULL;
}

/* One whose own writes hang ends with them, and what has to be done for others
 * is done before.
 */
static void
own_writes (enum ending ending)
{
  struct rig *rig = start (32 * MIB, 0);
  struct commanding c = { .rig = rig, .command = RIG_ALL };
  struct writeback_counters moved;
  pthread_t thread;

  rig_write (rig, 0, 20 * RAW, PAGE_RANDOM, &usual);
  assert_int_equal (pthread_create (&thread, NULL, run_command, &c), 0);
  rig_wait (in_flight (rig) >= MOVER_SHARE * 63 * PAGE_BYTES);
  rig_write (rig, 2000, 500, PAGE_HALF, &never);
  rig_age (rig, 2000, 500, 60);
  writeback_set_demote_age (rig->writeback, 0, 5);
  rig_wait ((writeback_get_counters (rig->writeback, &moved),
             moved.pages_demoted == 500));
  assert_true (hangs (rig));
  assert_false (atomic_load (&c.ended));

  if (ending == COMES_BACK)
    far_resume ();
  else
    far_stop ();
  pthread_join (thread, NULL);
  writeback_get_counters (rig->writeback, &moved);
  assert_int_equal (c.done.pages, moved.pages);
  assert_int_equal (c.done.segments, moved.segments);
  assert_int_equal (c.done.pages, ending == COMES_BACK ? 20 * RAW : 0);
  assert_int_equal (c.error, ending == COMES_BACK ? 0 : ENOSPC);
  assert_int_equal (rig_count (rig, 0, 20 * RAW, (int) far), c.done.pages);
  rig_stop (rig);
  if (ending == COMES_BACK)
    far_stop ();
}

static void
test_own_writes (void **state)
{
  (void) state;
  own_writes (COMES_BACK);
  own_writes (FAILS);
}

/* A server that answers when it is connected to anew, and whose disk hangs: a
 * command gives it no second write, and what it gave up goes elsewhere, if it
 * may.
 */
static void
stuck_disk (bool elsewhere)
{
  struct rig *rig = rig_start (32 * MIB);
  struct commanding c = { .rig = rig, .command = RIG_ALL };
  struct backing_counters counters;
  struct backing *backing;

  far_start_stuck (rig);
  far = far_add (rig, 1, 2);
  store_set_patience (rig->store, far, FAR_LATE_SOON);
  backing = rig->backings.list[far].backing;
  if (elsewhere)
    near = rig_add (rig, "near", 2, 128);
  rig_write (rig, 0, 20 * RAW, PAGE_RANDOM, &usual);
  run_command (&c);
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.write_ios, 0);
  assert_in_range (counters.io_errors, 1, MOVER_SHARE);
  assert_int_equal (c.error, elsewhere ? 0 : ENOSPC);
  assert_int_equal (c.done.pages, elsewhere ? 20 * RAW : 0);
  if (elsewhere)
    assert_int_equal (rig_count (rig, 0, 20 * RAW, (int) near), 20 * RAW);
  /* It is no verdict for the next one. */
  rig_wait (backing_state (backing) == BACKING_ONLINE);
  far_stop ();
  rig_stop (rig);
}

static void
test_stuck_disk (void **state)
{
  (void) state;
  stuck_disk (false);
  stuck_disk (true);
}

/* It ends so too when it is called off, or the thread is stopped. */
static void
test_called_off (void **state)
{
  struct rig *rig = start (32 * MIB, 0);
  _Atomic bool cancel = false;
  struct commanding c = { .rig = rig, .command = RIG_ALL };
  pthread_t thread;

  (void) state;
  c.command.cancel = &cancel;
  rig_write (rig, 0, 20 * RAW, PAGE_RANDOM, &usual);
  assert_int_equal (pthread_create (&thread, NULL, run_command, &c), 0);
  rig_wait (in_flight (rig) >= MOVER_SHARE * 63 * PAGE_BYTES);
  atomic_store (&cancel, true);
  far_resume ();
  pthread_join (thread, NULL);
  assert_int_equal (c.done.pages, rig_count (rig, 0, RIG_PAGES, (int) far));
  assert_in_range (c.done.pages, MOVER_SHARE * RAW, 20 * RAW);
  rig_stop (rig);
  far_stop ();
}

static void
test_caps (void **state)
{
  const struct store_placement capped
      = { .cgroup = 2, .prio = 1, .writeback_prio = 1 };
  struct rig *rig = start (32 * MIB, 2);

  (void) state;
  rig_write (rig, 0, 300, PAGE_RANDOM, &usual);
  occupy (rig);
  store_set_cgroup_cap (rig->store, 2, 1);
  store_set_cap (rig->store, 1, 2 * MIB);
  rig_write (rig, 1000, 2000, PAGE_RANDOM, &capped);
  rig_wait (store_cap_used (rig->store, 1) <= 2 * MIB + 2 * EXTENT_BYTES);
  assert_true (rig_count (rig, 1000, 2000, (int) near) > 1000);
  end (rig, COMES_BACK);
}

/* The other one is merged, as test-writeback-moves has it. */
static void
test_merge (void **state)
{
  const struct store_placement second = { .prio = 1, .writeback_prio = 2 };
  struct rig *rig = start (32 * MIB, 0);
  struct config_writeback config = { .high = 100, .low = 99, .limit = 4096 };
  struct backing *backing;

  (void) state;
  near = rig_add (rig, "near", 2, 32);
  backing = rig->backings.list[near].backing;
  rig_write (rig, 0, 32 * RAW, PAGE_RANDOM, &second);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (backing_extents_used (backing), 32);
  rig_write (rig, 4000, 300, PAGE_RANDOM, &usual);
  occupy (rig);
  rig_settle (rig);
  writeback_configure (rig->writeback, &config);
  for (unsigned i = 0; i < 32 * RAW; ++i)
    if (i % 4)
      rig_trim (rig, i);
  config.limit = 0;
  writeback_configure (rig->writeback, &config);
  rig_wait (backing_extents_used (backing) <= 10
            && rig_count (rig, 0, 32 * RAW, (int) near) >= 7 * RAW);
  end (rig, COMES_BACK);
}

/* What is in flight counts for the daily limit, until it has failed. */
static void
test_limit (void **state)
{
  struct config_writeback config
      = { .high = 100, .low = 99, .limit = 10 * EXTENT_BYTES };
  struct rig *rig = start (32 * MIB, 2);
  struct writeback_counters done;

  (void) state;
  writeback_configure (rig->writeback, &config);
  rig_write (rig, 0, 20 * RAW, PAGE_RANDOM, &usual);
  config.high = 2;
  config.low = 1;
  writeback_configure (rig->writeback, &config);
  /* So much that no other segment would be within it. */
  rig_wait (in_flight (rig) + atomic_load (&rig->writeback->spent)
            >= 9 * EXTENT_BYTES);
  assert_true (hangs (rig));
  rig_settle (rig);
  assert_true (in_flight (rig) + atomic_load (&rig->writeback->spent)
               <= config.limit);
  assert_int_equal (writeback_run (rig->writeback, &RIG_ALL, &done), -1);
  assert_int_equal (errno, EDQUOT);
  far_stop ();
  rig_wait (in_flight (rig) == 0);
  rig_wait (atomic_load (&rig->writeback->spent) >= 9 * EXTENT_BYTES);
  assert_true (atomic_load (&rig->writeback->spent) <= config.limit);
  assert_int_equal (rig_count (rig, 0, 20 * RAW, (int) far), 0);
  rig_stop (rig);
}

static bool
is_closing (struct rig *rig, const char *name)
{
  struct config_backing config
      = { .name = (char *) name, .path = (char *) "/elsewhere" };
  bool closing;

  pthread_mutex_lock (&rig->lock);
  closing = backings_closing (&rig->backings, &config);
  pthread_mutex_unlock (&rig->lock);
  return closing;
}

/* It holds nothing any more, and hangs while it is told so: it is taken away
 * and does not come back, and what is done with another one goes on.
 */
static void
closing (enum ending ending)
{
  struct rig *rig = rig_start (32 * MIB);
  struct backing *backing;

  far_start (rig);
  far = far_add (rig, 1, LONG_DEADLINE);
  backing = rig->backings.list[far].backing;
  near = rig_add (rig, "near", 2, 128);
  rig_write (rig, 0, RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, RAW, (int) far), RAW);
  assert_int_equal (backing_extents_used (backing), 1);
  far_hang (rig);
  for (unsigned i = 0; i < RAW; ++i)
    rig_trim (rig, i);
  rig_wait (backing_extents_used (backing) == 0);
  /* Its janitor has taken that extent, to trim it there. */
  rig_wait (!extents_have_freed (backing->extents));
  assert_int_equal (backing_state (backing), BACKING_ONLINE);

  rig_drain (rig, far, true);
  rig_wait (atomic_load (&rig->backings.list[far].backing) == NULL);
  rig_write (rig, 2000, 5 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 2000, 5 * RAW, (int) near), 5 * RAW);
  /* Its index is another's now, which can leave when nobody closes there. */
  assert_int_equal (rig_add (rig, "other", 3, 16), far);
  rig_drain (rig, far, true);
  rig_settle (rig);
  assert_non_null (atomic_load (&rig->backings.list[far].backing));
  assert_true (is_closing (rig, "far"));
  assert_false (is_closing (rig, "other"));

  if (ending == COMES_BACK)
    far_resume ();
  else
    far_stop ();
  rig_wait (!is_closing (rig, "far"));
  rig_wait (atomic_load (&rig->backings.list[far].backing) == NULL);
  rig_stop (rig);
  if (ending == COMES_BACK)
    far_stop ();
}

static void
test_closing (void **state)
{
  (void) state;
  closing (COMES_BACK);
  closing (FAILS);
}

/* Who holds the device's lock may wait for a file that hangs. */
static void
test_lock_held (void **state)
{
  struct rig *rig = rig_start (32 * MIB);
  unsigned other;

  (void) state;
  near = rig_add (rig, "near", 1, 128);
  other = rig_add (rig, "other", 2, 16);
  pthread_mutex_lock (&rig->lock);
  backings_drain (&rig->backings, other, true, true);
  /* It finds that this one is empty between them. */
  for (unsigned i = 0; i < 20; ++i) {
    rig_write (rig, i * RAW, RAW, PAGE_RANDOM, &usual);
    rig_command (rig, &RIG_ALL);
    rig_pause ();
  }
  assert_int_equal (rig_count (rig, 0, 20 * RAW, (int) near), 20 * RAW);
  assert_non_null (atomic_load (&rig->backings.list[other].backing));
  pthread_mutex_unlock (&rig->lock);
  rig_wait (atomic_load (&rig->backings.list[other].backing) == NULL);
  rig_stop (rig);
}

/* A drain goes on when what could not be read for some seconds can be again. */
static void
test_drain_errors (void **state)
{
  struct rig *rig = rig_start (32 * MIB);
  struct backing_counters counters;
  struct backing *backing;

  (void) state;
  far_start (rig);
  far = far_add (rig, 1, LONG_DEADLINE);
  backing = rig->backings.list[far].backing;
  rig_write (rig, 0, 4 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, 4 * RAW, (int) far), 4 * RAW);
  far_fail_reads (true);
  rig_drain (rig, far, false);
  /* It has failed with all four, and tries them again. */
  do {
    rig_pause ();
    backing_get_counters (backing, &counters);
  } while (counters.io_errors < 8);
  assert_false (atomic_load (&rig->backings.list[far].stuck));
  assert_int_equal (rig_count (rig, 0, 4 * RAW, (int) far), 4 * RAW);
  far_fail_reads (false);
  rig_wait (backing_extents_used (backing) == 0);
  assert_int_equal (rig_count (rig, 0, 4 * RAW, RIG_MEMORY), 4 * RAW);
  far_stop ();
  rig_stop (rig);
}

/* But not for ever. */
static void
test_drain_ends (void **state)
{
  struct rig *rig = rig_start (32 * MIB);

  (void) state;
  far_start (rig);
  far = far_add (rig, 1, LONG_DEADLINE);
  rig_write (rig, 0, 4 * RAW, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  far_fail_reads (true);
  rig_drain (rig, far, false);
  rig_wait (atomic_load (&rig->backings.list[far].stuck));
  far_fail_reads (false);
  rig_drain (rig, far, false);
  rig_wait (rig_count (rig, 0, 4 * RAW, RIG_MEMORY) == 4 * RAW);
  far_stop ();
  rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_next_prio),    cmocka_unit_test (test_same_prio),
    cmocka_unit_test (test_other_class),  cmocka_unit_test (test_command),
    cmocka_unit_test (test_own_writes),   cmocka_unit_test (test_called_off),
    cmocka_unit_test (test_stuck_disk),   cmocka_unit_test (test_caps),
    cmocka_unit_test (test_merge),        cmocka_unit_test (test_limit),
    cmocka_unit_test (test_closing),      cmocka_unit_test (test_lock_held),
    cmocka_unit_test (test_drain_errors), cmocka_unit_test (test_drain_ends),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
