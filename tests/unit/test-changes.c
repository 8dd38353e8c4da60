/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes while others look: reloads add and remove tiers and backings, values
 * are set, pages are written and read, and the statistics are taken, all at
 * once.  What was stored is read back right, and what is told makes sense.
 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup-rig.h"
#include "pages.h"
#include "control/registry.h"
#include "control/statistics.h"

#define RELOADS 60
#define SIZE (UINT64_C (64) << 20)
#define PAGES 4096 /* written again and again: 16 MiB */

static char folder[] = "/tmp/tierswap-test-XXXXXX";
static char conf[64], ssd[64], far[64];
static struct device *device;
static _Atomic bool stop;
static _Atomic unsigned wrong, looks;

static void
write_conf (unsigned which)
{
  FILE *file = fopen (conf, "w");

  assert_non_null (file);
  fprintf (file,
           "size = \"64M\"\n"
           "pool { limit = \"%uM\" }\n"
           "tier \"fast\" { prio = 1  codec = \"lz4\"  demote_age = %u }\n"
           "writeback { high = %u  low = 20  age = 1 }\n"
           "cgroup \"/\" { prio = 1  writeback_prio = 1 }\n",
           which % 2 ? 24 : 48, which % 2, 50 + which % 40);
  if (which > 10)
    fprintf (file,
             "tier \"dense\" { prio = 2  codec = \"zstd\"  level = %u "
             " group = %u }\n",
             1 + which % 3, 1 + which % 4);
  if (which % 3 != 0)
    fprintf (file,
             "backing \"ssd\" { prio = 1  path = \"%s\"  size = \"64M\" "
             " promote = %s }\n",
             ssd, which % 2 ? "true" : "false");
  if (which % 3 != 1)
    fprintf (file,
             "backing \"far\" { prio = %u  path = \"%s\"  size = \"64M\" }\n",
             2 + which % 2, far);
  assert_int_equal (fclose (file), 0);
}

static int
setup (void **state)
{
  (void) state;
  assert_non_null (mkdtemp (folder));
  snprintf (conf, sizeof conf, "%s/conf", folder);
  snprintf (ssd, sizeof ssd, "%s/ssd", folder);
  snprintf (far, sizeof far, "%s/far", folder);
  write_conf (2);
  assert_int_equal (device_create (conf, NULL, &device), 0);
  assert_int_equal (device_start (device), 0);
  cgroup_rig_as_client ();
  return 0;
}

static int
teardown (void **state)
{
  (void) state;
  device_free (device);
  unlink (conf);
  unlink (ssd);
  unlink (far);
  return rmdir (folder);
}

/* Each of two threads has every other page: its oracle is its counter. */
static void *
use (void *data)
{
  unsigned parity = *(unsigned *) data;
  static uint64_t versions[PAGES];
  unsigned char page[PAGE_BYTES], read[PAGE_BYTES];
  uint64_t seed = parity;

  while (!atomic_load (&stop)) {
    uint64_t n = random_next (&seed) % (PAGES / 2) * 2 + parity;

    page_make (page, n % PAGE_KINDS, versions[n]);
    if (versions[n] > 0) {
      if (store_read (device->store, read, PAGE_BYTES, n * PAGE_BYTES) == -1
          || memcmp (page, read, PAGE_BYTES) != 0)
        atomic_fetch_add (&wrong, 1);
    }
    page_make (page, n % PAGE_KINDS, versions[n] + 1);
    {
      struct store_placement placement = cgroups_root (device->cgroups);

      /* It is refused when there is no room: the old content is still there. */
      if (store_write (device->store, page, PAGE_BYTES, n * PAGE_BYTES,
                       &placement)
          == 0)
        versions[n]++;
    }
  }
  return NULL;
}

static int
count (void *opaque, const char *name, const char *value, bool writable)
{
  (void) writable;
  if (!name[0] || !value[0])
    atomic_fetch_add (&wrong, 1);
  ++*(unsigned *) opaque;
  return 0;
}

static void *
look (void *data)
{
  (void) data;
  while (!atomic_load (&stop)) {
    json_t *json = statistics_json (device);
    unsigned attributes = 0;
    char *name, *text;

    if (json_array_size (json_object_get (json, "tiers")) < 1)
      atomic_fetch_add (&wrong, 1);
    json_decref (json);
    registry_walk (device, count, &attributes);
    if (attributes < 40)
      atomic_fetch_add (&wrong, 1);
    for (unsigned i = 0; (name = statistics_name (device, i)); ++i) {
      /* NULL: it went in between. */
      text = statistics_describe (device, name);
      free (text);
      json_decref (statistics_of (device, name));
      free (name);
    }
    free (statistics_describe (device, ""));
    atomic_fetch_add (&looks, 1);
  }
  return NULL;
}

static void *
set (void *data)
{
  static const char *const values[][2] = {
    { "writeback.high", "77" },        { "writeback.low", "5" },
    { "tier.fast.level", "-2" },       { "tier.fast.limit", "8M" },
    { "tier.fast.limit", "0" },        { "backing.ssd.size", "48M" },
    { "backing.far.promote", "true" }, { "cgroup./.prio", "2" },
    { "tier.dense.level", "4" },       { "cgroup./.writeback_size", "100" },
  };

  (void) data;
  while (!atomic_load (&stop))
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; ++i) {
      char *error = NULL;

      /* What is not there now is refused, in words. */
      if (registry_store (device, values[i][0], values[i][1], &error) == -1
          && !error)
        atomic_fetch_add (&wrong, 1);
      free (error);
    }
  return NULL;
}

static void
test_changes (void **state)
{
  static unsigned parities[] = { 0, 1 };
  void *(*const mains[]) (void *) = { use, use, look, set };
  pthread_t threads[4];
  unsigned reloaded = 0;

  (void) state;
  for (unsigned i = 0; i < 4; ++i)
    assert_int_equal (pthread_create (&threads[i], NULL, mains[i],
                                      i < 2 ? &parities[i] : NULL),
                      0);
  for (unsigned i = 0; i < RELOADS; ++i) {
    unsigned seen = atomic_load (&looks);
    char *error = NULL;

    write_conf (i + 3 < 11 ? i + 3 : 11 + i);
    /* It may be refused: what leaves has no room elsewhere, or its name has
     * not left yet.
     */
    if (device_reload (device, &error) == 0)
      reloaded++;
    else {
      assert_non_null (error);
      free (error);
    }
    while (atomic_load (&looks) == seen)
      usleep (1000);
  }
  atomic_store (&stop, true);
  for (unsigned i = 0; i < 4; ++i)
    pthread_join (threads[i], NULL);
  print_message ("%u of %u reloads, %u looks\n", reloaded, RELOADS,
                 atomic_load (&looks));
  assert_int_equal (atomic_load (&wrong), 0);
  assert_true (reloaded > 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_changes) };

  return cmocka_run_group_tests (tests, setup, teardown);
}
