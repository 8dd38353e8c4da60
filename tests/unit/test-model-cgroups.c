/* SPDX-License-Identifier: BSD-3-Clause */
/* The model test of a whole device: requests come with the tags of cgroups that
 * are created and removed meanwhile, their policies and limits change, the
 * configuration is read again with other tiers and backings, pages are demoted,
 * written back, drained and cleaned, and the tables are checked, all at once.
 * Beside the contents it knows whose each page was when it was written: it is
 * counted for that cgroup, or for one above it.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cgroup-rig.h"
#include "model.h"
#include "policy/change.h"
#include "rest.h"
#include "store/check.h"

#define MIB (UINT64_C (1) << 20)

static const char *const paths[]
    = { "/", "/a", "/a/x", "/a/y", "/b", "/b/z", "/c" };
#define PATHS (sizeof paths / sizeof paths[0])
#define ANYBODY PATHS /* not known */

static struct cgroup_rig *rig;
static _Atomic uint64_t ids[PATHS]; /* the last one of each, 0: none so far */
static bool there[PATHS];
static unsigned char whose[MODEL_PAGES]; /* under the model's locks */

static uint64_t made[4096]; /* ids there ever were */
static unsigned made_count;
static bool reused; /* two of them were the same: who is who is not known */

/* ---- requests ---- */

static void
note (uint64_t count, uint64_t offset, unsigned who)
{
  for (uint64_t i = offset / PAGE_BYTES; i * PAGE_BYTES < offset + count; ++i)
    whose[i] = (unsigned char) who;
}

/* Tag a request, mostly.  Whose it is then. */
static unsigned
tag (uint64_t count, uint64_t offset, uint64_t choice)
{
  unsigned who = (unsigned) (choice % PATHS);
  struct tierswap_tag t = { .offset = offset,
                            .cgroup = atomic_load (&ids[who]),
                            .length = (uint32_t) count };

  if (offset % PAGE_BYTES != 0 || count % PAGE_BYTES != 0 || t.cgroup == 0)
    return 0;
  return device_tag (rig->device, &t, 1) == 0 ? who : ANYBODY;
}

static int
write_tagged (const void *buffer, size_t count, uint64_t offset,
              uint64_t choice)
{
  unsigned who = tag (count, offset, choice);
  int r = device_write (rig->device, buffer, count, offset);

  note (count, offset, r == 0 ? who : ANYBODY);
  return r;
}

static int
zero_tagged (uint64_t count, uint64_t offset, bool punch, uint64_t choice)
{
  unsigned who = tag (count, offset, choice);
  int r = device_zero (rig->device, count, offset, punch);

  note (count, offset, r == 0 ? who : ANYBODY);
  return r;
}

/* ---- what happens meanwhile ---- */

static void
note_id (unsigned i, uint64_t id)
{
  for (unsigned j = 0; j < made_count; ++j)
    reused |= made[j] == id;
  assert_true (made_count < sizeof made / sizeof made[0]);
  made[made_count++] = id;
  atomic_store (&ids[i], id);
}

/* Create the cgroup, or remove it with those below it. */
static void
come_or_go (unsigned i)
{
  char above[16];

  if (!there[i]) {
    snprintf (above, sizeof above, "%s", paths[i]);
    *strrchr (above, '/') = '\0';
    for (unsigned j = 1; j < i; ++j)
      if (strcmp (paths[j], above) == 0 && !there[j])
        come_or_go (j);
    note_id (i, cgroup_rig_create (rig, paths[i]));
    there[i] = true;
    return;
  }
  for (unsigned j = PATHS; j-- > i;)
    if (there[j] && cgroup_path_below (paths[j], paths[i])) {
      cgroup_rig_remove (rig, paths[j]);
      there[j] = false;
    }
}

/* It may be refused, but not without a word. */
static bool
changed (int r, char **error)
{
  if (r == -1) {
    assert_non_null (*error);
    assert_true ((*error)[0] != '\0');
    free (*error);
  }
  return r == 0;
}

static void
change_policy (unsigned i, uint64_t *seed)
{
  struct cgroup_change change = CGROUP_NO_CHANGE;
  char *error = NULL;

  switch (random_next (seed) % 4) {
  case 0:
    change.prio = 1 + (int64_t) (random_next (seed) % 4);
    break;
  case 1:
    change.writeback_prio = (int64_t) (random_next (seed) % 5);
    break;
  case 2:
    change.writeback_size = (int64_t) (random_next (seed) % 4097);
    break;
  default:
    change.limit = (int64_t) (random_next (seed) % 12 * EXTENT_BYTES);
  }
  changed (device_set_cgroup (rig->device, paths[i], &change, &error), &error);
}

/* Read the configuration again, with other tiers, backings and policies. */
static bool
reload (uint64_t *seed, bool third_tier)
{
  char name[128], *error = NULL;
  FILE *file;

  snprintf (name, sizeof name, "%s/conf", rig->folder);
  file = fopen (name, "w");
  assert_non_null (file);
  fprintf (
      file,
      "size = \"%u\"\n"
      "pool { limit = \"%uM\"  verify = %s }\n"
      "tier \"fast\" { prio = 1  codec = \"lz4\"  demote_age = %u }\n"
      "tier \"dense\" { prio = 2  codec = \"zstd\"  level = %u  group = %u "
      "demote_age = %u }\n"
      "writeback { high = %u  low = %u  age = %u }\n",
      CGROUP_RIG_PAGES * PAGE_BYTES, 5 + (unsigned) (random_next (seed) % 8),
      random_next (seed) % 2 ? "true" : "false",
      (unsigned) (random_next (seed) % 3),
      1 + (unsigned) (random_next (seed) % 3),
      1 + (unsigned) (random_next (seed) % 4),
      (unsigned) (random_next (seed) % 2),
      60 + (unsigned) (random_next (seed) % 30),
      20 + (unsigned) (random_next (seed) % 40),
      (unsigned) (random_next (seed) % 3));
  if (third_tier)
    fprintf (file, "tier \"raw\" { prio = 4  codec = \"none\" }\n");
  for (unsigned i = 0; i < 3; ++i) {
    static const char *const names[] = { "one", "two", "three" };

    if (random_next (seed) % 4)
      fprintf (file,
               "backing \"%s\" { prio = %u  path = \"%s/%s\"  size = \"%uM\" "
               "promote = %s  encrypt = %s }\n",
               names[i], i + 1, rig->folder, names[i],
               12 + (unsigned) (random_next (seed) % 5),
               random_next (seed) % 2 ? "true" : "false",
               i == 2 ? "true" : "false");
  }
  for (unsigned i = 0; i < PATHS; ++i)
    if (random_next (seed) % 2)
      fprintf (file,
               "cgroup \"%s\" { prio = %u  writeback_prio = %u "
               "writeback_size = %u%s }\n",
               paths[i], 1 + (unsigned) (random_next (seed) % 4),
               (unsigned) (random_next (seed) % 4),
               random_next (seed) % 2 ? 0 : 2000,
               i > 0 && random_next (seed) % 2 ? "  limit = \"1M\"" : "");
  assert_int_equal (fclose (file), 0);
  return changed (device_reload (rig->device, &error), &error);
}

static void
write_back (uint64_t *seed)
{
  struct writeback_command command = { .cgroup = -1, .tier = -1 };
  struct store_cgroup_set below;
  struct writeback_counters done;
  const char *path = paths[random_next (seed) % PATHS];
  char *error;

  command.max = 1 + random_next (seed) % (2 * MIB);
  command.least = random_next (seed) % 2 * 1000;
  if (changed (cgroups_below (rig->device->cgroups, path, &below, &error),
               &error)
      && random_next (seed) % 2)
    command.cgroups = &below;
  if (writeback_run (rig->device->writeback, &command, &done) == -1)
    assert_true (errno == ENOSPC || errno == EDQUOT);
}

static void
check_tables (void)
{
  struct store_check check = { .patience = CHECK_PATIENCE };

  if (store_check_live (rig->device->store, &check) == -1)
    fail_msg ("%s", check.wrong);
}

static unsigned reloads, checks;
static int64_t demoted;

static void
operate (uint64_t *seed)
{
  struct device *device = rig->device;
  struct device_writeback_change writeback = { -1, -1, -1, -1 };
  char *error = NULL;

  switch (random_next (seed) % 13) {
  case 0:
  case 1:
  case 2:
    change_policy ((unsigned) (random_next (seed) % PATHS), seed);
    break;
  case 3:
    changed (device_set_tier_level (device, "dense",
                                    1 + (int) (random_next (seed) % 4), &error),
             &error);
    break;
  case 4:
    changed (device_set_demote_age (device,
                                    random_next (seed) % 2 ? "fast" : "dense",
                                    random_next (seed) % 2, &error),
             &error);
    break;
  case 5:
    changed (device_set_pool_limit (device, (4 + random_next (seed) % 8) * MIB,
                                    &error),
             &error);
    break;
  case 6:
    writeback.age = (int64_t) (random_next (seed) % 2);
    changed (device_set_writeback (device, &writeback, &error), &error);
    break;
  case 7:
    write_back (seed);
    break;
  case 8:
    reloads += reload (seed, reloads > 2);
    break;
  case 9:
    changed (
        device_drain (device, random_next (seed) % 2 ? "one" : "two", &error),
        &error);
    break;
  case 10:
  case 11:
    demoted += model_demote (device->store, (unsigned) (random_next (seed) % 2),
                             (unsigned) (random_next (seed) % 5));
    break;
  default:
    if (random_next (seed) % 2)
      store_compact (device->store);
    else {
      check_tables ();
      checks++;
    }
  }
}

/* ---- whose the pages are ---- */

/* The path of the cgroup that the pages of INDEX are counted for. */
static const char *
counted_for (uint32_t index)
{
  const struct cgroup_node *node = &rig->device->cgroups->nodes[index];

  if (node->state == CGROUP_GONE)
    node = &rig->device->cgroups->nodes[node->heir];
  return node->path ? node->path : "/";
}

/* The index that a page is counted under, or CGROUP_NONE.  It may be moved
 * meanwhile; as long as its word stands, the segment is its cgroup's.
 */
static uint32_t
index_of (unsigned page)
{
  struct store *store = rig->device->store;
  slot_word word = slots_load (&store->slots, page), before;
  uint32_t index;

  do {
    before = word & ~SLOT_REFERENCED;
    if (slot_kind (word) == SLOT_EMPTY)
      return CGROUP_NONE;
    if (slot_is_same (word))
      return slot_cgroup (word);
    index = owner_cgroup (atomic_load (
        &store_segment (store, (uint32_t) slot_segment (word))->owner));
    word = slots_load (&store->slots, page);
  } while ((word & ~SLOT_REFERENCED) != before);
  return index;
}

static void
look_whose (unsigned page)
{
  uint32_t index;
  const char *path;

  if (whose[page] == ANYBODY)
    return;
  pthread_mutex_lock (&rig->device->cgroups->lock);
  index = index_of (page);
  if (index != CGROUP_NONE) {
    path = counted_for (index);
    if (!cgroup_path_below (paths[whose[page]], path))
      fail_msg ("page %u is of %s and is counted for %s", page,
                paths[whose[page]], path);
  }
  pthread_mutex_unlock (&rig->device->cgroups->lock);
}

static void
check_whose (void)
{
  if (!reused)
    model_look (look_whose);
}

/* Nobody writes any more. */
static void
check_sum (void)
{
  struct store *store = rig->device->store;
  struct cgroup_info *list;
  struct store_statistics s;
  uint32_t count;
  uint64_t pages = 0;

  rest_cleaner (store);
  assert_int_equal (cgroups_list (rig->device->cgroups, true, &list, &count),
                    0);
  store_get_statistics (store, &s);
  resume_cleaner (store);
  for (uint32_t i = 0; i < count; ++i)
    pages += list[i].pages.pages_memory + list[i].pages.pages_backing
             + list[i].pages.pages_same;
  cgroups_free_list (list, count);
  assert_int_equal (pages, s.pages_stored);
}

/* Nothing is left of those that were removed once they have no pages. */
static void
check_given_up (void)
{
  const struct timespec pause = { 0, 10000000 };
  unsigned tries = 0;

  while (atomic_load (&rig->device->cgroups->gone) > 0 && tries++ < 6000)
    nanosleep (&pause, NULL);
  assert_int_equal (atomic_load (&rig->device->cgroups->gone), 0);
}

/* ---- */

/* Fewer where each of them takes ten times as long. */
static unsigned
operations_wanted (void)
{
  const char *most = getenv ("MODEL_OPERATIONS");
  const char *sanitizer = getenv ("SANITIZER");

  if (most)
    return (unsigned) strtoul (most, NULL, 10);
  return sanitizer && strcmp (sanitizer, "thread") == 0 ? 60 : 150;
}

static void
test_model (void **state)
{
  static const struct model_front front = { write_tagged, zero_tagged };
  const char *given = getenv ("MODEL_SEED");
  uint64_t seed = given ? strtoull (given, NULL, 10) : 5;
  unsigned wanted = operations_wanted (), done;
  /* A slow machine does fewer; how many is told. */
  time_t enough = time (NULL) + 60;
  struct writeback_counters counters;
  struct store *store;
  char path[128];

  (void) state;
  rig = cgroup_rig_start ("8M", "");
  store = rig->device->store;
  model_start (store, &front);
  for (done = 0; done < wanted && model_wrong () == 0 && time (NULL) < enough;
       ++done) {
    if (random_next (&seed) % 2)
      come_or_go (1 + (unsigned) (random_next (&seed) % (PATHS - 1)));
    operate (&seed);
    if (done % 4 == 0)
      check_whose ();
    nanosleep (&(struct timespec){ 0, 5000000 }, NULL);
  }
  model_stop ();
  writeback_get_counters (rig->device->writeback, &counters);
  print_message ("%u operations, %u cgroups made, %u reloads, %u checks, %llu "
                 "segments written back, %llu pages demoted\n",
                 done, made_count, reloads, checks,
                 (unsigned long long) counters.segments,
                 (unsigned long long) counters.pages_demoted + demoted);
  cgroups_settle (rig->device->cgroups);
  check_whose ();
  if (reused)
    print_message ("whose pages are was not compared: ids were used again\n");
  check_sum ();
  assert_true (made_count > 0 && counters.segments > 0);

  for (unsigned i = 1; i < PATHS; ++i)
    if (there[i])
      come_or_go (i);
  cgroups_settle (rig->device->cgroups);
  assert_int_equal (store_trim (store, MODEL_SIZE, 0), 0);
  check_given_up ();
  assert_int_equal (statistics_at_rest (store).pages_stored, 0);
  snprintf (path, sizeof path, "%s/three", rig->folder);
  unlink (path);
  cgroup_rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_model) };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
