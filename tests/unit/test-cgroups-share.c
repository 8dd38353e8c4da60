/* SPDX-License-Identifier: BSD-3-Clause */
/* Cgroups share the pool: a limit is kept by writing back what is under it and
 * nothing else; what one floods the pool with pushes out its own pages first;
 * who fills it is told apart from who does not, and leaves the last frames to
 * those.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "cgroup-rig.h"
#include "rest.h"
#include "store/room.h"

#define MIB (UINT64_C (1) << 20)
#define MIB_PAGES 256

static void
set_limit (struct cgroup_rig *rig, const char *path, int64_t limit)
{
  const struct cgroup_change change = { -1, -1, -1, limit };
  char *error;

  if (device_set_cgroup (rig->device, path, &change, &error) == -1)
    fail_msg ("%s: %s", path, error);
}

/* Writeback has nothing more to do by itself. */
static void
settle (struct cgroup_rig *rig)
{
  struct store_cgroup_set none = { .bits = { 0 } };
  struct writeback_command nothing
      = { .cgroup = -1, .tier = -1, .cgroups = &none };
  struct writeback_counters before, after, done;

  rest_cleaner (rig->device->store);
  do {
    writeback_get_counters (rig->device->writeback, &before);
    for (unsigned i = 0; i < 3; ++i)
      if (writeback_run (rig->device->writeback, &nothing, &done) == -1)
        fail ();
    writeback_get_counters (rig->device->writeback, &after);
  } while (before.segments != after.segments);
  resume_cleaner (rig->device->store);
}

static void
test_limit (void **state)
{
  struct cgroup_rig *rig
      = cgroup_rig_start ("64M", "cgroup \"/capped\" { limit = \"2M\" }\n");
  uint64_t capped = cgroup_rig_create (rig, "/capped");
  uint64_t child = cgroup_rig_create (rig, "/capped/child");
  uint64_t other = cgroup_rig_create (rig, "/other");
  struct cgroup_info info, below;

  (void) state;
  cgroups_settle (rig->device->cgroups);
  cgroup_rig_write (rig, 0, 8 * MIB_PAGES, PAGE_RANDOM, other, 64);
  cgroup_rig_write (rig, 8 * MIB_PAGES, 8 * MIB_PAGES, PAGE_RANDOM, capped, 64);
  cgroup_rig_write (rig, 16 * MIB_PAGES, 4 * MIB_PAGES, PAGE_RANDOM, child, 64);
  settle (rig);
  info = cgroup_rig_info (rig, "/capped");
  below = cgroup_rig_info (rig, "/capped/child");
  /* It has its segments that are being filled on top. */
  assert_true (info.used_bytes + below.used_bytes <= 2 * MIB + 6 * FRAME_BYTES);
  assert_true (info.pages.pages_backing + below.pages.pages_backing
               >= 9 * MIB_PAGES);
  assert_int_equal (info.pages.pages_memory + info.pages.pages_backing,
                    8 * MIB_PAGES);
  assert_int_equal (cgroup_rig_info (rig, "/other").pages.pages_backing, 0);

  /* Lowered live, and taken away. */
  set_limit (rig, "/other", 4 * MIB);
  settle (rig);
  info = cgroup_rig_info (rig, "/other");
  assert_true (info.used_bytes <= 4 * MIB + 3 * FRAME_BYTES);
  assert_true (info.pages.pages_backing >= 3 * MIB_PAGES);
  cgroup_rig_reload (rig, "64M", "");
  assert_int_equal (cgroup_rig_info (rig, "/capped").limit, 0);
  cgroup_rig_write (rig, 20 * MIB_PAGES, 8 * MIB_PAGES, PAGE_RANDOM, capped,
                    64);
  settle (rig);
  assert_int_equal (cgroup_rig_count (rig, 20 * MIB_PAGES, 8 * MIB_PAGES,
                                      CGROUP_RIG_MEMORY, 0, CGROUP_NONE),
                    8 * MIB_PAGES);
  cgroup_rig_remove (rig, "/capped/child");
  cgroup_rig_remove (rig, "/capped");
  cgroup_rig_remove (rig, "/other");
  cgroup_rig_stop (rig);
}

/* Where nothing may be written back a limit fails no write. */
static void
test_limit_not_kept (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start (
      "64M", "cgroup \"/never\" { limit = \"1M\"  writeback_prio = 0 }\n");
  uint64_t never = cgroup_rig_create (rig, "/never");

  (void) state;
  cgroups_settle (rig->device->cgroups);
  assert_int_equal (
      cgroup_rig_write (rig, 0, 8 * MIB_PAGES, PAGE_RANDOM, never, 64),
      8 * MIB_PAGES);
  settle (rig);
  assert_int_equal (cgroup_rig_info (rig, "/never").pages.pages_memory,
                    8 * MIB_PAGES);
  cgroup_rig_remove (rig, "/never");
  cgroup_rig_stop (rig);
}

/* The cold pages of a small cgroup stay, while another one writes several times
 * the pool.
 */
static void
test_flood (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start ("16M", "");
  uint64_t small = cgroup_rig_create (rig, "/small");
  uint64_t flood = cgroup_rig_create (rig, "/flood");
  struct cgroup_info info;

  (void) state;
  cgroups_settle (rig->device->cgroups);
  cgroup_rig_write (rig, 0, 2 * MIB_PAGES, PAGE_RANDOM, small, 64);
  /* Twice the pool in all, which still fits on the two backings. */
  assert_int_equal (cgroup_rig_write (rig, 2 * MIB_PAGES, 40 * MIB_PAGES,
                                      PAGE_RANDOM, flood, 64),
                    40 * MIB_PAGES);
  settle (rig);
  info = cgroup_rig_info (rig, "/small");
  assert_int_equal (info.pages.pages_memory, 2 * MIB_PAGES);
  assert_int_equal (info.pages.pages_backing, 0);
  info = cgroup_rig_info (rig, "/flood");
  assert_true (info.pages.pages_backing >= 24 * MIB_PAGES);

  /* If the flood may not be written back, what may be is. */
  cgroup_rig_reload (rig, "16M", "cgroup \"/flood\" { writeback_prio = 0 }\n");
  assert_true (cgroup_rig_write (rig, 50 * MIB_PAGES, 20 * MIB_PAGES,
                                 PAGE_RANDOM, flood, 64)
               < 20 * MIB_PAGES);
  info = cgroup_rig_info (rig, "/small");
  assert_true (info.pages.pages_backing > 0);
  cgroup_rig_remove (rig, "/small");
  cgroup_rig_remove (rig, "/flood");
  cgroup_rig_stop (rig);
}

static unsigned
fill (struct store *store, unsigned first, unsigned most,
      const struct store_placement *placement)
{
  unsigned char page[PAGE_BYTES];

  for (unsigned i = 0; i < most; ++i) {
    page_make (page, PAGE_RANDOM, first + i);
    if (store_write (store, page, PAGE_BYTES, (first + i) * UINT64_C (4096),
                     placement)
        == -1) {
      assert_int_equal (errno, ENOSPC);
      return i;
    }
  }
  return most;
}

static void
test_last_frames (void **state)
{
  const struct store_placement flood = { .cgroup = 1, .prio = 1 };
  const struct store_placement small = { .cgroup = 2, .prio = 1 };
  const struct store_options options
      = { .size = 128 * MIB,
          .pool_limit = 32 * MIB,
          .tiers = { { 1, { CODEC_LZ4, 0 }, 0 } },
          .tiers_count = 1 };
  struct store *store;
  unsigned wrote;

  (void) state;
  assert_int_equal (store_create (&options, &store), 0);
  assert_int_equal (store_start (store), 0);
  /* Nobody is told apart: all are slowed down, and all may have all. */
  assert_true (room_is_heavy (store, 1) && room_is_heavy (store, 2));
  /* One opens many segments, the other one. */
  assert_int_equal (fill (store, 1000, 16 * MIB_PAGES, &flood), 16 * MIB_PAGES);
  assert_int_equal (fill (store, 0, 10, &small), 10);
  room_judge (store);
  assert_true (room_is_heavy (store, 1));
  assert_false (room_is_heavy (store, 2));

  /* The flood ends before the pool is full, and the other still has room. */
  wrote = fill (store, 1000 + 16 * MIB_PAGES, 32 * MIB_PAGES, &flood);
  assert_true (wrote < 16 * MIB_PAGES);
  assert_int_equal (fill (store, 10, MIB_PAGES, &small), MIB_PAGES);
  /* When it is all that is left, it is everybody's. */
  room_acquit (store);
  assert_true (room_is_heavy (store, 2));
  assert_true (
      fill (store, 1000 + 16 * MIB_PAGES + wrote, 16 * MIB_PAGES, &flood) > 0);
  assert_int_equal (store_check (store), 0);
  store_free (store);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_limit),
    cmocka_unit_test (test_limit_not_kept),
    cmocka_unit_test (test_flood),
    cmocka_unit_test (test_last_frames),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
