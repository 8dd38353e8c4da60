/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory that there is for the server: the limits of its cgroups, v1 and
 * v2, are found where the kernel says that they are.
 */
#include <config.h>

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "policy/config-memory.h"
#include "policy/config.h"

#define GIB (UINT64_C (1) << 30)
#define V2 "30 20 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_CPU "31 20 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
#define V1                                                                     \
  "32 20 0:29 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup "   \
  "rw,memory\n"

static char root[] = "/tmp/test-config-memory-XXXXXX";

/* Write a file below the root, with the folders that it is in. */
static void
put (const char *path, const char *text)
{
  char name[512];
  FILE *file;

  assert_true (snprintf (name, sizeof name, "%s%s", root, path)
               < (int) sizeof name);
  for (char *p = name + strlen (root) + 1; (p = strchr (p, '/')) != NULL; p++) {
    *p = '\0';
    mkdir (name, 0700);
    *p = '/';
  }
  file = fopen (name, "w");
  assert_non_null (file);
  fputs (text, file);
  assert_int_equal (fclose (file), 0);
}

static int
remove_entry (const char *path, const struct stat *status, int type,
              struct FTW *where)
{
  (void) status;
  (void) type;
  (void) where;
  return remove (path);
}

static int
set_up (void **state)
{
  (void) state;
  strcpy (strrchr (root, '-'), "-XXXXXX");
  return mkdtemp (root) != NULL ? 0 : -1;
}

static int
tear_down (void **state)
{
  (void) state;
  return nftw (root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void
test_nothing_to_read (void **state)
{
  (void) state;
  assert_int_equal (config_memory_limit (root, GIB), GIB);
  put ("/proc/self/mountinfo", V2);
  assert_int_equal (config_memory_limit (root, GIB), GIB);
  put ("/proc/self/cgroup", "0::/a/b\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB);
  put ("/proc/self/mountinfo", "nonsense\n - \n1 2 3 - x\n\n");
  put ("/proc/self/cgroup", "nonsense\n::\n:\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB);
}

static void
test_unified (void **state)
{
  (void) state;
  put ("/proc/self/mountinfo", V2);
  put ("/proc/self/cgroup", "0::/system.slice/tierswap.service\n");
  put ("/sys/fs/cgroup/system.slice/tierswap.service/memory.max",
       "536870912\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB / 2);
  /* What the machine has is less. */
  assert_int_equal (config_memory_limit (root, GIB / 4), GIB / 4);
}

static void
test_unified_without_limit (void **state)
{
  (void) state;
  put ("/proc/self/mountinfo", V2);
  put ("/proc/self/cgroup", "0::/a\n");
  put ("/sys/fs/cgroup/a/memory.max", "max\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB);
}

static void
test_ancestor (void **state)
{
  (void) state;
  put ("/proc/self/mountinfo", V2);
  put ("/proc/self/cgroup", "0::/a/b/c\n");
  put ("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
  put ("/sys/fs/cgroup/a/memory.max", "268435456\n");
  put ("/sys/fs/cgroup/ab/memory.max", "4096\n");
  put ("/sys/fs/memory.max", "4096\n"); /* above the mount: not a cgroup */
  assert_int_equal (config_memory_limit (root, GIB), GIB / 4);
}

static void
test_root_cgroup (void **state)
{
  (void) state;
  put ("/proc/self/mountinfo", V2);
  put ("/proc/self/cgroup", "0::/\n");
  put ("/sys/fs/cgroup/memory.max", "134217728\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB / 8);
}

static void
test_controllers (void **state)
{
  (void) state;
  put ("/proc/self/mountinfo", V1_CPU V1);
  put ("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:blkio,memory:/box\n0::/y\n");
  put ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put ("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "536870912\n");
  put ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "4096\n");
  put ("/sys/fs/cgroup/memory/y/memory.limit_in_bytes", "4096\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB / 2);
}

/* Both hierarchies are mounted, and memory is with the old one. */
static void
test_hybrid (void **state)
{
  (void) state;
  put ("/proc/self/mountinfo",
       V1 "33 20 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  put ("/proc/self/cgroup", "4:memory:/box\n0::/\n");
  put ("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "268435456\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB / 4);
}

/* A container sees its own cgroup mounted as if it were the root. */
static void
test_container (void **state)
{
  (void) state;
  put ("/proc/self/mountinfo",
       "32 20 0:29 /box/1 /sys/fs/cgroup/memory ro - cgroup cgroup "
       "rw,memory\n");
  put ("/proc/self/cgroup", "4:memory:/box/1/inner\n");
  put ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
  put ("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "268435456\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB / 4);
  /* A path that is not of what is mounted: that of the mount is taken. */
  put ("/proc/self/cgroup", "4:memory:/box/12\n");
  assert_int_equal (config_memory_limit (root, GIB), GIB / 2);
}

static void
test_this_machine (void **state)
{
  uint64_t memory = config_machine_memory ();

  (void) state;
  assert_true (memory > 0);
  assert_true (memory <= (uint64_t) sysconf (_SC_PHYS_PAGES)
                             * (uint64_t) sysconf (_SC_PAGESIZE));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (test_nothing_to_read, set_up, tear_down),
    cmocka_unit_test_setup_teardown (test_unified, set_up, tear_down),
    cmocka_unit_test_setup_teardown (test_unified_without_limit, set_up,
                                     tear_down),
    cmocka_unit_test_setup_teardown (test_ancestor, set_up, tear_down),
    cmocka_unit_test_setup_teardown (test_root_cgroup, set_up, tear_down),
    cmocka_unit_test_setup_teardown (test_controllers, set_up, tear_down),
    cmocka_unit_test_setup_teardown (test_hybrid, set_up, tear_down),
    cmocka_unit_test_setup_teardown (test_container, set_up, tear_down),
    cmocka_unit_test (test_this_machine),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
