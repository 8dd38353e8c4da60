/* SPDX-License-Identifier: BSD-3-Clause */
/* Mistakes: each is refused with the line it is in and what would be right. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"

struct mistake {
  const char *text;
  int line;
  const char *wrong, *right; /* phrases of the message, in this order */
};

static const struct mistake mistakes[] = {
  /* What there is not. */
  { "\nsice = 8G", 2, "\"sice\"",
    "size, shim, pool, tier, backing, writeback and" },
  { "\n\ntears \"fast\" { prio = 1 }", 3, "\"tears\"", "pool, tier" },
  { "pool {\n limt = 1G }", 2, "\"limt\"",
    "pool has the options limit, state" },
  { "tier a {\n prio = 1\n\n codek = lz4 }", 4, "\"codek\"", "codec, level" },
  { "backing a { file = /x }", 1, "\"file\"", "prio, path, uri, size" },
  { "writeback { hi = 9 }", 1, "\"hi\"", "high, low, age and limit" },
  { "cgroup /a { high = 9 }", 1, "\"high\"", "writeback_prio" },
  { "tier a {\n pool { } }", 2, "\"pool\"", "prio, codec" },
  { "pool|limit = 4M", 1, "\"|\"", "quotes" },
  { "shim = \"tierswap-shim\"", 1, "\"tierswap-shim\"", "\"bpf\"" },
  { "'pool|limit' = 4M", 1, "pool", "size, shim, pool" },
  { "include(\"x\")", 1, "\"(\"", "leave it out" },

  /* What is there twice. */
  { "size = 8G\n# x\nsize = 4G", 3, "size is given a second time", "keep one" },
  { "pool { limit = 4M\n limit = 8M }", 2, "limit is given a second", "keep" },
  { "pool { }\n\npool {\n}", 3, "section pool in line 1", "there" },
  { "writeback { }\nwriteback { }", 2, "section writeback in line 1", "there" },
  { "tier a { prio = 1 codec = lz4 }\ntier a { prio = 2 codec = lz4 }", 2,
    "duplicate title \"a\"", "needs its own" },
  { "backing a { prio = 1 path = /x }\nbacking a { prio = 2 path = /y }", 2,
    "duplicate title \"a\"", "needs its own" },
  { "cgroup /a { }\ncgroup / { }\ncgroup /a { }", 3, "duplicate title \"/a\"",
    "needs its own" },
  { "tier a { prio = 1 codec = lz4 }\n\nbacking a { prio = 2 path = /y }", 3,
    "name \"a\" is that of the tier in line", "another" },
  { "backing a { prio = 2 path = /y }\ntier a { prio = 1 codec = lz4 }", 1,
    "name \"a\" is that of the tier in line", "another" },
  { "backing dense { prio = 2 path = /y }", 1,
    "name \"dense\" is that of a tier, one of those that are there when",
    "another" },
  { "tier a { prio = 2 codec = lz4 }\ntier b {\n prio = 2 codec = lz4 }", 3,
    "prio 2 is that of the tier in line 1", "1, 3, 4" },
  { "backing a { prio = 1 path = /x }\nbacking b { prio = 1 path = /y }", 2,
    "prio 1 is that of the backing in line 1", "2, 3, 4" },
  { "backing a { prio = 1 path = /x }\nbacking b { prio = 2\n path = /x }", 3,
    "\"/x\" is that of the backing in line 1", "its own" },
  { "backing a { prio = 1 uri = nbd://h }\nbacking b { prio = 2\n"
    "uri = nbd://h }",
    3, "\"nbd://h\" is that of the backing in line 1", "its own" },

  /* How many there may be. */
  { "tier a { prio = 1 codec = lz4 }\ntier b { prio = 2 codec = lz4 }\n"
    "tier c { prio = 3 codec = lz4 }\ntier d { prio = 4 codec = lz4 }\n"
    "tier e { prio = 1 codec = lz4 }",
    5, "one tier too many", "at most 4" },
  { "backing a { prio = 1 path = /a }\nbacking b { prio = 2 path = /b }\n"
    "backing c { prio = 3 path = /c }\nbacking d { prio = 4 path = /d }\n\n"
    "backing e { prio = 5 path = /e }",
    6, "one backing too many", "at most 4" },

  /* Names. */
  { "\ntier stats { prio = 1 codec = lz4 }", 2, "\"stats\"", "another" },
  { "\nbacking stats { prio = 1 path = /x }", 2, "\"stats\"", "another" },
  { "tier \"\" { prio = 1 codec = lz4 }", 1, "\"\" cannot be", "1 to 32" },
  { "tier 'a b' { prio = 1 codec = lz4 }", 1, "\"a b\" cannot", "letters" },
  { "tier a/b { prio = 1 codec = lz4 }", 1, "\"a/b\" cannot", "letters" },
  { "tier \"\xc3\xa4\" { prio = 1 codec = lz4 }", 1, "cannot be", "letters" },
  { "\nbacking\n123456789012345678901234567890123 { prio = 1 path = /x }", 3,
    "cannot be the name of a backing", "1 to 32" },
  { "tier {\n prio = 1 }", 1, "missing title", "tier \"fast\" {" },

  /* Prios. */
  { "tier a {\n codec = lz4\n }", 1, "tier \"a\" has no prio", "1 to 4" },
  { "\n\nbacking a {\n path = /x }", 3, "backing \"a\" has no prio", "1 to 4" },
  { "tier a {\n prio = 0 codec = lz4 }", 2, "prio is \"0\"", "1 to 4" },
  { "tier a {\n prio = 5 codec = lz4 }", 2, "prio is \"5\"", "1 to 4" },
  { "tier a {\n prio = -1 codec = lz4 }", 2, "prio is \"-1\"", "1 to 4" },
  { "tier a { prio = one codec = lz4 }", 1, "prio is \"one\"", "1 to 4" },
  { "tier a { prio = \"\" codec = lz4 }", 1, "prio is \"\"", "1 to 4" },
  { "tier a { prio = 1x codec = lz4 }", 1, "prio is \"1x\"", "1 to 4" },
  { "tier a { prio = ' 1' codec = lz4 }", 1, "prio is \" 1\"", "1 to 4" },
  { "tier a { prio = 4294967297 codec = lz4 }", 1, "prio is", "1 to 4" },
  { "tier a { prio = 18446744073709551617 codec = lz4 }", 1, "prio is",
    "1 to 4" },
  { "backing a { prio = 5 path = /x }", 1, "prio is \"5\"", "1 to 4" },
  { "cgroup /a {\n prio = 0 }", 2, "prio is \"0\"", "1 to 4" },
  { "cgroup /a {\n\n writeback_prio = 5 }", 3, "writeback_prio is \"5\"",
    "0 to 4" },

  /* Codecs and levels. */
  { "tier a {\n prio = 1\n}", 1, "tier \"a\" has no codec",
    "none, lz4, lz4hc or zstd" },
  { "tier a { prio = 1\n codec = gzip }", 2, "no codec \"gzip\"",
    "none, lz4, lz4hc or zstd" },
  { "tier a { prio = 1\n codec = LZ4 }", 2, "no codec \"LZ4\"", "lz4" },
  { "tier a { prio = 1 codec = zstd\n\n level = 20 }", 3,
    "level is \"20\"; with zstd", "-131072 to 19" },
  { "tier a { prio = 1\n level = -131073 codec = zstd }", 2,
    "level is \"-131073\"", "-131072 to 19" },
  { "tier a { prio = 1 codec = lz4\n level = 2 }", 2, "level is \"2\"",
    "-65537 to 1" },
  { "tier a { prio = 1 codec = lz4\n level = -65538 }", 2, "-65538",
    "-65537 to 1" },
  { "tier a { prio = 1 codec = lz4hc level = 13 }", 1, "13", "0 to 12" },
  { "tier a { prio = 1 codec = lz4hc level = -1 }", 1, "-1", "0 to 12" },
  { "tier a { prio = 1 codec = none level = 1 }", 1, "\"1\"", "0 to 0" },
  { "tier a { prio = 1 codec = zstd level = high }", 1, "\"high\"",
    "-131072 to 19" },
  { "tier a { prio = 1 codec = zstd level = \"\" }", 1, "\"\"", "to 19" },
  { "tier a { prio = 1 codec = zstd level = 1.5 }", 1, "\"1.5\"", "to 19" },
  { "tier a { prio = 1 codec = zstd level = 99999999999999999999 }", 1,
    "level is", "to 19" },

  /* Sizes that are none. */
  { "size = many", 1, "size \"many\" is not a size", "\"512M\"" },
  { "\nsize = -8G", 2, "size \"-8G\" is not a size", "\"50%\"" },
  { "size = \"\"", 1, "size \"\" is not a size", "\"512M\"" },
  { "size = 8GB", 1, "\"8GB\" is not a size", "K, M, G or T" },
  { "size = 1.5G", 1, "\"1.5G\" is not a size", "whole number" },
  { "size = 8E", 1, "\"8E\" is too large", "less than 8E" },
  { "size = 99999999999999999999999G", 1, "is too large", "less than 8E" },
  { "size = 9999999999999999999%", 1, "is too large", "less than 8E" },
  { "size = 0", 1, "size \"0\" is nothing", "\"200%\"" },
  { "size = 0%", 1, "size \"0%\" is nothing", "\"200%\"" },
  { "size = 10000", 1, "is not a multiple of 4096", "\"8192\" or \"12288\"" },
  { "size = 4095", 1, "too small", "\"4K\" or more" },
  { "pool {\n limit = 4194305 }", 2, "is not a multiple of 4096",
    "\"4194304\" or \"4198400\"" },

  /* The pool. */
  { "pool {\n\n limit = 4092K }", 3, "\"4092K\" is too small", "\"4M\"" },
  { "pool {\n limit = 0 }", 2, "limit \"0\" is nothing", "\"50%\"" },
  { "pool {\n limit = 101% }", 2, "more than the memory of this machine",
    "or less" },
  { "pool {\n limit = 1000T }", 2, "more than the memory of this machine",
    "or less" },
  { "pool {\n limit = 9E }", 2, "is too large", "less than" },
  { "pool {\n limit = -1 }", 2, "\"-1\" is not a size", "50%" },
  { "pool {\n state = state.bin }", 2, "\"state.bin\" depends", "whole path" },

  /* Limits of tiers. */
  { "tier a { prio = 1 codec = lz4\n limit = 101% }", 2,
    "more than the memory of this machine", "or less" },
  { "pool { limit = 8M }\ntier a { prio = 1 codec = lz4\n limit = 12M }", 3,
    "\"12M\" is more than that of the pool", "\"8M\" or less" },
  { "tier a { prio = 1 codec = lz4\n limit = 8M }\npool { limit = 4M }", 2,
    "\"8M\" is more than that of the pool", "\"4M\" or less" },
  { "tier a { prio = 1 codec = lz4\n limit = 0 }", 2, "\"0\" is nothing",
    "leave it out" },
  { "tier a { prio = 1 codec = lz4\n limit = 128K }", 2, "is too small",
    "\"256K\" or more" },
  { "tier a { prio = 1 codec = lz4\n limit = 1000000 }", 2,
    "is not a multiple of 4096", "\"999424\" or \"1003520\"" },
  { "tier a { prio = 1 codec = lz4\n demote_age = never }", 2,
    "demote_age is \"never\"", "0 to 4294967295" },
  { "tier a { prio = 1 codec = lz4\n demote_age = 4294967296 }", 2,
    "demote_age is", "0 to 4294967295" },
  { "tier a { prio = 1 codec = lz4\n group = 5 }", 2, "group is \"5\"",
    "1 to 4" },
  { "tier a { prio = 1 codec = lz4\n group = 0 }", 2, "group is \"0\"",
    "1 to 4" },

  /* Backings. */
  { "backing a {\n prio = 1\n }", 1, "\"a\" has no place", "uri = \"nbd://" },
  { "backing a {\n prio = 1\n path = \"\" }", 3, "\"a\" has no place",
    "path = " },
  { "backing a {\n prio = 1\n uri = '' }", 3, "\"a\" has no place", "path = " },
  { "backing a { prio = 1\n path = /x\n uri = nbd://x/\n }", 3,
    "a path and a uri", "keep one" },
  { "backing a { prio = 1\n uri = nbd://x/\n path = /x\n }", 3,
    "a path and a uri", "keep one" },
  { "backing a { prio = 1\n path = ssd.img }", 2, "\"ssd.img\" depends",
    "whole path" },
  { "backing a { prio = 1\n uri = http://host/ }", 2, "\"http://host/\"",
    "nbd://host/export" },
  { "backing a { prio = 1 path = /x\n size = 50% }", 2,
    "\"50%\" is a percentage", "\"512M\"" },
  { "backing a { prio = 1 path = /x\n size = 0 }", 2, "\"0\" is nothing",
    "leave it out" },
  { "backing a { prio = 1 path = /x\n size = 64K }", 2, "is too small",
    "\"256K\"" },
  { "backing a { prio = 1 path = /x\n size = 300001 }", 2, "multiple of 4096",
    "\"299008\" or \"303104\"" },
  { "pool {\n verify = 1 }", 2, "verify is \"1\"", "true or false" },
  { "pool {\n wipe = x }", 2, "wipe is \"x\"", "true or false" },
  { "backing a { prio = 1 path = /x\n encrypt = 1 }", 2, "encrypt is \"1\"",
    "true or false" },
  { "backing a { prio = 1 path = /x\n promote = maybe }", 2,
    "promote is \"maybe\"", "true or false" },

  /* Writeback. */
  { "writeback {\n high = 101 }", 2, "high is \"101\"", "1 to 100" },
  { "writeback {\n high = 0 }", 2, "high is \"0\"", "1 to 100" },
  { "writeback {\n low = 100 }", 2, "low is \"100\"", "0 to 99" },
  { "writeback {\n low = -1 }", 2, "low is \"-1\"", "0 to 99" },
  { "writeback {\n high = 90%\n }", 2, "high is \"90%\"", "1 to 100" },
  { "writeback {\n high = 80\n low = 80\n }", 3, "low, 80, is not less",
    "high = 90" },
  { "writeback {\n high = 70\n }", 2, "low, 80 by default", "high = 90" },
  { "writeback {\n\n low = 95\n }", 3, "high, 90 by default", "high = 90" },
  { "writeback {\n age = 1h }", 2, "age is \"1h\"", "0 to 4294967295" },
  { "writeback {\n limit = 50% }", 2, "\"50%\" is a percentage", "512M" },
  { "writeback {\n limit = lots }", 2, "\"lots\" is not a size", "512M" },

  /* Cgroups. */
  { "\ncgroup db { }", 2, "\"db\" does not begin with /", "\"/db\"" },
  { "cgroup \"\" { }", 1, "\"\" does not begin with /", "\"/db\"" },
  { "cgroup /db/ { }", 1, "\"/db/\" ends with /", "leave that out" },
  { "cgroup /a/../b { }", 1, "\"..\" in it", "without" },
  { "cgroup /.. { }", 1, "\"..\" in it", "without" },
  { "cgroup /a/. { }", 1, "\"..\" in it", "without" },
  { "cgroup '//a' { }", 1, "empty name", "without" },
  { "cgroup '/a//b' { }", 1, "empty name", "without" },
  { "cgroup '//' { }", 1, "ends with /", "leave that out" },
  { "cgroup /a {\n writeback_size = 4097 }", 2, "writeback_size is \"4097\"",
    "0 to 4096" },
  { "cgroup /a {\n writeback_size = 4K }", 2, "writeback_size is \"4K\"",
    "0 to 4096" },
  { "cgroup /a {\n limit = 0 }", 2, "\"0\" is nothing", "leave it out" },
  { "pool { limit = 8M }\ncgroup /a {\n limit = 12M }", 3,
    "\"12M\" is more than the limit of the pool", "\"8M\" or less" },
  { "cgroup /a {\n limit = 300001 }", 2, "multiple of 4096", "\"303104\"" },
  { "cgroup {\n }", 1, "missing title", "name" },

  /* Syntax. */
  { "size", 1, "premature end", "option = \"value\"" },
  { "size =", 1, "premature end", "option = \"value\"" },
  { "size 8G", 1, "missing equal sign", "option = \"value\"" },
  { "\nsize = = 8G", 2, "unexpected token \"=\"", "option = \"value\"" },
  { "size = { 8G }", 1, "unexpected token \"{\"", "option = \"value\"" },
  { "= 8G", 1, "unexpected token \"=\"", "option = \"value\"" },
  { "size += 8G", 1, "\"+\" is not expected", "leave it out" },
  { "size = 8G;", 1, "\";\" is not expected", "leave it out" },
  { "\nsize = 8,5G", 2, "\",\" is not expected", "quotes" },
  { "size = $HOME", 1, "\"$\" is not expected", "quotes" },
  { "size = * 8G", 1, "\"*\" is not expected", "leave it out" },
  { "\xef\xbb\xbfsize = 8G", 1, "byte 0xef", "leave it out" },
  { "\x01", 1, "byte 0x01", "leave it out" },
  { "size = \"8G\nx", 1, "string that begins with \" here", "another \"" },
  { "\nsize = '8G", 2, "string that begins with ' here", "another '" },
  { "size = \"8G\\", 1, "single \\", "\\\\" },
  { "size = \"8\\x47\"", 1, "single \\", "\\\\" },
  { "size = \"${SIZE:-8G}\"", 1, "${", "the value itself" },
  { "size = \"8G\x07\"", 1, "control character 0x07", "leave it out" },
  { "# x\n\n/* a\nb", 3, "comment that begins here", "*/" },
  { "/*/", 1, "comment that begins here", "*/" },
  { "pool\n{\n limit = 4M\n", 1, "section that begins here", "\"}\"" },
  { "pool { limit = 4M\n\ntier a { prio = 1 codec = lz4 }", 1,
    "section that begins here", "\"}\"" },
  { "pool { } }\n", 1, "no section here to end", "leave it out" },
  { "\n}\n", 2, "no section here to end", "leave it out" },
  { "pool a { }", 1, "missing opening brace", "pool { ... }" },
  { "tier a prio = 1", 1, "missing opening brace", "tier \"fast\" {" },
  { "{ }", 1, "unexpected token", "option" },

  /* Lines are counted rightly behind comments and within sections. */
  { "# a\n/* b\n * c\n */ // d\n\npool { # e\n /* f */ limit = /* g */\n 1 }",
    8, "\"1\" is too small", "4M" },
  { "pool { limit = 4M }\r\n# x\r\ntier a { prio = 1\r\n codec = x }\r\n", 4,
    "no codec \"x\"", "lz4" },
  { "pool { limit = 4M }\nwriteback { age = 1\n}\n/* } */\ntier # {\na\n{\n"
    "codec = lz4 }",
    6, "has no prio", "1 to 4" },
};

#define MISTAKES (sizeof mistakes / sizeof mistakes[0])

static void
check (const struct mistake *mistake)
{
  char *error = NULL, begin[32];
  const char *wrong, *right;
  struct config *config;

  errno = 0;
  config = config_parse ("test.conf", mistake->text, &error);
  if (config != NULL)
    fail_msg ("taken: %s", mistake->text);
  assert_int_equal (errno, EINVAL);
  assert_non_null (error);
  snprintf (begin, sizeof begin, "test.conf:%d: ", mistake->line);
  wrong = strstr (error, mistake->wrong);
  right = wrong != NULL ? strstr (wrong, mistake->right) : NULL;
  if (strncmp (error, begin, strlen (begin)) != 0 || right == NULL
      || strchr (error, '\n') != NULL)
    fail_msg ("%s\nis answered with\n%s\nand not with line %d, %s, %s",
              mistake->text, error, mistake->line, mistake->wrong,
              mistake->right);
  free (error);
}

static void
test_mistake (void **state)
{
  check (*state);
}

/* A value is quoted, but not at any length, nor in the middle of a
 * character.
 */
static void
test_long_value (void **state)
{
  char text[4500] = "size = \"x";
  struct mistake mistake = { text, 1, "\xc3\xa4...\" is not a size", "512M" };

  (void) state;
  for (int i = 0; i < 2000; i++)
    strcat (text, "\xc3\xa4");
  strcat (text, "\"");
  check (&mistake);
  for (int i = 0; i < 200; i++)
    strcpy (strrchr (text, '"'), "x\"");
  mistake.wrong = "too long";
  mistake.right = "4095";
  check (&mistake);
}

static void
test_many_cgroups (void **state)
{
  char *text = malloc (CONFIG_CGROUPS * 20 + 20), *p = text, *error = NULL;
  struct config *config;
  struct mistake mistake
      = { text, CONFIG_CGROUPS + 1, "one cgroup too many", "at most 4096" };

  (void) state;
  assert_non_null (text);
  for (int i = 0; i < CONFIG_CGROUPS; i++)
    p += sprintf (p, "cgroup /%d { }\n", i);
  /* "/" is one more, but not written. */
  config = config_parse ("test.conf", text, &error);
  if (config == NULL)
    fail_msg ("%s", error);
  assert_int_equal (config->cgroups_count, CONFIG_CGROUPS + 1);
  config_free (config);
  sprintf (p, "cgroup /x { }\n");
  check (&mistake);
  free (text);
}

int
main (void)
{
  struct CMUnitTest tests[MISTAKES + 2];
  char names[MISTAKES][32];

  for (size_t i = 0; i < MISTAKES; i++) {
    snprintf (names[i], sizeof names[i], "mistake %zu, line %d", i + 1,
              mistakes[i].line);
    tests[i] = (struct CMUnitTest) cmocka_unit_test_prestate (
        test_mistake, (void *) (uintptr_t) &mistakes[i]);
    tests[i].name = names[i];
  }
  tests[MISTAKES] = (struct CMUnitTest) cmocka_unit_test (test_long_value);
  tests[MISTAKES + 1]
      = (struct CMUnitTest) cmocka_unit_test (test_many_cgroups);
  return cmocka_run_group_tests (tests, NULL, NULL);
}
