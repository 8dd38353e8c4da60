/* SPDX-License-Identifier: BSD-3-Clause */
/* What attach and detach decide without a kernel's help: their arguments, the
 * first page of a swap area, and the memory that is missing.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/disk.h"
#include "attach/options.h"
#include "attach/swap.h"
#include "store/room.h"
#include "test.h"

#define ALL (~0U)

static const char *const control = "/run/tierswap/control.sock";

static void
refused (unsigned taken, char *const words[], const char *pattern)
{
  struct options options;
  struct why why = { "" };

  assert_int_equal (options_parse (&options, taken, words, control, &why), -1);
  assert_int_equal (errno, EINVAL);
  if (!strstr (why.text, pattern))
    fail_msg ("\"%s\" is not in \"%s\"", pattern, why.text);
}

static void
refused_word (const char *word, const char *pattern)
{
  char *const words[] = { (char *) word, NULL };

  refused (ALL, words, pattern);
}

static void
test_options (void **state)
{
  char *words[]
      = { "priority=5",    "connections=8", "timeout=30", "patience=3600",
          "socket=/run/s", "wait=60",       "--force",    "--",
          "nbdkit",        "priority=9",    NULL };
  char *none[] = { NULL }, *twice[] = { "wait=1", "wait=1", NULL };
  struct options o;
  struct why why;

  (void) state;
  assert_int_equal (options_parse (&o, ALL, none, control, &why), 0);
  assert_string_equal (o.socket, "/run/tierswap/nbd.sock");
  assert_int_equal (o.priority, -1);
  assert_int_equal (o.connections, 0);
  assert_true (o.timeout > ROOM_WAIT_SECONDS);
  assert_null (o.command);
  assert_int_equal (options_parse (&o, OPTION_TIMES, none, control, &why), 0);
  assert_int_equal (o.timeout, 0);
  assert_int_equal (options_parse (&o, OPTION_TIMES | OPTION_CONNECTIONS, none,
                                   control, &why),
                    0);
  assert_true (o.timeout > ROOM_WAIT_SECONDS + 30); /* a backing hangs */
  assert_int_equal (options_parse (&o, ALL, none, "here.sock", &why), 0);
  assert_string_equal (o.socket, "nbd.sock");

  assert_int_equal (options_parse (&o, ALL, words, control, &why), 0);
  assert_int_equal (o.priority, 5);
  assert_int_equal (o.connections, 8);
  assert_int_equal (o.timeout, 30);
  assert_int_equal (o.patience, 3600);
  assert_int_equal (o.wait, 60);
  assert_true (o.force);
  assert_string_equal (o.socket, "/run/s");
  assert_string_equal (o.command[0], "nbdkit");

  refused_word ("priority=-1", "from 0 to 32767");
  refused_word ("priority=", "from 0 to 32767");
  refused_word ("priority=1x", "from 0 to 32767");
  refused_word ("priority=99999999999999999999", "from 0 to 32767");
  refused_word ("connections=0", "from 1 to 64");
  refused_word ("timeout=0", "from 1 to");
  refused_word ("socket=", "-U");
  refused_word ("prio=1", "not taken here");
  refused_word ("priority", "not taken here");
  refused_word ("--", "missing after --");
  refused (ALL, twice, "wait is given twice");
  refused (OPTION_WAIT, words, "\"priority=5\" is not taken here");
}

static void
test_swap_header (void **state)
{
  char path[] = "/tmp/tierswap-unit.XXXXXX", uuid[SWAP_UUID_ROOM],
       found[SWAP_UUID_ROOM], other[SWAP_UUID_ROOM];
  unsigned char page[SWAP_PAGE] = { 0 };
  int fd = mkstemp (path);
  struct why why;
  uint32_t pages;

  (void) state;
  assert_false (swap_read_header (page, found));
  assert_int_equal (swap_new_uuid (uuid, &why), 0);
  assert_int_equal (strlen (uuid), 36);
  assert_int_equal (uuid[14], '4');
  assert_int_equal (swap_new_uuid (other, &why), 0);
  assert_string_not_equal (uuid, other);
  assert_int_equal (ftruncate (fd, 1 << 20), 0);
  assert_int_equal (swap_make (path, 1 << 20, uuid, &why), 0);
  assert_int_equal (pread (fd, page, sizeof page, 0), sizeof page);
  assert_true (swap_read_header (page, found));
  assert_string_equal (found, uuid);
  memcpy (&pages, page + 1028, sizeof pages);
  assert_int_equal (pages, 255); /* the last one */
  assert_memory_equal (page + 1052, "tierswap", 9);
  page[4095] = '1'; /* the format of old */
  assert_false (swap_read_header (page, found));
  close (fd);
  unlink (path);
  assert_int_equal (swap_make (path, 1 << 20, uuid, &why), -1);
  assert_int_equal (errno, ENOENT);
}

static void
test_missing (void **state)
{
  struct swap_usage usage = { true, 100, 60, 40 };

  (void) state;
  assert_int_equal (swap_missing (&usage), 0);
  usage.used = 101;
  assert_int_equal (swap_missing (&usage), 1);
  usage.on = false;
  assert_int_equal (swap_missing (&usage), 0);
}

static void
test_usage (void **state)
{
  struct swap_usage usage;
  struct why why;

  (void) state;
  assert_int_equal (swap_get_usage (0, &usage, &why), 0);
  assert_false (usage.on);
  assert_int_equal (usage.used, 0);
  assert_true (usage.memory_free > 0);
}

static void
test_disks (void **state)
{
  static const struct {
    const char *path;
    int error;
  } wrong[] = { { "/dev/null", ENOTBLK },
                { "/", ENOTBLK },
                { "/dev/null/nbd0", ENOTDIR } };
  struct disk disk;
  struct why why;

  (void) state;
  for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    assert_int_equal (disk_find (&disk, wrong[i].path, &why), -1);
    assert_int_equal (errno, wrong[i].error);
    assert_non_null (strstr (why.text, wrong[i].path));
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_options), cmocka_unit_test (test_swap_header),
    cmocka_unit_test (test_missing), cmocka_unit_test (test_usage),
    cmocka_unit_test (test_disks),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
