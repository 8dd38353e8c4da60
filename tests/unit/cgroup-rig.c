/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup-rig.h"
#include "rest.h"

#define MERGED_MOST 64

static const char *used_hierarchy;

void
cgroup_rig_use (const char *hierarchy)
{
  used_hierarchy = hierarchy;
}

static void
write_conf (struct cgroup_rig *rig, const char *pool, const char *sections)
{
  char name[128];
  FILE *file;

  snprintf (name, sizeof name, "%s/conf", rig->folder);
  file = fopen (name, "w");
  assert_non_null (file);
  fprintf (file,
           "size = \"%u\"\n"
           "pool { limit = \"%s\" }\n"
           "tier \"fast\" { prio = 1  codec = \"lz4\" }\n"
           "tier \"dense\" { prio = 2  codec = \"zstd\"  level = 1 }\n"
           "backing \"one\" { prio = 1  path = \"%s/one\"  size = \"32M\" }\n"
           "backing \"two\" { prio = 2  path = \"%s/two\"  size = \"32M\" }\n"
           "writeback { high = 100  low = 90 }\n"
           "%s",
           CGROUP_RIG_PAGES * PAGE_BYTES, pool, rig->folder, rig->folder,
           sections);
  assert_int_equal (fclose (file), 0);
}

static void
remove_file (struct cgroup_rig *rig, const char *name)
{
  char path[128];

  snprintf (path, sizeof path, "%s/%s", rig->folder, name);
  unlink (path);
}

void
cgroup_rig_as_client (void)
{
  const struct sched_param normal = { 0 };

  assert_int_equal (
      pthread_setschedparam (pthread_self (), SCHED_OTHER, &normal), 0);
}

struct cgroup_rig *
cgroup_rig_start (const char *pool, const char *sections)
{
  struct cgroup_rig *rig = calloc (1, sizeof *rig);
  char conf[128];

  assert_non_null (rig);
  strcpy (rig->folder, "/tmp/tierswap-test-XXXXXX");
  assert_non_null (mkdtemp (rig->folder));
  rig->real = used_hierarchy != NULL;
  if (rig->real)
    snprintf (rig->hierarchy, sizeof rig->hierarchy, "%s/tierswap-test-%d",
              used_hierarchy, (int) getpid ());
  else /* in memory, since there are thousands of folders */
    snprintf (rig->hierarchy, sizeof rig->hierarchy, "%s%s-cgroup",
              access ("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
              strrchr (rig->folder, '/'));
  assert_int_equal (mkdir (rig->hierarchy, 0755), 0);
  write_conf (rig, pool, sections);
  snprintf (conf, sizeof conf, "%s/conf", rig->folder);
  assert_int_equal (device_create (conf, NULL, &rig->device), 0);
  rig->device->hierarchy = strdup (rig->hierarchy);
  assert_int_equal (device_start (rig->device), 0);
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    store_set_patience (rig->device->store, i, PAGES_PATIENCE);
  cgroup_rig_as_client ();
  return rig;
}

void
cgroup_rig_stop (struct cgroup_rig *rig)
{
  cgroup_rig_check (rig, 0, CGROUP_RIG_PAGES);
  assert_int_equal (store_check (rig->device->store), 0);
  device_free (rig->device);
  assert_int_equal (rmdir (rig->hierarchy), 0);
  remove_file (rig, "conf");
  remove_file (rig, "one");
  remove_file (rig, "two");
  assert_int_equal (rmdir (rig->folder), 0);
  free (rig);
}

void
cgroup_rig_reload (struct cgroup_rig *rig, const char *pool,
                   const char *sections)
{
  char *error;

  write_conf (rig, pool, sections);
  if (device_reload (rig->device, &error) == -1)
    fail_msg ("reload: %s", error);
}

static void
folder_of (struct cgroup_rig *rig, const char *path, char folder[4096])
{
  snprintf (folder, 4096, "%s%s", rig->hierarchy, path);
}

uint64_t
cgroup_rig_create (struct cgroup_rig *rig, const char *path)
{
  struct stat status;
  char folder[4096];

  folder_of (rig, path, folder);
  assert_int_equal (mkdir (folder, 0755), 0);
  assert_int_equal (stat (folder, &status), 0);
  return status.st_ino;
}

void
cgroup_rig_remove (struct cgroup_rig *rig, const char *path)
{
  char folder[4096];

  folder_of (rig, path, folder);
  assert_int_equal (rmdir (folder), 0);
}

static void
make (struct cgroup_rig *rig, unsigned page, enum page_kind kind,
      unsigned char *at)
{
  static uint64_t last_seed;

  rig->pages[page].written = true;
  rig->pages[page].kind = kind;
  rig->pages[page].seed = ++last_seed;
  page_make (at, kind, last_seed);
}

unsigned
cgroup_rig_write (struct cgroup_rig *rig, unsigned first, unsigned count,
                  enum page_kind kind, uint64_t id, unsigned merged)
{
  static unsigned char buffer[MERGED_MOST * PAGE_BYTES];
  unsigned done = 0;

  assert_true (merged <= MERGED_MOST);
  while (done < count) {
    unsigned pages = count - done < merged ? count - done : merged;
    struct tierswap_tag tag = { .offset = (first + done) * UINT64_C (4096),
                                .cgroup = id,
                                .length = pages * 4096 };

    for (unsigned i = 0; i < pages; ++i)
      make (rig, first + done + i, kind, buffer + i * PAGE_BYTES);
    if (id)
      assert_int_equal (device_tag (rig->device, &tag, 1), 0);
    if (device_write (rig->device, buffer, tag.length, tag.offset) == -1) {
      assert_int_equal (errno, ENOSPC);
      for (unsigned i = 0; i < pages; ++i)
        rig->pages[first + done + i].written = false;
      break;
    }
    done += pages;
  }
  return done;
}

void
cgroup_rig_trim (struct cgroup_rig *rig, unsigned first, unsigned count)
{
  assert_int_equal (store_trim (rig->device->store, count * UINT64_C (4096),
                                first * UINT64_C (4096)),
                    0);
  for (unsigned i = first; i < first + count; ++i)
    rig->pages[i].written = false;
}

void
cgroup_rig_check (struct cgroup_rig *rig, unsigned first, unsigned count)
{
  unsigned char page[PAGE_BYTES], expected[PAGE_BYTES];

  for (unsigned i = first; i < first + count; ++i) {
    if (!rig->pages[i].written)
      continue;
    page_make (expected, rig->pages[i].kind, rig->pages[i].seed);
    if (store_read (rig->device->store, page, PAGE_BYTES, i * UINT64_C (4096))
        == -1)
      fail_msg ("page %u is not read: %s", i, strerror (errno));
    if (memcmp (page, expected, PAGE_BYTES) != 0)
      fail_msg ("page %u is wrong", i);
  }
}

unsigned
cgroup_rig_count (struct cgroup_rig *rig, unsigned first, unsigned count,
                  int where, unsigned prio, uint32_t index)
{
  struct store *store = rig->device->store;
  unsigned there = 0;

  for (unsigned i = first; i < first + count; ++i) {
    slot_word word = slots_load (&store->slots, i);
    struct segment *segment;
    uint32_t owner;
    uint64_t place;

    if (!slot_is_object (word))
      continue;
    segment = store_segment (store, (uint32_t) slot_segment (word));
    owner = atomic_load (&segment->owner);
    place = atomic_load (&segment->place);
    if (where == CGROUP_RIG_MEMORY && !place_is_frame (place))
      continue;
    if (where >= 0
        && (place_is_frame (place) || (int) place_backing (place) != where))
      continue;
    there += (prio == 0 || owner_tier (owner) == prio - 1)
             && (index == CGROUP_NONE || owner_cgroup (owner) == index);
  }
  return there;
}

struct cgroup_info
cgroup_rig_info (struct cgroup_rig *rig, const char *path)
{
  struct cgroup_info info;
  char *error;

  rest_cleaner (rig->device->store);
  if (cgroups_get (rig->device->cgroups, path, &info, &error) == -1)
    fail_msg ("%s", error);
  resume_cleaner (rig->device->store);
  free (info.path);
  info.path = NULL;
  return info;
}

void
cgroup_rig_write_back (struct cgroup_rig *rig, uint64_t most)
{
  const struct writeback_command all
      = { .cgroup = -1, .tier = -1, .max = most };
  struct writeback_counters done;

  if (writeback_run (rig->device->writeback, &all, &done) == -1)
    fail_msg ("writeback: %s", strerror (errno));
}
