/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests are taken apart or refused in a line; answers are one line of JSON
 * whatever they quote.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"

static void
takes (const char *line, unsigned count, const char *last)
{
  struct request request;
  char *error;

  assert_int_equal (protocol_parse (line, strlen (line), &request, &error), 0);
  assert_null (error);
  assert_int_equal (request.count, count);
  assert_string_equal (request.words[count - 1], last);
  request_free (&request);
}

static void
refuses (const char *line, size_t length)
{
  struct request request;
  char *error;

  errno = 0;
  assert_int_equal (protocol_parse (line, length, &request, &error), -1);
  assert_int_equal (errno, EINVAL);
  assert_non_null (error);
  assert_null (strchr (error, '\n'));
  assert_null (request.json);
  free (error);
}

static void
test_taken (void **state)
{
  (void) state;
  takes ("[\"status\"]", 1, "status");
  takes (" [ \"set\" , \"pool.limit\",\"2G\" ] \r", 3, "2G");
  takes ("[\"drain\",\"\"]", 2, "");
  takes ("[\"a \\\"quoted\\\"\\nword\"]", 1, "a \"quoted\"\nword");
  takes ("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\","
         "\"12\",\"13\",\"14\",\"15\",\"16\"]",
         16, "16");
}

static void
test_refused (void **state)
{
  static const char *const lines[] = {
    "",
    " ",
    "status",
    "[]",
    "{}",
    "{\"command\":\"status\"}",
    "\"status\"",
    "[\"status\"",
    "[\"status\"]]",
    "[\"status\"] [\"status\"]",
    "[1]",
    "[\"get\",null]",
    "[[\"get\"]]",
    "[\"get\\u0000\"]",
    "[\"\xff\"]",
    "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\","
    "\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]",
  };
  char deep[PROTOCOL_LINE];

  (void) state;
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; ++i)
    refuses (lines[i], strlen (lines[i]));
  refuses ("[\"a\0b\"]", 7);
  memset (deep, '[', sizeof deep);
  refuses (deep, sizeof deep);
}

static void
is_line (char *line, const char *expected)
{
  assert_non_null (line);
  assert_string_equal (line, expected);
  free (line);
}

static void
test_answers (void **state)
{
  (void) state;
  is_line (protocol_result (json_pack ("{s:i}", "a", 1)),
           "{\"result\":{\"a\":1}}\n");
  is_line (protocol_progress ("half of it"), "{\"progress\":\"half of it\"}\n");
  is_line (protocol_error ("no \"x\"", ENOENT),
           "{\"error\":\"no \\\"x\\\"\",\"code\":\"ENOENT\"}\n");
  is_line (protocol_error ("two\nlines", EINVAL),
           "{\"error\":\"two?lines\",\"code\":\"EINVAL\"}\n");
  is_line (protocol_error ("\xff is not UTF-8", 12345),
           "{\"error\":\"? is not UTF-8\",\"code\":\"EIO\"}\n");
  assert_null (protocol_result (NULL));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_taken),
    cmocka_unit_test (test_refused),
    cmocka_unit_test (test_answers),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
