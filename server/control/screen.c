/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/human.h"
#include "control/screen.h"

#define PAGE_BYTES 4096
#define BAR 30
#define NAME 48

static int64_t
number (const json_t *object, const char *key)
{
  return json_integer_value (json_object_get (object, key));
}

static const char *
text (const json_t *object, const char *key)
{
  const char *value = json_string_value (json_object_get (object, key));

  return value ? value : "";
}

/* The entry of the sample before with the same KEY, a name or a number. */
static const json_t *
same_of (const json_t *array, const json_t *object, const char *key)
{
  const json_t *value = json_object_get (object, key), *other;
  size_t i;

  json_array_foreach (array, i, other)
  {
    if (json_equal (json_object_get (other, key), value))
      return other;
  }
  return NULL;
}

/* A second, of KEY.  False: not known. */
static bool
rate (const struct screen *s, const json_t *now, const json_t *before,
      const char *key, double *value)
{
  if (!before || s->seconds <= 0)
    return false;
  *value = (double) (number (now, key) - number (before, key)) / s->seconds;
  return true;
}

static const char *
rate_text (const struct screen *s, const json_t *now, const json_t *before,
           const char *key, char room[HUMAN_ROOM])
{
  double value;

  if (!rate (s, now, before, key, &value))
    return "-";
  snprintf (room, HUMAN_ROOM, "%.0f", value);
  return room;
}

static const char *
rate_bytes (const struct screen *s, const json_t *now, const json_t *before,
            const char *key, char room[HUMAN_ROOM])
{
  double value;

  if (!rate (s, now, before, key, &value))
    return "-";
  return human_bytes (value > 0 ? (uint64_t) value : 0, room);
}

static const char *
bytes (const json_t *object, const char *key, char room[HUMAN_ROOM])
{
  return human_bytes ((uint64_t) number (object, key), room);
}

static const char *
pages (int64_t count, char room[HUMAN_ROOM])
{
  return human_bytes ((uint64_t) count * PAGE_BYTES, room);
}

static void
print_device (FILE *out, const struct screen *s)
{
  const json_t *d = json_object_get (s->now, "device");
  const json_t *before = json_object_get (s->before, "device");
  const json_t *w = json_object_get (s->now, "writeback");
  const json_t *written = json_object_get (s->before, "writeback");
  const json_t *c = json_object_get (s->now, "cleaner");
  const json_t *cleaned = json_object_get (s->before, "cleaner");
  char a[HUMAN_ROOM], b[HUMAN_ROOM], e[HUMAN_ROOM], line[128];
  int64_t limit = number (d, "mem_limit_bytes");
  int full = limit > 0 ? (int) (100 * (double) number (d, "mem_used_bytes")
                                / (double) limit)
                       : 0;
  int bar = full > 100 ? BAR : full * BAR / 100;

  snprintf (line, sizeof line, "tierswap   %s, %s stored in %s compressed",
            bytes (d, "size", a), bytes (d, "orig_bytes", b),
            bytes (d, "compr_bytes", e));
  fprintf (out, "%-70s%10s\n", line, s->clock);
  fprintf (out, "memory     %.*s%.*s %3d%%  %s of %s\n", bar,
           "##############################", BAR - bar,
           "..............................", full,
           bytes (d, "mem_used_bytes", a), bytes (d, "mem_limit_bytes", b));
  fprintf (
      out, "pages/s    %s read, %s written, %s trimmed; %lld errors\n",
      rate_text (s, d, before, "reads", a),
      rate_text (s, d, before, "writes", b),
      rate_text (s, d, before, "trims", e),
      (long long) (number (d, "read_errors") + number (d, "write_errors")));
  fprintf (out, "bytes/s    %s written back, %s copied by the cleaner\n",
           rate_bytes (s, w, written, "bytes", a),
           rate_bytes (s, c, cleaned, "bytes_copied", b));
}

/* The end of a name that is too long says more than its beginning.  What a
 * terminal would take for a command is not shown.
 */
static const char *
fit (const char *name, size_t columns, char room[NAME])
{
  size_t length = strlen (name);
  char *end;

  if (length > columns) {
    name += length - (columns - 3);
    while (((unsigned char) *name & 0xc0) == 0x80) /* within a character */
      name++;
    snprintf (room, NAME, "...%s", name);
  }
  else
    snprintf (room, NAME, "%s", name);
  for (end = room; *end; ++end)
    if ((unsigned char) *end < ' ' || *end == 0x7f)
      *end = '?';
  return room;
}

static void
print_tiers (FILE *out, const struct screen *s)
{
  const json_t *tiers = json_object_get (s->now, "tiers"), *tier;
  const json_t *before = json_object_get (s->before, "tiers");
  char name[NAME], a[HUMAN_ROOM], b[HUMAN_ROOM], c[HUMAN_ROOM], d[HUMAN_ROOM];
  size_t i;

  fprintf (out, "\n%-20s %-8s %4s %5s %10s %10s %10s %6s\n", "TIER", "CODEC",
           "PRIO", "LEVEL", "STORED", "USED", "LIMIT", "+PG/s");
  json_array_foreach (tiers, i, tier) fprintf (
      out, "%-20s %-8.8s %4d %5d %10s %10s %10s %6s\n",
      fit (text (tier, "name"), 20, name), text (tier, "codec"),
      (int) number (tier, "prio"), (int) number (tier, "level"),
      pages (number (tier, "pages"), a), bytes (tier, "mem_used_bytes", b),
      number (tier, "limit_bytes") ? bytes (tier, "limit_bytes", c) : "-",
      rate_text (s, tier, same_of (before, tier, "name"), "pages", d));
}

static void
print_backings (FILE *out, const struct screen *s)
{
  const json_t *backings = json_object_get (s->now, "backings"), *backing;
  const json_t *before = json_object_get (s->before, "backings"), *same;
  char name[NAME], a[HUMAN_ROOM], b[HUMAN_ROOM], c[HUMAN_ROOM], d[HUMAN_ROOM],
      e[HUMAN_ROOM];
  size_t i;

  if (json_array_size (backings) == 0)
    return;
  fprintf (out, "\n%-11s %-8s %4s %10s %10s %10s %10s %10s\n", "BACKING",
           "STATE", "PRIO", "STORED", "USED", "SIZE", "WRITE/s", "READ/s");
  json_array_foreach (backings, i, backing)
  {
    same = same_of (before, backing, "name");
    fprintf (out, "%-11s %-8.8s %4d %10s %10s %10s %10s %10s\n",
             fit (text (backing, "name"), 11, name), text (backing, "state"),
             (int) number (backing, "prio"),
             pages (number (backing, "pages"), a),
             bytes (backing, "used_bytes", b), bytes (backing, "size_bytes", c),
             rate_bytes (s, backing, same, "written_bytes", d),
             rate_bytes (s, backing, same, "read_bytes", e));
  }
}

static int64_t
pages_of (const json_t *cgroup)
{
  return number (cgroup, "pages_memory") + number (cgroup, "pages_backing")
         + number (cgroup, "pages_same");
}

static int
most_first (const void *a, const void *b)
{
  int64_t left = pages_of (*(json_t *const *) a),
          right = pages_of (*(json_t *const *) b);

  return left < right ? 1 : left > right ? -1 : 0;
}

static void
print_cgroup (FILE *out, const struct screen *s, const json_t *cgroup)
{
  const json_t *before
      = same_of (json_object_get (s->before, "cgroups"), cgroup, "id");
  char name[NAME], a[HUMAN_ROOM], b[HUMAN_ROOM], c[HUMAN_ROOM],
      change[HUMAN_ROOM] = "-";

  if (before && s->seconds > 0)
    snprintf (change, sizeof change, "%.0f",
              (double) (pages_of (cgroup) - pages_of (before)) / s->seconds);
  fprintf (out, "%-27s %4d %4d %10s %10s %10s %9s\n",
           fit (text (cgroup, "path"), 27, name), (int) number (cgroup, "prio"),
           (int) number (cgroup, "writeback_prio"),
           pages (number (cgroup, "pages_memory"), a),
           pages (number (cgroup, "pages_backing"), b),
           bytes (cgroup, "compr_bytes", c), change);
}

static void
print_cgroups (FILE *out, const struct screen *s, unsigned rows)
{
  json_t *cgroups = json_object_get (s->now, "cgroups");
  size_t count = json_array_size (cgroups);
  json_t **sorted = calloc (count + 1, sizeof *sorted);

  if (!sorted)
    return;
  for (size_t i = 0; i < count; ++i)
    sorted[i] = json_array_get (cgroups, i);
  qsort (sorted, count, sizeof *sorted, most_first);
  fprintf (out, "\n%-27s %4s %4s %10s %10s %10s %9s\n", "CGROUP", "PRIO",
           "BACK", "MEMORY", "BACKING", "COMPRESSED", "+PAGES/s");
  for (size_t i = 0; i < count && i < rows; ++i)
    print_cgroup (out, s, sorted[i]);
  free (sorted);
}

static unsigned
lines_of (const char *lines)
{
  unsigned count = 0;

  while ((lines = strchr (lines, '\n'))) {
    lines++;
    count++;
  }
  return count;
}

void
screen_print (FILE *out, const struct screen *s)
{
  char *lines = NULL, *line, *end;
  size_t length;
  FILE *whole = open_memstream (&lines, &length);
  unsigned used;

  if (!whole)
    return;
  print_device (whole, s);
  print_tiers (whole, s);
  print_backings (whole, s);
  fflush (whole);
  used = lines_of (lines) + 2; /* and the heading of the cgroups */
  if (used < s->rows)
    print_cgroups (whole, s, s->rows - used);
  fclose (whole);
  line = lines;
  for (unsigned row = 0; row < s->rows && (end = strchr (line, '\n')); ++row) {
    fprintf (out, "%.*s\n", (int) (end - line), line);
    line = end + 1;
  }
  free (lines);
}
