/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes: what is one, what it comes to, and what is none. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config-size.h"
#include "policy/config.h"

#define MIB (UINT64_C (1) << 20)

static uint64_t
size (const char *text, uint64_t memory)
{
  uint64_t bytes = 1;

  assert_int_equal (config_parse_size (text, memory, &bytes), 0);
  return bytes;
}

static void
refused (const char *text, uint64_t memory, int expected)
{
  uint64_t bytes = 12345;

  errno = 0;
  if (config_parse_size (text, memory, &bytes) != -1)
    fail_msg ("\"%s\" is taken for a size", text);
  if (errno != expected)
    fail_msg ("\"%s\" gives errno %d", text, errno);
  assert_int_equal (bytes, 12345);
}

static void
test_numbers (void **state)
{
  (void) state;
  assert_int_equal (size ("0", 0), 0);
  assert_int_equal (size ("1", 0), 1);
  assert_int_equal (size ("0004096", 0), 4096);
  assert_int_equal (size ("9223372036854775807", 0), INT64_MAX);
  refused ("", 0, EINVAL);
  refused ("-1", 0, EINVAL);
  refused ("+1", 0, EINVAL);
  refused (" 1", 0, EINVAL);
  refused ("1 ", 0, EINVAL);
  refused ("1.5", 0, EINVAL);
  refused ("0x10", 0, EINVAL);
  refused ("many", 0, EINVAL);
  refused ("9223372036854775808", 0, ERANGE);
  refused ("18446744073709551616", 0, ERANGE);
  refused ("100000000000000000000000000000000000000", 0, ERANGE);
}

static void
test_suffixes (void **state)
{
  (void) state;
  assert_int_equal (size ("64K", 0), 65536);
  assert_int_equal (size ("64k", 0), 65536);
  assert_int_equal (size ("512M", 0), 512 * MIB);
  assert_int_equal (size ("8G", 0), 8192 * MIB);
  assert_int_equal (size ("3t", 0), 3 * MIB * MIB);
  assert_int_equal (size ("2P", 0), 2 * 1024 * MIB * MIB);
  assert_int_equal (size ("7E", 0), INT64_C (7) << 60);
  assert_int_equal (size ("0G", 0), 0);
  refused ("G", 0, EINVAL);
  refused ("8GB", 0, EINVAL);
  refused ("8GiB", 0, EINVAL);
  refused ("8 G", 0, EINVAL);
  refused ("8X", 0, EINVAL);
  refused ("8E", 0, ERANGE);
  refused ("16E", 0, ERANGE);
  refused ("17592186044416M", 0, ERANGE);
}

/* A number that is no size and too large is no size. */
static void
test_too_large_nonsense (void **state)
{
  (void) state;
  refused ("99999999999999999999999x", 0, EINVAL);
}

static void
test_percentages (void **state)
{
  uint64_t memory = 1000 * MIB + 5000;

  (void) state;
  assert_int_equal (size ("100%", memory), 1000 * MIB + 4096);
  assert_int_equal (size ("50%", memory), 500 * MIB);
  assert_int_equal (size ("200%", memory), 2000 * MIB + 8192);
  assert_int_equal (size ("33%", 4096), 0);
  assert_int_equal (size ("0%", memory), 0);
  refused ("50%", 0, EINVAL);
  refused ("%", memory, EINVAL);
  refused ("50%%", memory, EINVAL);
  refused ("50%M", memory, EINVAL);
  refused ("50M%", memory, EINVAL);
  refused ("-50%", memory, EINVAL);
  refused ("12.5%", memory, EINVAL);
  refused ("18446744073709551615%", memory, ERANGE);
  refused ("18446744073709551616%", memory, ERANGE);
}

static void
test_format (void **state)
{
  static const char *const sizes[] = {
    "0", "1", "1000", "1K", "1025K", "512M", "8G", "3T", "2P", "7E",
  };

  (void) state;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    assert_string_equal (config_format_size (size (sizes[i], 0)).text,
                         sizes[i]);
  assert_string_equal (config_format_size (2048).text, "2K");
  assert_string_equal (config_format_size (INT64_MAX).text,
                       "9223372036854775807");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_numbers),
    cmocka_unit_test (test_suffixes),
    cmocka_unit_test (test_too_large_nonsense),
    cmocka_unit_test (test_percentages),
    cmocka_unit_test (test_format),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
