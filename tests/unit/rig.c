/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "policy/drain.h"
#include "rest.h"
#include "rig.h"

static uint64_t last_seed;

void
rig_pause (void)
{
  nanosleep (&(struct timespec){ 0, 10000000 }, NULL);
}

struct rig *
rig_start (uint64_t pool_limit)
{
  struct store_options options = {
    .size = (uint64_t) RIG_PAGES * PAGE_BYTES,
    .pool_limit = pool_limit,
    .tiers = { { 1, { CODEC_LZ4, 0 }, 0 }, { 2, { CODEC_ZSTD, 1 }, 0 } },
    .tiers_count = 2,
  };
  struct config_writeback idle = { .high = 100, .low = 99 };
  struct rig *rig = calloc (1, sizeof *rig);

  assert_non_null (rig);
  pthread_mutex_init (&rig->lock, NULL);
  strcpy (rig->folder, "/tmp/tierswap-test-XXXXXX");
  assert_non_null (mkdtemp (rig->folder));
  assert_int_equal (store_create (&options, &rig->store), 0);
  assert_int_equal (store_start (rig->store), 0);
  rig->backings.store = rig->store;
  rig->backings.lock = &rig->lock;
  rig->writeback = writeback_start (rig->store, &rig->backings);
  assert_non_null (rig->writeback);
  writeback_configure (rig->writeback, &idle);
  return rig;
}

void
rig_rest_cleaner (struct rig *rig)
{
  rest_cleaner (rig->store);
  rig->cleaner_rests = true;
}

void
rig_resume_cleaner (struct rig *rig)
{
  rig->cleaner_rests = false;
  resume_cleaner (rig->store);
}

void
rig_stop (struct rig *rig)
{
  char path[128];

  if (rig->cleaner_rests)
    rig_resume_cleaner (rig);
  rig_check (rig, 0, RIG_PAGES);
  writeback_stop (rig->writeback);
  assert_int_equal (store_check (rig->store), 0);
  store_free (rig->store);
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (rig->backings.list[i].name[0]) {
      snprintf (path, sizeof path, "%s/%s", rig->folder,
                rig->backings.list[i].name);
      unlink (path);
    }
  backings_close (&rig->backings);
  rmdir (rig->folder);
  pthread_mutex_destroy (&rig->lock);
  free (rig);
}

unsigned
rig_add_config (struct rig *rig, const struct config_backing *config)
{
  struct backing *opened;
  char *error = NULL;
  int index = -1;

  pthread_mutex_lock (&rig->lock);
  if (backings_open (config, &opened, &error) == 0)
    index = backings_add (&rig->backings, config, opened, true, &error);
  if (index != -1)
    store_set_patience (rig->store, (unsigned) index, PAGES_PATIENCE);
  pthread_mutex_unlock (&rig->lock);
  if (index == -1)
    fail_msg ("%s", error);
  return (unsigned) index;
}

unsigned
rig_add (struct rig *rig, const char *name, unsigned prio, unsigned extents)
{
  char path[128], copy[33];
  struct config_backing config = {
    .name = copy,
    .prio = prio,
    .path = path,
    .size = (uint64_t) extents * EXTENT_BYTES,
  };

  snprintf (copy, sizeof copy, "%s", name);
  snprintf (path, sizeof path, "%s/%s", rig->folder, name);
  return rig_add_config (rig, &config);
}

void
rig_drain (struct rig *rig, unsigned backing, bool leave)
{
  pthread_mutex_lock (&rig->lock);
  backings_drain (&rig->backings, backing, true, leave);
  pthread_mutex_unlock (&rig->lock);
  writeback_kick (rig->writeback);
}

bool
rig_is_empty (struct rig *rig, const char *name)
{
  char path[128];
  struct stat st;

  snprintf (path, sizeof path, "%s/%s", rig->folder, name);
  assert_int_equal (stat (path, &st), 0);
  return st.st_blocks == 0;
}

unsigned
rig_write (struct rig *rig, unsigned first, unsigned count, enum page_kind kind,
           const struct store_placement *placement)
{
  unsigned char page[PAGE_BYTES];

  for (unsigned i = 0; i < count; ++i) {
    uint64_t seed = ++last_seed;

    page_make (page, kind, seed);
    if (store_write (rig->store, page, PAGE_BYTES,
                     (uint64_t) (first + i) * PAGE_BYTES, placement)
        == -1) {
      assert_int_equal (errno, ENOSPC);
      return i;
    }
    rig->pages[first + i].written = true;
    rig->pages[first + i].kind = kind;
    rig->pages[first + i].seed = seed;
  }
  return count;
}

void
rig_check (struct rig *rig, unsigned first, unsigned count)
{
  unsigned char page[PAGE_BYTES], expected[PAGE_BYTES];

  for (unsigned i = first; i < first + count; ++i) {
    if (!rig->pages[i].written)
      continue;
    page_make (expected, rig->pages[i].kind, rig->pages[i].seed);
    if (store_read (rig->store, page, PAGE_BYTES, (uint64_t) i * PAGE_BYTES)
        == -1)
      fail_msg ("page %u is not read: %s", i, strerror (errno));
    if (memcmp (page, expected, PAGE_BYTES) != 0)
      fail_msg ("page %u is wrong", i);
  }
}

static struct segment *
segment_of (struct rig *rig, unsigned page)
{
  slot_word word = slots_load (&rig->store->slots, page);

  return slot_is_object (word)
             ? store_segment (rig->store, (uint32_t) slot_segment (word))
             : NULL;
}

int
rig_where (struct rig *rig, unsigned page)
{
  struct segment *segment = segment_of (rig, page);
  uint64_t place;

  if (!segment)
    return RIG_NOWHERE;
  place = atomic_load (&segment->place);
  return place_is_frame (place) ? RIG_MEMORY : (int) place_backing (place);
}

unsigned
rig_count (struct rig *rig, unsigned first, unsigned count, int where)
{
  unsigned there = 0;

  for (unsigned i = first; i < first + count; ++i)
    there += rig_where (rig, i) == where;
  return there;
}

void
rig_trim (struct rig *rig, unsigned page)
{
  assert_int_equal (
      store_trim (rig->store, PAGE_BYTES, (uint64_t) page * PAGE_BYTES), 0);
  rig->pages[page].kind = PAGE_ZERO;
}

slot_word
rig_word (struct rig *rig, unsigned page)
{
  return slots_load (&rig->store->slots, page) & ~SLOT_REFERENCED;
}

void
rig_age (struct rig *rig, unsigned first, unsigned count, unsigned seconds)
{
  uint32_t high = segments_high_water (&rig->store->segments);
  bool *there = calloc (high, 1);

  assert_non_null (there);
  /* All are found before one is old: what is moved then is to stay young. */
  for (unsigned i = first; i < first + count; ++i) {
    struct segment *segment = segment_of (rig, i);

    if (segment && segment - rig->store->segments.table < high)
      there[segment - rig->store->segments.table] = true;
  }
  for (uint32_t i = 0; i < high; ++i)
    if (there[i])
      atomic_fetch_sub (&store_segment (rig->store, i)->time, seconds);
  free (there);
}

struct writeback_counters
rig_command (struct rig *rig, const struct writeback_command *command)
{
  struct writeback_counters done;
  bool rested = rig->cleaner_rests;

  if (!rested)
    rig_rest_cleaner (rig);
  if (writeback_run (rig->writeback, command, &done) == -1)
    fail_msg ("writeback: %s", strerror (errno));
  if (!rested)
    rig_resume_cleaner (rig);
  return done;
}

void
rig_settle (struct rig *rig)
{
  /* A command that moves nothing comes after what goes by itself. */
  struct writeback_command nothing = { .cgroup = SLOT_CGROUPS - 1, .tier = -1 };
  struct writeback_counters before, after, done;
  bool rested = rig->cleaner_rests;

  if (!rested)
    rig_rest_cleaner (rig);
  do {
    rig_wait (!drain_at_work (rig->writeback));
    writeback_get_counters (rig->writeback, &before);
    for (unsigned i = 0; i < 3; ++i)
      if (writeback_run (rig->writeback, &nothing, &done) == -1)
        assert_int_equal (errno, EDQUOT);
    writeback_get_counters (rig->writeback, &after);
  } while (before.segments != after.segments
           || before.pages_demoted != after.pages_demoted);
  if (!rested)
    rig_resume_cleaner (rig);
}
