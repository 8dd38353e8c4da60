/* SPDX-License-Identifier: BSD-3-Clause */
/* Files: read whole, or refused with the reason why they cannot be read. */
#include <config.h>

#include <errno.h>
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

#include "policy/config.h"

static char folder[] = "/tmp/test-config-load-XXXXXX";
static char path[64];

static void
put (const void *bytes, size_t count)
{
  FILE *file = fopen (path, "w");

  assert_non_null (file);
  assert_int_equal (fwrite (bytes, 1, count, file), count);
  assert_int_equal (fclose (file), 0);
}

static void
refused (const char *name, int line, int expected, const char *phrase)
{
  struct config *config;
  char *error = NULL, begin[96];

  errno = 0;
  config = config_load (name, &error);
  assert_null (config);
  assert_int_equal (errno, expected);
  assert_non_null (error);
  snprintf (begin, sizeof begin, "%s:%d: ", name, line);
  if (strncmp (error, begin, strlen (begin)) != 0
      || strstr (error, phrase) == NULL || strchr (error, '\n') != NULL)
    fail_msg ("%s", error);
  free (error);
}

static int
set_up (void **state)
{
  (void) state;
  if (mkdtemp (folder) == NULL)
    return -1;
  snprintf (path, sizeof path, "%s/tierswap.conf", folder);
  return 0;
}

static int
remove_file (void **state)
{
  (void) state;
  unlink (path);
  return 0;
}

static int
tear_down (void **state)
{
  (void) state;
  return rmdir (folder);
}

static void
test_good_file (void **state)
{
  static const char text[] = "size = 64M\nwriteback { age = 7 }";
  char *error = NULL;
  struct config *config;

  (void) state;
  put (text, strlen (text));
  config = config_load (path, &error);
  if (config == NULL)
    fail_msg ("%s", error);
  assert_string_equal (config->file, path);
  assert_int_equal (config->size, 64 << 20);
  assert_int_equal (config->writeback.age, 7);
  config_free (config);
}

static void
test_missing_file (void **state)
{
  (void) state;
  refused (path, 0, ENOENT, "No such file");
  refused ("", 0, ENOENT, "No such file");
}

static void
test_unreadable_file (void **state)
{
  uid_t user = geteuid ();

  (void) state;
  put ("", 0);
  assert_int_equal (chmod (path, 0), 0);
  /* A mode does not keep root out. */
  if (user == 0 && seteuid (65534) == -1) {
    print_message ("root cannot become another user here\n");
    skip ();
  }
  refused (path, 0, EACCES, "Permission denied");
  assert_int_equal (seteuid (user), 0);
}

static void
test_directory (void **state)
{
  (void) state;
  refused (folder, 0, EISDIR, "directory");
}

/* Nor is it waited for. */
static void
test_pipe (void **state)
{
  (void) state;
  alarm (60); /* that would be for ever */
  assert_int_equal (mkfifo (path, 0600), 0);
  refused (path, 0, EINVAL, "regular file");
  alarm (0);
}

static void
test_device (void **state)
{
  (void) state;
  refused ("/dev/zero", 0, EINVAL, "regular file");
}

static void
test_large_file (void **state)
{
  size_t size = 1 << 20;
  char *text = malloc (size + 1), *error = NULL;
  struct config *config;

  (void) state;
  assert_non_null (text);
  memset (text, '\n', size + 1);
  put (text, size);
  config = config_load (path, &error);
  if (config == NULL)
    fail_msg ("%s", error);
  config_free (config);
  put (text, size + 1);
  refused (path, 0, EFBIG, "larger than 1M");
  text[size - 1] = '}';
  put (text, size);
  refused (path, 1 << 20, EINVAL, "no section");
  free (text);
}

static void
test_nul_byte (void **state)
{
  static const char text[] = "size = 64M\n# \0\npool { }\n";

  (void) state;
  put (text, sizeof text - 1);
  refused (path, 2, EINVAL, "NUL byte");
}

static void
test_mistake (void **state)
{
  static const char text[] = "size = 64M\n\npool { limit = some }\n";

  (void) state;
  put (text, sizeof text - 1);
  refused (path, 3, EINVAL, "\"some\" is not a size");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown (test_good_file, remove_file),
    cmocka_unit_test_teardown (test_missing_file, remove_file),
    cmocka_unit_test_teardown (test_unreadable_file, remove_file),
    cmocka_unit_test_teardown (test_directory, remove_file),
    cmocka_unit_test_teardown (test_pipe, remove_file),
    cmocka_unit_test_teardown (test_device, remove_file),
    cmocka_unit_test_teardown (test_large_file, remove_file),
    cmocka_unit_test_teardown (test_nul_byte, remove_file),
    cmocka_unit_test_teardown (test_mistake, remove_file),
  };

  return cmocka_run_group_tests (tests, set_up, tear_down);
}
