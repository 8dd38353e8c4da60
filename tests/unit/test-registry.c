/* SPDX-License-Identifier: BSD-3-Clause */
/* The registry of attributes: every one is shown, every writable one takes
 * what it says it takes, and a value that is refused changes nothing.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/registry.h"

static char folder[] = "/tmp/tierswap-test-XXXXXX";
static char conf[64], ssd[64], far[64];
static struct device *device;

static void
write_conf (void)
{
  FILE *file = fopen (conf, "w");

  assert_non_null (file);
  fprintf (file,
           "size = \"64M\"\n"
           "pool { limit = \"32M\" }\n"
           "tier \"fast\" { prio = 1  codec = \"lz4\"  limit = \"16M\" }\n"
           "tier \"dense\" { prio = 3  codec = \"zstd\"  level = 2 }\n"
           "backing \"far\" { prio = 2  path = \"%s\"  size = \"8M\" }\n"
           "backing \"ssd\" { prio = 1  path = \"%s\"  size = \"4M\" }\n",
           far, ssd);
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
  write_conf ();
  assert_int_equal (device_create (conf, NULL, &device), 0);
  assert_int_equal (device_start (device), 0);
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

static const char *
show (const char *name)
{
  static char value[REGISTRY_VALUE];
  char *error;

  if (registry_show (device, name, value, &error) == -1) {
    print_error ("%s: %s\n", name, error);
    fail ();
  }
  assert_null (error);
  return value;
}

static void
shows (const char *name, const char *value)
{
  assert_string_equal (show (name), value);
}

static void
test_shown (void **state)
{
  (void) state;
  shows ("size", "67108864");
  shows ("pool.limit", "33554432");
  shows ("tier.fast.prio", "1");
  shows ("tier.fast.codec", "lz4");
  shows ("tier.fast.limit", "16777216");
  shows ("tier.dense.prio", "3");
  shows ("tier.dense.level", "2");
  shows ("tier.dense.limit", "0");
  shows ("tier.dense.pages", "0");
  shows ("backing.ssd.prio", "1");
  shows ("backing.ssd.kind", "file");
  shows ("backing.ssd.state", "online");
  shows ("backing.ssd.size", "4194304");
  shows ("backing.far.size", "8388608");
  shows ("backing.far.used", "0");
  shows ("backing.far.promote", "false");
  shows ("writeback.high", "90");
  shows ("writeback.limit_left", "none");
  shows ("cgroup./.prio", "1");
  shows ("cgroup./.pages_memory", "0");
}

static void
unknown (const char *name)
{
  char value[REGISTRY_VALUE], *error;

  errno = 0;
  assert_int_equal (registry_show (device, name, value, &error), -1);
  assert_int_equal (errno, ENOENT);
  assert_non_null (error);
  free (error);
  assert_int_equal (registry_store (device, name, "1", &error), -1);
  assert_int_equal (errno, ENOENT);
  free (error);
}

static void
test_unknown (void **state)
{
  char longest[300];

  (void) state;
  unknown ("");
  unknown (".");
  unknown ("..");
  unknown ("Size");
  unknown ("pool");
  unknown ("pool.");
  unknown (".limit");
  unknown (".size");
  unknown ("pool.colour");
  unknown ("pool.fast.limit");
  unknown ("tier.limit");
  unknown ("tier..limit");
  unknown ("tier.ssd.limit");
  unknown ("tier.fast.limit.");
  unknown ("backing.fast.size");
  unknown ("cgroup./db.prio");
  unknown ("cgroup.prio");
  memset (longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  unknown (longest);
  memcpy (longest, "tier.", 5);
  memcpy (longest + 290, ".limit", 7);
  unknown (longest);
}

/* What a walk meets. */
struct met {
  unsigned all, writable;
};

static int
meet (void *opaque, const char *name, const char *value, bool writable)
{
  struct met *met = opaque;

  assert_true (strlen (name) > 0 && strlen (value) > 0);
  met->all++;
  met->writable += writable;
  return strcmp (name, "cgroup./.prio") == 0 ? 7 : 0;
}

struct names {
  unsigned count;
  char names[100][REGISTRY_NAME];
};

static int
collect (void *opaque, const char *name, const char *value, bool writable)
{
  struct names *names = opaque;

  (void) value;
  if (writable)
    snprintf (names->names[names->count++], REGISTRY_NAME, "%s", name);
  return 0;
}

static void
test_walk (void **state)
{
  struct met met = { 0, 0 };
  struct names names = { .count = 0 };

  (void) state;
  assert_int_equal (registry_walk (device, meet, &met), 7);
  assert_true (met.all > 60 && met.all < 100);
  assert_true (met.writable > 10);
  assert_int_equal (registry_walk (device, collect, &names), 0);
  /* pool 1, tiers 2 * 4, backings 2 * 3, writeback 4, cgroup 4 */
  assert_int_equal (names.count, 23);
  for (unsigned i = 0; i < names.count; ++i)
    show (names.names[i]);
}

static void
stores (const char *name, const char *value, const char *shown)
{
  char *error = NULL;

  if (registry_store (device, name, value, &error) == -1) {
    print_error ("%s = %s: %s\n", name, value, error);
    fail ();
  }
  assert_null (error);
  shows (name, shown);
}

static void
refused (const char *name, const char *value, int code)
{
  char before[REGISTRY_VALUE], *error = NULL;

  strcpy (before, show (name));
  errno = 0;
  if (registry_store (device, name, value, &error) == 0) {
    print_error ("%s took \"%s\"\n", name, value);
    fail ();
  }
  assert_int_equal (errno, code);
  assert_non_null (error);
  assert_true (strlen (error) > 20);
  assert_null (strchr (error, '\n'));
  free (error);
  shows (name, before);
}

static void
test_stored (void **state)
{
  (void) state;
  stores ("pool.limit", "24M", "25165824");
  stores ("pool.limit", "33554432", "33554432");
  stores ("tier.fast.limit", "8M", "8388608");
  stores ("tier.fast.limit", "0", "0");
  stores ("tier.fast.level", "-5", "-5");
  stores ("tier.dense.level", "19", "19");
  stores ("tier.fast.demote_age", "60", "60");
  stores ("tier.fast.demote_age", "0", "0");
  stores ("tier.dense.group", "1", "1");
  stores ("tier.dense.group", "4", "4");
  stores ("backing.ssd.size", "6M", "6291456");
  stores ("backing.ssd.size", "2M", "2097152");
  stores ("backing.ssd.promote", "true", "true");
  stores ("backing.ssd.promote", "false", "false");
  stores ("writeback.low", "10", "10");
  stores ("writeback.high", "70", "70");
  stores ("writeback.high", "100", "100");
  stores ("writeback.age", "4294967295", "4294967295");
  stores ("writeback.age", "0", "0");
  stores ("writeback.limit", "1G", "1073741824");
  shows ("writeback.limit_left", "1073741824");
  stores ("writeback.limit", "0", "0");
  shows ("writeback.limit_left", "none");
  stores ("cgroup./.prio", "4", "4");
  stores ("cgroup./.writeback_prio", "0", "0");
  stores ("cgroup./.writeback_size", "4096", "4096");
  shows ("cgroup./.prio", "4");
  assert_int_equal (cgroups_root (device->cgroups).writeback_size, 4096);
  /* What they are to others. */
  assert_int_equal (store_pool_limit (device->store), 33554432);
}

static void
test_refused (void **state)
{
  static const char *const numbers[]
      = { "", " ", "x", "-1", "1x", "0x10", "1.5", "99999999999999999999999" };
  static const char *const numeric[] = {
    "pool.limit",       "tier.fast.limit",         "tier.fast.demote_age",
    "tier.dense.group", "backing.ssd.size",        "writeback.high",
    "writeback.low",    "writeback.age",           "writeback.limit",
    "cgroup./.prio",    "cgroup./.writeback_prio", "cgroup./.writeback_size"
  };

  (void) state;
  for (size_t i = 0; i < sizeof numeric / sizeof numeric[0]; ++i)
    for (size_t j = 0; j < sizeof numbers / sizeof numbers[0]; ++j)
      refused (numeric[i], numbers[j], EINVAL);
  refused ("pool.limit", "1M", EINVAL);
  refused ("pool.limit", "8388609", EINVAL);
  refused ("pool.limit", "200%", EINVAL);
  refused ("tier.fast.limit", "64M", EINVAL);
  refused ("tier.fast.limit", "4096", EINVAL);
  refused ("tier.fast.limit", "8388609", EINVAL);
  refused ("tier.fast.level", "2", EINVAL);
  refused ("tier.dense.level", "20", EINVAL);
  refused ("tier.dense.level", "", EINVAL);
  refused ("tier.dense.level", "one", EINVAL);
  refused ("tier.dense.level", "99999999999999999999", EINVAL);
  refused ("tier.dense.group", "0", EINVAL);
  refused ("tier.dense.group", "5", EINVAL);
  refused ("backing.ssd.size", "0", EINVAL);
  refused ("backing.ssd.size", "4096", EINVAL);
  refused ("backing.ssd.size", "50%", EINVAL);
  refused ("backing.ssd.size", "4194305", EINVAL);
  refused ("backing.ssd.promote", "yes", EINVAL);
  refused ("backing.ssd.promote", "", EINVAL);
  refused ("writeback.high", "101", EINVAL);
  refused ("writeback.high", "0", EINVAL);
  refused ("writeback.low", "100", EINVAL);
  refused ("writeback.age", "4294967296", EINVAL);
  refused ("cgroup./.prio", "0", EINVAL);
  refused ("cgroup./.prio", "5", EINVAL);
  refused ("cgroup./.writeback_prio", "5", EINVAL);
  refused ("cgroup./.writeback_size", "4097", EINVAL);
  /* high must stay above low, whichever is set. */
  stores ("writeback.low", "50", "50");
  stores ("writeback.high", "60", "60");
  refused ("writeback.low", "60", EINVAL);
  refused ("writeback.high", "50", EINVAL);
}

static int
read_only (void *opaque, const char *name, const char *value, bool writable)
{
  struct names *names = opaque;

  (void) value;
  if (!writable)
    snprintf (names->names[names->count++], REGISTRY_NAME, "%s", name);
  return 0;
}

static void
test_read_only (void **state)
{
  struct names names = { .count = 0 };

  (void) state;
  registry_walk (device, read_only, &names);
  assert_true (names.count > 40);
  for (unsigned i = 0; i < names.count; ++i)
    refused (names.names[i], "1", EACCES);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_shown),   cmocka_unit_test (test_unknown),
    cmocka_unit_test (test_walk),    cmocka_unit_test (test_stored),
    cmocka_unit_test (test_refused), cmocka_unit_test (test_read_only),
  };

  return cmocka_run_group_tests (tests, setup, teardown);
}
