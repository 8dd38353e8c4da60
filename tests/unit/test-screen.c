/* SPDX-License-Identifier: BSD-3-Clause */
/* What tierswapctl top and metrics make of statistics that no server of a test
 * has: thousands of cgroups, names of every kind, counters that went back.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/metrics.h"
#include "control/screen.h"
#include "test.h"

#define CGROUPS 5000

static json_t *
cgroup (const char *path, int id, int pages)
{
  return json_pack ("{s:s s:i s:i s:i s:i s:i s:i s:i s:i}", "path", path, "id",
                    id, "prio", 1, "writeback_prio", 2, "writeback_size", 0,
                    "pages_memory", pages, "pages_backing", pages, "pages_same",
                    0, "compr_bytes", pages * 100);
}

static json_t *
statistics (int reads)
{
  json_t *cgroups = json_array ();
  json_t *all = json_pack (
      "{s:{s:I s:i s:i s:i} s:[{s:s s:s s:i s:i}] s:[] s:o s:{} s:{s:i s:n}}",
      "device", "mem_limit_bytes", (json_int_t) 1 << 40, "reads", reads,
      "mem_used_bytes", 1000, "orig_bytes", 4096, "tiers", "name", "fast",
      "codec", "lz4", "prio", 1, "pages", reads, "backings", "cgroups", cgroups,
      "cleaner", "writeback", "bytes", 7, "limit_left_bytes");

  assert_non_null (all);
  for (int i = 0; i < CGROUPS; ++i) {
    char path[64];

    snprintf (path, sizeof path, "/system.slice/unit-%d.service/worker-%d", i,
              i);
    json_array_append_new (cgroups, cgroup (path, i, i));
  }
  return all;
}

/* The text, to free(). */
static char *
screen_text (const json_t *now, const json_t *before, unsigned rows)
{
  char *text = NULL;
  size_t length;
  FILE *out = open_memstream (&text, &length);

  screen_print (out, &(struct screen){ .now = now,
                                       .before = before,
                                       .seconds = 2,
                                       .clock = "12:34:56",
                                       .rows = rows });
  fclose (out);
  return text;
}

static unsigned
lines_of (const char *text)
{
  unsigned count = 0;

  for (; (text = strchr (text, '\n')); ++text)
    count++;
  return count;
}

static void
assert_has (const char *text, const char *pattern)
{
  if (!strstr (text, pattern))
    fail_msg ("\"%s\" is not in:\n%s", pattern, text);
}

static void
test_screen (void **state)
{
  json_t *before = statistics (1000), *now = statistics (1300);
  json_t *cgroups = json_object_get (now, "cgroups");
  char *text;

  (void) state;
  json_array_append_new (cgroups, cgroup ("/evil\033[2J\n", 77777, 1 << 20));
  for (unsigned rows = 1; rows <= 60; ++rows) {
    text = screen_text (now, before, rows);
    assert_true (lines_of (text) <= rows);
    assert_true (rows < 12 || lines_of (text) == rows);
    free (text);
  }
  text = screen_text (now, before, 24);
  assert_has (text, "150 read");
  assert_has (text, "+PAGES/s\n/evil?[2J? "); /* that with most pages */
  assert_has (text, "...4999.service/worker-4999");
  assert_null (strstr (text, "worker-100"));
  for (const char *line = text; *line; line = strchr (line, '\n') + 1)
    assert_true (strcspn (line, "\n") <= SCREEN_COLUMNS);
  free (text);

  /* The server was restarted: its counters are less than they were. */
  text = screen_text (before, now, 24);
  assert_has (text, "-150 read");
  free (text);
  text = screen_text (now, NULL, 24);
  assert_has (text, "- read");
  free (text);
  json_decref (before);
  json_decref (now);
}

/* Of a server of another version. */
static void
test_empty (void **state)
{
  json_t *nothing = json_object ();
  char *text = screen_text (nothing, nothing, 24);
  size_t length;
  FILE *out;

  (void) state;
  assert_has (text, "0 B");
  free (text);
  out = open_memstream (&text, &length);
  metrics_print (out, nothing);
  fclose (out);
  assert_string_equal (text, "");
  free (text);
  json_decref (nothing);
}

static void
test_metrics (void **state)
{
  json_t *now = statistics (1);
  char *text;
  size_t length;
  FILE *out = open_memstream (&text, &length);

  (void) state;
  json_array_append_new (json_object_get (now, "cgroups"),
                         cgroup ("/a\\b\"c\nd\xc3\xa9", 1, 5));
  metrics_print (out, now);
  fclose (out);
  assert_has (text, "\ntierswap_cgroup_memory_pages{cgroup=\"/a\\\\b\\\"c\\nd"
                    "\xc3\xa9\"} 5\n");
  assert_has (text, "# TYPE tierswap_read_pages_total counter\n"
                    "tierswap_read_pages_total 1\n");
  assert_has (text, "tierswap_memory_limit_bytes 1099511627776\n");
  assert_null (strstr (text, "limit_left"));
  assert_null (strstr (text, "tierswap_backing_"));
  free (text);
  json_decref (now);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_screen),
    cmocka_unit_test (test_empty),
    cmocka_unit_test (test_metrics),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
