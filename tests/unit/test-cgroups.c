/* SPDX-License-Identifier: BSD-3-Clause */
/* Policy per cgroup, by tags from user space: each page is placed by the policy
 * of its cgroup or of the nearest one above it that has one, from then on that
 * it has it; cgroups come and go.
 *
 * Usage: test-cgroups [HIERARCHY]: in folders of a real one.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cgroup-rig.h"
#include "control/statistics.h"

static uint32_t
index_of (struct cgroup_rig *rig, uint64_t id)
{
  return cgroup_table_find (&rig->device->cgroups->table, id);
}

static void
set (struct cgroup_rig *rig, const char *path, int prio, int writeback_prio,
     int writeback_size)
{
  const struct cgroup_change change
      = { prio, writeback_prio, writeback_size, -1 };
  char *error;

  if (device_set_cgroup (rig->device, path, &change, &error) == -1)
    fail_msg ("%s: %s", path, error);
}

#define ANY CGROUP_NONE

/* Until so many pages of a range are on backings.  What the cleaner is at work
 * on is passed over once.
 */
static void
write_back_until (struct cgroup_rig *rig, unsigned first, unsigned count,
                  unsigned pages)
{
  for (unsigned tries = 0; tries < 6000; ++tries) {
    cgroup_rig_write_back (rig, 0);
    if (cgroup_rig_count (rig, first, count, 0, 0, ANY)
            + cgroup_rig_count (rig, first, count, 1, 0, ANY)
        == pages)
      return;
    nanosleep (&(struct timespec){ 0, 10000000 }, NULL);
  }
  fail_msg ("some pages are never written back");
}
#define PAGES 512 /* of each program */

static const char programs[]
    = "cgroup \"/\" { prio = 1  writeback_prio = 1 }\n"
      "cgroup \"/hot\" { prio = 1  writeback_prio = 0 }\n"
      "cgroup \"/cold\" { prio = 2  writeback_prio = 2 }\n"
      "cgroup \"/big\" { writeback_size = 4096 }\n";

/* Three programs at once, in requests of up to 256 KiB: every page is in the
 * tier, and then on the backing, that its cgroup's policy says, and the
 * statistics know whose it is.
 */
static void
test_placed (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start ("64M", programs);
  uint64_t hot = cgroup_rig_create (rig, "/hot");
  uint64_t cold = cgroup_rig_create (rig, "/cold");
  uint64_t big = cgroup_rig_create (rig, "/big");
  struct cgroup_info info;

  (void) state;
  cgroups_settle (rig->device->cgroups);
  for (unsigned i = 0; i < PAGES; i += 64)
    for (unsigned merged = 1; merged <= 64; merged *= 4) {
      cgroup_rig_write (rig, i, 64, PAGE_TEXT, hot, merged);
      cgroup_rig_write (rig, PAGES + i, 64, PAGE_HALF, cold, merged);
      cgroup_rig_write (rig, 2 * PAGES + i, 32, PAGE_TEXT, big, merged / 2 + 1);
      cgroup_rig_write (rig, 2 * PAGES + i + 32, 32, PAGE_RANDOM, big,
                        merged / 2 + 1);
    }
  assert_int_equal (cgroup_rig_count (rig, 0, PAGES, CGROUP_RIG_MEMORY, 1,
                                      index_of (rig, hot)),
                    PAGES);
  assert_int_equal (cgroup_rig_count (rig, PAGES, PAGES, CGROUP_RIG_MEMORY, 2,
                                      index_of (rig, cold)),
                    PAGES);
  assert_int_equal (cgroup_rig_count (rig, 2 * PAGES, PAGES, CGROUP_RIG_MEMORY,
                                      1, index_of (rig, big)),
                    PAGES);

  write_back_until (rig, PAGES, PAGES, PAGES);
  write_back_until (rig, 2 * PAGES, PAGES, PAGES / 2);
  info = cgroup_rig_info (rig, "/hot");
  assert_int_equal (info.pages.pages_memory, PAGES);
  assert_int_equal (info.pages.pages_backing, 0);
  assert_int_equal (info.id, hot);
  info = cgroup_rig_info (rig, "/cold");
  assert_int_equal (info.pages.pages_memory, 0);
  assert_int_equal (info.pages.pages_backing, PAGES);
  assert_int_equal (cgroup_rig_count (rig, PAGES, PAGES, 1, 0, ANY), PAGES);
  info = cgroup_rig_info (rig, "/big");
  assert_int_equal (info.pages.pages_memory, PAGES / 2);
  assert_int_equal (info.pages.pages_backing, PAGES / 2);
  for (unsigned i = 0; i < PAGES; i += 64)
    assert_int_equal (cgroup_rig_count (rig, 2 * PAGES + i + 32, 32, 0, 0, ANY),
                      32);
  assert_int_equal (cgroup_rig_info (rig, "/").pages.pages_memory, 0);

  cgroup_rig_remove (rig, "/hot");
  cgroup_rig_remove (rig, "/cold");
  cgroup_rig_remove (rig, "/big");
  cgroup_rig_stop (rig);
}

/* One request may be of several cgroups, and of none, at any alignment. */
static void
test_mixed_request (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start ("32M", programs);
  uint64_t hot = cgroup_rig_create (rig, "/hot");
  uint64_t cold = cgroup_rig_create (rig, "/cold");
  struct tierswap_tag tags[]
      = { { .offset = 60 * 4096, .cgroup = hot, .length = 2 * 4096 },
          { .offset = 62 * 4096, .cgroup = cold, .length = 10 * 4096 },
          { .offset = 74 * 4096, .cgroup = hot, .length = 4096 } };
  static unsigned char buffer[20 * PAGE_BYTES], back[20 * PAGE_BYTES];
  struct device *device = rig->device;

  (void) state;
  cgroups_settle (device->cgroups);
  for (unsigned i = 0; i < 20; ++i)
    page_make (buffer + i * PAGE_BYTES, PAGE_TEXT, i);
  assert_int_equal (device_tag (device, tags, 3), 0);
  assert_int_equal (device_write (device, buffer, sizeof buffer, 58 * 4096), 0);
  assert_int_equal (cgroup_rig_count (rig, 58, 20, -1, 0, 0), 7);
  assert_int_equal (cgroup_rig_count (rig, 60, 2, -1, 1, index_of (rig, hot)),
                    2);
  assert_int_equal (cgroup_rig_count (rig, 62, 10, -1, 2, index_of (rig, cold)),
                    10);
  assert_int_equal (cgroup_rig_count (rig, 74, 1, -1, 1, index_of (rig, hot)),
                    1);
  /* A tag is taken once. */
  assert_int_equal (device_write (device, buffer, sizeof buffer, 58 * 4096), 0);
  assert_int_equal (cgroup_rig_count (rig, 58, 20, -1, 0, 0), 20);

  /* Parts of pages. */
  assert_int_equal (device_tag (device, tags, 3), 0);
  assert_int_equal (device_write (device, buffer + 2 * 4096 + 100, 12 * 4096,
                                  60 * 4096 + 100),
                    0);
  assert_int_equal (cgroup_rig_count (rig, 60, 2, -1, 1, index_of (rig, hot)),
                    2);
  assert_int_equal (cgroup_rig_count (rig, 62, 10, -1, 2, index_of (rig, cold)),
                    10);
  assert_int_equal (cgroup_rig_count (rig, 72, 1, -1, 0, 0), 1);
  assert_int_equal (store_read (device->store, back, sizeof back, 58 * 4096),
                    0);
  assert_memory_equal (buffer, back, sizeof buffer);

  /* Zeros: they take no object, but count. */
  assert_int_equal (device_tag (device, tags, 3), 0);
  assert_int_equal (device_zero (device, 20 * 4096, 58 * 4096, false), 0);
  assert_int_equal (cgroup_rig_info (rig, "/hot").pages.pages_same, 3);
  assert_int_equal (cgroup_rig_info (rig, "/cold").pages.pages_same, 10);
  assert_int_equal (cgroup_rig_info (rig, "/").pages.pages_same, 7);

  cgroup_rig_remove (rig, "/hot");
  cgroup_rig_remove (rig, "/cold");
  cgroup_rig_stop (rig);
}

/* What a cgroup does not say is as above it, live; pages that are stored
 * already are not touched.
 */
static void
test_inherited (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start ("32M", programs);
  struct cgroup_info info;
  uint64_t deep;

  (void) state;
  cgroup_rig_create (rig, "/cold");
  cgroup_rig_create (rig, "/cold/a");
  deep = cgroup_rig_create (rig, "/cold/a/b");
  cgroups_settle (rig->device->cgroups);
  info = cgroup_rig_info (rig, "/cold/a/b");
  assert_int_equal (info.prio, 2);
  assert_int_equal (info.writeback_prio, 2);
  assert_int_equal (info.writeback_size, 0);
  assert_false (info.named);
  cgroup_rig_write (rig, 0, 50, PAGE_TEXT, deep, 16);
  assert_int_equal (cgroup_rig_count (rig, 0, 50, -1, 2, index_of (rig, deep)),
                    50);

  /* The nearest one above counts, value by value. */
  set (rig, "/cold/a", 1, -1, -1);
  cgroup_rig_write (rig, 50, 50, PAGE_TEXT, deep, 16);
  assert_int_equal (cgroup_rig_count (rig, 0, 50, -1, 2, ANY), 50);
  assert_int_equal (cgroup_rig_count (rig, 50, 50, -1, 1, ANY), 50);
  info = cgroup_rig_info (rig, "/cold/a/b");
  assert_int_equal (info.prio, 1);
  assert_int_equal (info.writeback_prio, 2);
  set (rig, "/cold", 1, 0, 17);
  info = cgroup_rig_info (rig, "/cold/a/b");
  assert_int_equal (info.writeback_prio, 0);
  assert_int_equal (info.writeback_size, 17);
  set (rig, "/", 2, 1, 99);
  info = cgroup_rig_info (rig, "/cold/a/b");
  assert_int_equal (info.prio, 1);
  assert_int_equal (info.writeback_size, 17);

  /* What was set by hand ends when the configuration is read again. */
  cgroup_rig_reload (rig, "32M",
                     "cgroup \"/cold/a\" { writeback_prio = 1 }\n"
                     "cgroup \"/\" { prio = 2 }\n");
  info = cgroup_rig_info (rig, "/cold/a/b");
  assert_int_equal (info.prio, 2);
  assert_int_equal (info.writeback_prio, 1);
  assert_int_equal (info.writeback_size, 0);
  cgroup_rig_write (rig, 100, 50, PAGE_TEXT, deep, 16);
  assert_int_equal (cgroup_rig_count (rig, 50, 50, -1, 1, ANY), 50);
  assert_int_equal (cgroup_rig_count (rig, 100, 50, -1, 2, ANY), 50);
  write_back_until (rig, 0, 150, 150);
  /* By the policy of when they were written. */
  assert_int_equal (cgroup_rig_count (rig, 0, 100, 1, 0, ANY), 100);
  assert_int_equal (cgroup_rig_count (rig, 100, 50, 0, 0, ANY), 50);

  cgroup_rig_remove (rig, "/cold/a/b");
  cgroup_rig_remove (rig, "/cold/a");
  cgroup_rig_remove (rig, "/cold");
  cgroup_rig_stop (rig);
}

/* An id that nobody knows has the policy of "/" but is counted, and is "/"'s
 * when it cannot be found.
 */
static void
test_unknown (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start ("32M", programs);
  struct cgroup_info *list;
  uint32_t count, index;
  char *error;
  struct cgroup_info info;

  (void) state;
  assert_int_equal (cgroup_rig_write (rig, 0, 100, PAGE_TEXT, 987654321, 64),
                    100);
  index = index_of (rig, 987654321);
  assert_int_not_equal (index, CGROUP_NONE);
  assert_int_equal (cgroup_rig_count (rig, 0, 100, -1, 1, ANY), 100);
  cgroups_settle (rig->device->cgroups);
  assert_int_equal (cgroup_rig_info (rig, "/").pages.pages_memory, 100);
  assert_int_equal (cgroups_list (rig->device->cgroups, true, &list, &count),
                    0);
  assert_int_equal (count, 4); /* the rules */
  assert_string_equal (list[0].path, "/");
  cgroups_free_list (list, count);
  assert_int_equal (
      cgroups_get (rig->device->cgroups, "#987654321", &info, &error), -1);
  assert_int_equal (errno, ENOENT);
  free (error);
  cgroup_rig_stop (rig);
}

static bool
gone (struct cgroup_rig *rig, uint64_t id)
{
  return index_of (rig, id) == CGROUP_NONE;
}

/* A removed cgroup's pages are its parent's and stay readable; its index is
 * given up when none is left.
 */
static void
test_removed (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start ("32M", programs);
  struct store *store = rig->device->store;
  uint64_t a = cgroup_rig_create (rig, "/a");
  uint64_t b = cgroup_rig_create (rig, "/a/b");
  struct cgroup_info info;
  char *error;

  (void) state;
  cgroups_settle (rig->device->cgroups);
  cgroup_rig_write (rig, 0, 300, PAGE_HALF, a, 64);
  cgroup_rig_write (rig, 300, 300, PAGE_HALF, b, 64);
  cgroup_rig_write (rig, 600, 20, PAGE_WIDE, b, 4);
  cgroup_rig_remove (rig, "/a/b");
  cgroups_settle (rig->device->cgroups);
  assert_int_equal (cgroups_get (rig->device->cgroups, "/a/b", &info, &error),
                    -1);
  assert_int_equal (errno, ENOENT);
  free (error);
  info = cgroup_rig_info (rig, "/a");
  assert_int_equal (info.pages.pages_memory, 600);
  assert_int_equal (info.pages.pages_same, 20);
  cgroup_rig_check (rig, 0, 620);

  /* Sparse segments are merged into the parent's. */
  for (unsigned i = 300; i < 600; ++i)
    if (i % 8)
      cgroup_rig_trim (rig, i, 1);
  for (unsigned i = 0;
       cgroup_rig_count (rig, 300, 300, -1, 0, index_of (rig, a)) != 37; ++i) {
    assert_true (i < 6000);
    store_compact (store);
    nanosleep (&(struct timespec){ 0, 20000000 }, NULL);
  }
  cgroup_rig_check (rig, 0, 620);

  /* The parent goes, too; who writes for it still may. */
  cgroup_rig_remove (rig, "/a");
  cgroups_settle (rig->device->cgroups);
  cgroup_rig_write (rig, 700, 10, PAGE_TEXT, a, 64);
  info = cgroup_rig_info (rig, "/");
  assert_int_equal (info.pages.pages_memory, 300 + 37 + 10);
  assert_int_equal (info.pages.pages_same, 20);
  cgroup_rig_check (rig, 0, 710);
  assert_false (gone (rig, a));
  cgroup_rig_trim (rig, 0, 1000);
  for (unsigned i = 0; !gone (rig, a) || !gone (rig, b); ++i) {
    assert_true (i < 6000);
    cgroups_settle (rig->device->cgroups);
    nanosleep (&(struct timespec){ 0, 20000000 }, NULL);
  }

  /* The same name, another cgroup. */
  a = cgroup_rig_create (rig, "/a");
  cgroup_rig_write (rig, 0, 10, PAGE_TEXT, a, 64);
  cgroups_settle (rig->device->cgroups);
  assert_int_equal (cgroup_rig_info (rig, "/a").pages.pages_memory, 10);
  cgroup_rig_remove (rig, "/a");
  cgroup_rig_stop (rig);
}

/* Each value that cannot be is refused, with a line, and changes nothing. */
static void
test_refused (void **state)
{
  static const struct {
    const char *path;
    struct cgroup_change change;
    int code;
  } bad[] = { { "/hot", { 0, -1, -1, -1 }, EINVAL },
              { "/hot", { 5, -1, -1, -1 }, EINVAL },
              { "/hot", { 1, 5, -1, -1 }, EINVAL },
              { "/hot", { 1, 0, 4097, -1 }, EINVAL },
              { "/hot", { 2, -1, -1, 4096 }, EINVAL },
              { "/hot", { 2, -1, -1, 262145 }, EINVAL },
              { "/hot", { 2, -1, -1, INT64_C (1) << 40 }, EINVAL },
              { "/none", { 1, -1, -1, -1 }, ENOENT },
              { "hot", { 1, -1, -1, -1 }, ENOENT },
              { "", { 1, -1, -1, -1 }, ENOENT },
              { "/hot/", { 1, -1, -1, -1 }, ENOENT },
              { "//hot", { 1, -1, -1, -1 }, ENOENT },
              { "/hot/../hot", { 1, -1, -1, -1 }, ENOENT },
              { "#5", { 1, -1, -1, -1 }, ENOENT } };
  struct cgroup_rig *rig = cgroup_rig_start ("32M", programs);
  const struct tierswap_tag wrong[]
      = { { .offset = 1, .cgroup = 5, .length = 4096 },
          { .offset = 0, .cgroup = 5, .length = 0 },
          { .offset = 0, .cgroup = 0, .length = 4096 },
          { .offset = CGROUP_RIG_PAGES * UINT64_C (4096),
            .cgroup = 5,
            .length = 4096 },
          { .offset = UINT64_MAX - 4095, .cgroup = 5, .length = 4096 },
          { .offset = 0, .cgroup = 5, .length = 4096, .reserved = 1 } };
  struct cgroup_info info;
  char *error;

  (void) state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    assert_int_equal (
        device_set_cgroup (rig->device, bad[i].path, &bad[i].change, &error),
        -1);
    assert_int_equal (errno, bad[i].code);
    assert_non_null (error);
    assert_true (strlen (error) > 20);
    assert_null (strchr (error, '\n'));
    free (error);
  }
  info = cgroup_rig_info (rig, "/hot");
  assert_int_equal (info.prio, 1);
  assert_int_equal (info.limit, 0);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    assert_int_equal (device_tag (rig->device, &wrong[i], 1), -1);
    assert_int_equal (errno, EINVAL);
  }
  cgroup_rig_stop (rig);
}

static int
count_name (void *opaque, const char *name)
{
  assert_true (name[0] == 'c' && !strchr (name, '/'));
  ++*(unsigned *) opaque;
  return 0;
}

#define MANY 5000

/* Thousands of cgroups are told apart, listed and forgotten.  Most have only a
 * few pages; together they do not fill the pool with begun segments.
 */
static void
test_many (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start ("64M", programs);
  unsigned many = rig->real ? 500 : MANY, children = 0, named = 0;
  uint64_t *ids = calloc (many, sizeof *ids), pages = 0, same = 0;
  struct cgroup_info *list;
  uint32_t count, high;
  char path[32];
  json_t *json;

  (void) state;
  assert_non_null (ids);
  cgroup_rig_create (rig, "/many");
  for (unsigned round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < many; ++i) {
      snprintf (path, sizeof path, "/many/c%u", i);
      ids[i] = cgroup_rig_create (rig, path);
      assert_int_equal (cgroup_rig_write (rig, i * 4, 3, PAGE_HALF, ids[i], 64),
                        3);
      assert_int_equal (
          cgroup_rig_write (rig, i * 4 + 3, 1, PAGE_WIDE, ids[i], 64), 1);
    }
    cgroups_settle (rig->device->cgroups);
    children = 0;
    assert_int_equal (
        cgroups_children (rig->device->cgroups, "/many", count_name, &children),
        0);
    assert_int_equal (children, many);
    assert_int_equal (cgroups_list (rig->device->cgroups, false, &list, &count),
                      0);
    pages = same = named = 0;
    for (uint32_t i = 0; i < count; ++i) {
      pages += list[i].pages.pages_memory + list[i].pages.pages_backing;
      same += list[i].pages.pages_same;
      named += strncmp (list[i].path, "/many/c", 7) == 0;
      if (i > 0)
        assert_true (strcmp (list[i - 1].path, list[i].path) < 0);
    }
    assert_int_equal (named, many);
    assert_int_equal (pages, 3 * many);
    assert_int_equal (same, many);
    cgroups_free_list (list, count);
    json = statistics_json (rig->device);
    assert_int_equal (json_array_size (json_object_get (json, "cgroups")),
                      count);
    json_decref (json);
    cgroup_rig_check (rig, 0, many * 4);
    for (unsigned i = 0; i < many; ++i) {
      snprintf (path, sizeof path, "/many/c%u", i);
      cgroup_rig_remove (rig, path);
    }
    cgroups_settle (rig->device->cgroups);
    assert_int_equal (cgroup_rig_info (rig, "/").pages.pages_memory
                          + cgroup_rig_info (rig, "/many").pages.pages_memory
                          + cgroup_rig_info (rig, "/many").pages.pages_backing
                          + cgroup_rig_info (rig, "/").pages.pages_backing,
                      3 * many);
    assert_int_equal (cgroup_rig_info (rig, "/many").pages.pages_same, many);
    cgroup_rig_check (rig, 0, many * 4);
    cgroup_rig_trim (rig, 0, many * 4);
    for (unsigned tries = 0; rig->device->cgroups->gone > 0; ++tries) {
      assert_true (tries < 6000);
      nanosleep (&(struct timespec){ 0, 20000000 }, NULL);
      cgroups_settle (rig->device->cgroups);
    }
    high = cgroup_nodes_high (rig->device->cgroups);
    assert_true (high <= many + 2);
  }
  free (ids);
  cgroup_rig_remove (rig, "/many");
  cgroup_rig_stop (rig);
}

/* Two threads write for cgroups that come and go while policies change. */
struct storm {
  struct cgroup_rig *rig;
  unsigned first;
  _Atomic bool *stop;
  _Atomic uint64_t *ids;
};

#define STORM_CGROUPS 8
#define STORM_PAGES 2000

static void *
write_tagged (void *data)
{
  struct storm *storm = data;
  struct device *device = storm->rig->device;
  unsigned char page[PAGE_BYTES], back[PAGE_BYTES];
  uint64_t seed = storm->first + 1;
  long wrong = 0;

  while (!atomic_load (storm->stop)) {
    uint64_t slot = storm->first + random_next (&seed) % STORM_PAGES;
    struct tierswap_tag tag = { .offset = slot * 4096, .length = 4096 };

    tag.cgroup = atomic_load (&storm->ids[random_next (&seed) % STORM_CGROUPS]);
    if (tag.cgroup && device_tag (device, &tag, 1) == -1)
      wrong++;
    page_make (page, slot % PAGE_KINDS, seed);
    if (device_write (device, page, PAGE_BYTES, tag.offset) == -1
        || store_read (device->store, back, PAGE_BYTES, tag.offset) == -1
        || memcmp (page, back, PAGE_BYTES) != 0)
      wrong++;
    if (random_next (&seed) % 3 == 0)
      store_trim (device->store, 4096, tag.offset);
  }
  return (void *) wrong;
}

static void
test_storm (void **state)
{
  struct cgroup_rig *rig = cgroup_rig_start ("32M", programs);
  _Atomic bool stop = false;
  _Atomic uint64_t ids[STORM_CGROUPS] = { 0 };
  struct storm storms[2]
      = { { rig, 0, &stop, ids }, { rig, STORM_PAGES, &stop, ids } };
  pthread_t threads[2];
  uint64_t seed = 5;
  char path[32];
  void *wrong;

  (void) state;
  for (unsigned i = 0; i < 2; ++i)
    assert_int_equal (
        pthread_create (&threads[i], NULL, write_tagged, &storms[i]), 0);
  for (unsigned turn = 0; turn < 100; ++turn) {
    unsigned i = random_next (&seed) % STORM_CGROUPS;

    snprintf (path, sizeof path, "/c%u", i);
    if (atomic_load (&ids[i])) {
      cgroup_rig_remove (rig, path);
      /* Some tags are late. */
      if (turn % 2)
        atomic_store (&ids[i], 0);
      else {
        cgroups_settle (rig->device->cgroups);
        atomic_store (&ids[i], cgroup_rig_create (rig, path));
      }
    }
    else
      atomic_store (&ids[i], cgroup_rig_create (rig, path));
    set (rig, "/", 1 + turn % 2, turn % 3, turn);
    /* With a bound, since there is always more to write. */
    if (turn % 10 == 0)
      cgroup_rig_write_back (rig, UINT64_C (1) << 20);
    if (turn % 16 == 0)
      store_compact (rig->device->store);
  }
  atomic_store (&stop, true);
  for (unsigned i = 0; i < 2; ++i) {
    pthread_join (threads[i], &wrong);
    assert_null (wrong);
  }
  for (unsigned i = 0; i < STORM_CGROUPS; ++i)
    if (atomic_load (&ids[i])) {
      snprintf (path, sizeof path, "/c%u", i);
      cgroup_rig_remove (rig, path);
    }
  assert_int_equal (store_check (rig->device->store), 0);
  cgroup_rig_trim (rig, 0, 2 * STORM_PAGES);
  for (unsigned tries = 0;; ++tries) {
    cgroups_settle (rig->device->cgroups);
    if (rig->device->cgroups->gone == 0)
      break;
    assert_true (tries < 6000);
    nanosleep (&(struct timespec){ 0, 20000000 }, NULL);
  }
  cgroup_rig_stop (rig);
}

int
main (int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_placed),    cmocka_unit_test (test_mixed_request),
    cmocka_unit_test (test_inherited), cmocka_unit_test (test_unknown),
    cmocka_unit_test (test_removed),   cmocka_unit_test (test_refused),
    cmocka_unit_test (test_many),      cmocka_unit_test (test_storm),
  };

  cgroup_rig_use (argc > 1 ? argv[1] : NULL);
  return cmocka_run_group_tests (tests, NULL, NULL);
}
