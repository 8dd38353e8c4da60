/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "control/human.h"
#include "control/show.h"

#define PAGE_BYTES 4096

static uint64_t
number (const json_t *object, const char *key)
{
  return (uint64_t) json_integer_value (json_object_get (object, key));
}

static const char *
text (const json_t *object, const char *key)
{
  const char *value = json_string_value (json_object_get (object, key));

  return value ? value : "";
}

/* A table: rows of cells, printed once the widths of all are known.  Columns
 * of words come first and are aligned left, those of figures right.
 */
#define COLUMNS 8
#define CGROUPS 10
#define ROWS (CGROUPS + 1) /* with a heading; of tiers and backings are four   \
                            */
#define CELL 40

struct table {
  unsigned words, columns, rows;
  char cells[ROWS][COLUMNS][CELL];
};

static void
add_row (struct table *table, const char *const cells[])
{
  if (table->rows == ROWS)
    return;
  for (unsigned i = 0; i < table->columns; ++i)
    snprintf (table->cells[table->rows][i], CELL, "%s", cells[i]);
  table->rows++;
}

static void
print_table (const struct table *table)
{
  int widths[COLUMNS] = { 0 };

  for (unsigned row = 0; row < table->rows; ++row)
    for (unsigned i = 0; i < table->columns; ++i)
      if ((int) strlen (table->cells[row][i]) > widths[i])
        widths[i] = (int) strlen (table->cells[row][i]);
  for (unsigned row = 0; row < table->rows; ++row)
    for (unsigned i = 0; i < table->columns; ++i)
      printf (i < table->words ? "%-*s%s" : "%*s%s", widths[i],
              table->cells[row][i], i + 1 < table->columns ? "  " : "\n");
}

/* A limit, or "-" where there is none. */
static const char *
limit (uint64_t bytes, char room[HUMAN_ROOM])
{
  return bytes ? human_bytes (bytes, room) : "-";
}

static void
show_device (const json_t *device)
{
  uint64_t original = number (device, "orig_bytes");
  uint64_t used = number (device, "mem_used_bytes");
  char a[HUMAN_ROOM], b[HUMAN_ROOM], c[HUMAN_ROOM];

  printf ("device     %s, %s stored in %s compressed\n",
          human_bytes (number (device, "size"), a), human_bytes (original, b),
          human_bytes (number (device, "compr_bytes"), c));
  printf ("memory     %s used of %s, %s at most so far\n",
          human_bytes (used, a),
          human_bytes (number (device, "mem_limit_bytes"), b),
          human_bytes (number (device, "mem_used_peak_bytes"), c));
  printf ("pages      %llu stored, %llu of them same-filled\n",
          (unsigned long long) number (device, "pages_stored"),
          (unsigned long long) number (device, "pages_same"));
  printf ("requests   %llu pages read, %llu written, %llu trimmed; %llu reads "
          "and %llu writes failed\n",
          (unsigned long long) number (device, "reads"),
          (unsigned long long) number (device, "writes"),
          (unsigned long long) number (device, "trims"),
          (unsigned long long) number (device, "read_errors"),
          (unsigned long long) number (device, "write_errors"));
}

static void
show_writeback (const json_t *writeback)
{
  const json_t *left = json_object_get (writeback, "limit_left_bytes");
  char a[HUMAN_ROOM], b[HUMAN_ROOM];

  printf ("writeback  %llu pages written, %s in %llu segments",
          (unsigned long long) number (writeback, "pages"),
          human_bytes (number (writeback, "bytes"), a),
          (unsigned long long) number (writeback, "segments"));
  if (json_is_integer (left))
    printf (", %s left today",
            human_bytes ((uint64_t) json_integer_value (left), b));
  putchar ('\n');
}

static void
show_tiers (const json_t *tiers)
{
  static const char *const heading[]
      = { "TIER", "CODEC", "PRIO", "LEVEL", "STORED", "USED", "LIMIT" };
  struct table table = { .words = 2, .columns = 7 };
  const json_t *tier;
  size_t i;

  add_row (&table, heading);
  json_array_foreach (tiers, i, tier)
  {
    char prio[CELL], level[CELL], stored[HUMAN_ROOM], used[HUMAN_ROOM],
        most[HUMAN_ROOM];

    snprintf (prio, sizeof prio, "%d", (int) number (tier, "prio"));
    snprintf (level, sizeof level, "%d", (int) number (tier, "level"));
    add_row (&table,
             (const char *const[]){
                 text (tier, "name"), text (tier, "codec"), prio, level,
                 human_bytes (number (tier, "pages") * PAGE_BYTES, stored),
                 human_bytes (number (tier, "mem_used_bytes"), used),
                 limit (number (tier, "limit_bytes"), most) });
  }
  putchar ('\n');
  print_table (&table);
}

static void
show_backings (const json_t *backings)
{
  static const char *const heading[] = { "BACKING", "KIND", "STATE", "PRIO",
                                         "STORED",  "USED", "SIZE",  "ERRORS" };
  struct table table = { .words = 3, .columns = 8 };
  const json_t *backing;
  size_t i;

  if (json_array_size (backings) == 0)
    return;
  add_row (&table, heading);
  json_array_foreach (backings, i, backing)
  {
    char prio[CELL], stored[HUMAN_ROOM], used[HUMAN_ROOM], size[HUMAN_ROOM],
        errors[CELL];

    snprintf (prio, sizeof prio, "%d", (int) number (backing, "prio"));
    snprintf (errors, sizeof errors, "%llu",
              (unsigned long long) (number (backing, "io_errors")
                                    + number (backing, "checksum_errors")));
    add_row (&table,
             (const char *const[]){
                 text (backing, "name"), text (backing, "kind"),
                 text (backing, "state"), prio,
                 human_bytes (number (backing, "pages") * PAGE_BYTES, stored),
                 human_bytes (number (backing, "used_bytes"), used),
                 human_bytes (number (backing, "size_bytes"), size), errors });
  }
  putchar ('\n');
  print_table (&table);
}

static uint64_t
pages_of (const json_t *cgroup)
{
  return number (cgroup, "pages_memory") + number (cgroup, "pages_backing")
         + number (cgroup, "pages_same");
}

/* The end of a path that is long. */
static const char *
path_of (const json_t *cgroup, char room[CELL])
{
  const char *path = text (cgroup, "path");
  size_t length = strlen (path);

  if (length < CELL)
    return path;
  snprintf (room, CELL, "...%s", path + length - (CELL - 4));
  return room;
}

/* Those with most pages, but not if "/" is the only one. */
static void
show_cgroups (const json_t *cgroups)
{
  static const char *const heading[]
      = { "CGROUP", "PRIO", "WB", "STORED", "MEMORY", "BACKED", "LIMIT" };
  struct table table = { .words = 1, .columns = 7 };
  size_t count = json_array_size (cgroups), shown = 0, most = 0;
  const json_t *list[CGROUPS], *cgroup;
  size_t i;

  if (count < 2)
    return;
  json_array_foreach (cgroups, i, cgroup)
  {
    size_t at = shown;

    if (pages_of (cgroup) == 0)
      continue;
    most++;
    while (at > 0 && pages_of (list[at - 1]) < pages_of (cgroup))
      at--;
    if (at == CGROUPS)
      continue;
    if (shown < CGROUPS)
      shown++;
    memmove (&list[at + 1], &list[at], (shown - at - 1) * sizeof list[0]);
    list[at] = cgroup;
  }
  if (shown == 0)
    return;
  add_row (&table, heading);
  for (i = 0; i < shown; ++i) {
    char path[CELL], prio[CELL], writeback[CELL], stored[HUMAN_ROOM],
        memory[HUMAN_ROOM], backed[HUMAN_ROOM], bound[HUMAN_ROOM];

    snprintf (prio, sizeof prio, "%d", (int) number (list[i], "prio"));
    snprintf (writeback, sizeof writeback, "%d",
              (int) number (list[i], "writeback_prio"));
    add_row (&table,
             (const char *const[]){
                 path_of (list[i], path), prio, writeback,
                 human_bytes (pages_of (list[i]) * PAGE_BYTES, stored),
                 human_bytes (number (list[i], "mem_used_bytes"), memory),
                 human_bytes (number (list[i], "pages_backing") * PAGE_BYTES,
                              backed),
                 limit (number (list[i], "limit_bytes"), bound) });
  }
  putchar ('\n');
  print_table (&table);
  if (most > shown)
    printf ("and %zu more with less\n", most - shown);
}

void
show_status (json_t *statistics)
{
  show_device (json_object_get (statistics, "device"));
  show_writeback (json_object_get (statistics, "writeback"));
  show_tiers (json_object_get (statistics, "tiers"));
  show_backings (json_object_get (statistics, "backings"));
  show_cgroups (json_object_get (statistics, "cgroups"));
}
