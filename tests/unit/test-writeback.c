/* SPDX-License-Identifier: BSD-3-Clause */
/* Writeback: what starts it, what it may take, and where that goes. */
#include "test.h"

#include <errno.h>

#include "rig.h"

/* Of segments of raw pages: so many fit into one. */
#define RAW 63

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };

static uint64_t
percent (struct rig *rig, unsigned share)
{
  return store_pool_limit (rig->store) / 100 * share;
}

static void
test_high_and_low (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct config_writeback config = { .high = 75, .low = 50 };
  unsigned pages = 0;

  (void) state;
  rig_add (rig, "one", 1, 256);
  writeback_configure (rig->writeback, &config);
  while (store_memory_used (rig->store) + 2 * EXTENT_BYTES < percent (rig, 75))
    pages += rig_write (rig, pages, 10, PAGE_RANDOM, &usual);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, pages, RIG_MEMORY), pages);

  while (store_memory_used (rig->store) <= percent (rig, 75))
    pages += rig_write (rig, pages, 10, PAGE_RANDOM, &usual);
  writeback_kick (rig->writeback);
  rig_settle (rig);
  assert_in_range (store_memory_used (rig->store),
                   percent (rig, 50) - 4 * EXTENT_BYTES, percent (rig, 50));
  assert_true (rig_count (rig, 0, pages, 0) > 0);
  rig_stop (rig);
}

/* However fast pages come, they are written back to make room. */
static void
test_room (void **state)
{
  struct rig *rig = rig_start (8 * MIB);
  struct config_writeback config = { .high = 90, .low = 80 };

  (void) state;
  rig_add (rig, "one", 1, 256);
  writeback_configure (rig->writeback, &config);
  assert_int_equal (rig_write (rig, 0, 8192, PAGE_RANDOM, &usual), 8192);
  assert_true (store_memory_used (rig->store) <= 8 * MIB);
  rig_stop (rig);
}

/* A tier that is at its limit is made room in, too, though the pool is not
 * full.
 */
static void
test_tier_limit (void **state)
{
  struct rig *rig = rig_start (32 * MIB);
  struct store_placement last = { .prio = 2, .writeback_prio = 1 };
  struct config_writeback config = { .high = 90, .low = 80 };

  (void) state;
  rig_add (rig, "one", 1, 256);
  store_set_tier_limit (rig->store, 1, 4 * MIB);
  writeback_configure (rig->writeback, &config);
  assert_int_equal (rig_write (rig, 0, 4000, PAGE_RANDOM, &last), 4000);
  assert_true (store_memory_used (rig->store) <= 5 * MIB);
  rig_stop (rig);
}

static void
test_age (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct store_placement other
      = { .cgroup = 1, .prio = 1, .writeback_prio = 1 };
  struct config_writeback config = { .high = 100, .low = 99, .age = 1000 };

  (void) state;
  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, 300, PAGE_RANDOM, &usual);
  rig_write (rig, 300, 300, PAGE_RANDOM, &other);
  /* The machine may not be up for so long: then nothing is so old. */
  config.age = store_seconds () > 2000 ? 1000 : store_seconds () / 2;
  assert_true (config.age > 1);
  writeback_configure (rig->writeback, &config);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, 600, RIG_MEMORY), 600);

  rig_age (rig, 0, 300, config.age + 1);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, 300, 0), 300);
  assert_int_equal (rig_count (rig, 300, 300, RIG_MEMORY), 300);
  rig_stop (rig);
}

static void
test_command_by_age (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct store_placement other
      = { .cgroup = 1, .prio = 1, .writeback_prio = 1 };
  struct writeback_command command = RIG_ALL;

  (void) state;
  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, 300, PAGE_RANDOM, &usual);
  rig_write (rig, 300, 300, PAGE_RANDOM, &other);
  command.age = store_seconds () / 2;
  rig_age (rig, 300, 300, command.age + 1);
  assert_int_equal (rig_command (rig, &command).pages, 300);
  assert_int_equal (rig_count (rig, 0, 300, RIG_MEMORY), 300);
  assert_int_equal (rig_count (rig, 300, 300, 0), 300);
  rig_stop (rig);
}

static void
test_command_by_size (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct writeback_command command = RIG_ALL;

  (void) state;
  rig_add (rig, "one", 1, 64);
  for (unsigned i = 0; i < 600; ++i)
    rig_write (rig, i, 1, i % 2 ? PAGE_RANDOM : PAGE_HALF, &usual);
  /* The cleaner rests: what it moves at that moment is passed over. */
  rig_rest_cleaner (rig);
  command.least = 3000;
  assert_int_equal (rig_command (rig, &command).pages, 300);
  for (unsigned i = 0; i < 600; ++i)
    assert_int_equal (rig_where (rig, i), i % 2 ? 0 : RIG_MEMORY);
  /* What it left is there. */
  command.least = 0;
  assert_int_equal (rig_command (rig, &command).pages, 300);
  assert_int_equal (rig_count (rig, 0, 600, 0), 600);
  rig_stop (rig);
}

static void
test_command_by_cgroup (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct writeback_command command = RIG_ALL;

  (void) state;
  rig_add (rig, "one", 1, 64);
  for (unsigned i = 0; i < 600; ++i) {
    struct store_placement placement
        = { .cgroup = i % 3, .prio = 1, .writeback_prio = 1 };
    rig_write (rig, i, 1, PAGE_RANDOM, &placement);
  }
  command.cgroup = 1;
  assert_int_equal (rig_command (rig, &command).pages, 200);
  for (unsigned i = 0; i < 600; ++i)
    assert_int_equal (rig_where (rig, i), i % 3 == 1 ? 0 : RIG_MEMORY);
  rig_stop (rig);
}

static void
test_command_by_tier (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct writeback_command command = RIG_ALL;

  (void) state;
  rig_add (rig, "one", 1, 64);
  for (unsigned i = 0; i < 600; ++i) {
    struct store_placement placement
        = { .prio = 1 + i % 2, .writeback_prio = 1 };
    rig_write (rig, i, 1, PAGE_HALF, &placement);
  }
  command.tier = 0;
  assert_int_equal (rig_command (rig, &command).pages, 300);
  for (unsigned i = 0; i < 600; ++i)
    assert_int_equal (rig_where (rig, i), i % 2 ? RIG_MEMORY : 0);
  rig_stop (rig);
}

static void
test_command_at_most (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct writeback_command command = RIG_ALL;
  struct writeback_counters done;

  (void) state;
  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, 2000, PAGE_RANDOM, &usual);
  command.max = MIB;
  done = rig_command (rig, &command);
  assert_in_range (done.bytes, MIB, MIB + EXTENT_BYTES - 1);
  assert_int_equal (rig_count (rig, 0, 2000, 0), done.pages);
  rig_stop (rig);
}

/* What shall never leave does not, even when there is no room any more. */
static void
test_never (void **state)
{
  struct rig *rig = rig_start (4 * MIB);
  struct store_placement never = { .prio = 1 };
  struct config_writeback config = { .high = 50, .low = 20, .age = 1 };
  struct writeback_command command = RIG_ALL;
  unsigned pages;

  (void) state;
  rig_add (rig, "one", 1, 64);
  writeback_configure (rig->writeback, &config);
  pages = rig_write (rig, 0, 2000, PAGE_RANDOM, &never);
  assert_in_range (pages, 500, 1100);
  rig_age (rig, 0, pages, 10);
  rig_settle (rig);
  assert_int_equal (rig_command (rig, &command).pages, 0);
  assert_int_equal (rig_count (rig, 0, pages, RIG_MEMORY), pages);
  rig_stop (rig);
}

static void
test_writeback_size (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct store_placement large
      = { .prio = 1, .writeback_prio = 1, .writeback_size = 4096 };
  struct writeback_command command = RIG_ALL;

  (void) state;
  rig_add (rig, "one", 1, 64);
  for (unsigned i = 0; i < 600; ++i)
    rig_write (rig, i, 1, i % 2 ? PAGE_RANDOM : PAGE_HALF, &large);
  assert_int_equal (rig_command (rig, &command).pages, 300);
  for (unsigned i = 0; i < 600; ++i)
    assert_int_equal (rig_where (rig, i), i % 2 ? 0 : RIG_MEMORY);
  rig_stop (rig);
}

/* A backing takes its own prio and lower ones that find no place, never
 * higher ones.
 */
static void
test_next_prio (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct store_placement first
      = { .cgroup = 1, .prio = 1, .writeback_prio = 1 };
  struct store_placement third
      = { .cgroup = 3, .prio = 1, .writeback_prio = 3 };
  struct config_backing gone = {
    .name = "gone",
    .prio = 2,
    .uri = "nbd+unix:///?socket=/nonexistent/socket",
    .size = 64 * MIB,
  };
  struct writeback_command command = RIG_ALL;
  struct writeback_counters done;
  unsigned one, two, missing;

  (void) state;
  one = rig_add (rig, "one", 1, 2);
  missing = rig_add_config (rig, &gone);
  two = rig_add (rig, "two", 2 + 1, 8);
  assert_int_equal (backing_state (rig->backings.list[missing].backing),
                    BACKING_FAILED);
  rig_write (rig, 0, 4 * RAW, PAGE_RANDOM, &first);
  assert_int_equal (rig_command (rig, &command).pages, 4 * RAW);
  assert_int_equal (rig_count (rig, 0, 4 * RAW, (int) one), 2 * RAW);
  assert_int_equal (rig_count (rig, 0, 4 * RAW, (int) two), 2 * RAW);

  /* Room at prio 1 is not for those of prio 3. */
  assert_int_equal (store_trim (rig->store, RIG_PAGES * PAGE_BYTES, 0), 0);
  for (unsigned i = 0; i < 4 * RAW; ++i)
    rig->pages[i].written = false;
  rig_wait (rig_is_empty (rig, "one") && rig_is_empty (rig, "two"));
  rig_write (rig, 0, 9 * RAW, PAGE_RANDOM, &third);
  assert_int_equal (rig_command (rig, &command).pages, 8 * RAW);
  assert_int_equal (rig_count (rig, 0, 9 * RAW, (int) one), 0);
  assert_int_equal (writeback_run (rig->writeback, &command, &done), -1);
  assert_int_equal (errno, ENOSPC);
  rig_stop (rig);
}

static void
test_daily_limit (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct config_writeback config
      = { .high = 50, .low = 10, .age = 1, .limit = MIB };
  struct writeback_command command = RIG_ALL;
  struct writeback_counters done, now;

  (void) state;
  rig_add (rig, "one", 1, 128);
  rig_write (rig, 0, 3000, PAGE_RANDOM, &usual);
  writeback_get_counters (rig->writeback, &now);
  assert_int_equal (now.limit_left, UINT64_MAX);

  /* Above high, by age, and by command, with a bound and without. */
  writeback_configure (rig->writeback, &config);
  rig_age (rig, 0, 3000, 10);
  rig_settle (rig);
  command.max = 8 * MIB;
  writeback_run (rig->writeback, &command, &done);
  writeback_get_counters (rig->writeback, &now);
  assert_in_range (now.bytes, MIB - EXTENT_BYTES, MIB);
  assert_int_equal (now.limit, MIB);
  assert_int_equal (now.limit_left, MIB - now.bytes);
  command.max = 0;
  assert_int_equal (writeback_run (rig->writeback, &command, &done), -1);
  assert_int_equal (errno, EDQUOT);
  assert_int_equal (done.pages, 0);

  /* The rest goes once it may. */
  config.limit = 0;
  writeback_configure (rig->writeback, &config);
  rig_settle (rig);
  assert_int_equal (rig_count (rig, 0, 3000, 0), 3000);
  rig_stop (rig);
}

static void
test_nowhere (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  struct writeback_command command = RIG_ALL;
  struct writeback_counters done;

  (void) state;
  rig_write (rig, 0, 1000, PAGE_RANDOM, &usual);
  assert_int_equal (writeback_run (rig->writeback, &command, &done), -1);
  assert_int_equal (errno, ENOSPC);
  rig_stop (rig);
}

/* Somebody overwrites pages of his own all the time, far more than there are.
 */
struct overwriter {
  struct rig *rig;
  _Atomic bool stop, gave_up;
};

static void *
overwrite (void *data)
{
  struct overwriter *o = data;
  unsigned char page[PAGE_BYTES];
  uint64_t seed = 77;

  page_make (page, PAGE_RANDOM, 1);
  for (unsigned i = 0; i < 4000000 && !atomic_load (&o->stop); ++i) {
    memcpy (page, &seed, sizeof seed);
    store_write (o->rig->store, page, PAGE_BYTES,
                 (10000 + random_next (&seed) % 500) * PAGE_BYTES, &usual);
  }
  atomic_store (&o->gave_up, !atomic_load (&o->stop));
  return NULL;
}

/* A command without a bound takes all that is there, with what was read, and
 * ends although there is always something new.
 */
static void
test_command_ends (void **state)
{
  struct rig *rig = rig_start (32 * MIB);
  struct overwriter o = { .rig = rig };
  pthread_t thread;

  (void) state;
  rig_add (rig, "one", 1, 256);
  rig_write (rig, 0, 3000, PAGE_HALF, &usual);
  rig_check (rig, 1000, 1000);
  assert_int_equal (pthread_create (&thread, NULL, overwrite, &o), 0);
  rig_command (rig, &RIG_ALL);
  assert_false (atomic_load (&o.gave_up));
  atomic_store (&o.stop, true);
  pthread_join (thread, NULL);
  assert_in_range (rig_count (rig, 0, 1000, 0), 990, 1000);
  assert_in_range (rig_count (rig, 2000, 1000, 0), 990, 1000);
  rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_high_and_low),
    cmocka_unit_test (test_room),
    cmocka_unit_test (test_tier_limit),
    cmocka_unit_test (test_age),
    cmocka_unit_test (test_command_by_age),
    cmocka_unit_test (test_command_by_size),
    cmocka_unit_test (test_command_by_cgroup),
    cmocka_unit_test (test_command_by_tier),
    cmocka_unit_test (test_command_at_most),
    cmocka_unit_test (test_never),
    cmocka_unit_test (test_writeback_size),
    cmocka_unit_test (test_next_prio),
    cmocka_unit_test (test_daily_limit),
    cmocka_unit_test (test_nowhere),
    cmocka_unit_test (test_command_ends),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
