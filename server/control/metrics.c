/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "control/ask.h"
#include "control/metrics.h"

/* A metric is a KEY of the objects of a section.  A section that is an array
 * has a label for each, from a key of it.
 */
static const struct section {
  const char *name, *label, *label_key;
} sections[] = {
  { "device", NULL, NULL },          { "writeback", NULL, NULL },
  { "cleaner", NULL, NULL },         { "tiers", "tier", "name" },
  { "backings", "backing", "name" }, { "cgroups", "cgroup", "path" },
};
enum { DEVICE, WRITEBACK, CLEANER, TIERS, BACKINGS, CGROUPS };

enum kind { GAUGE, COUNTER, SECONDS /* a counter of nanoseconds */ };

static const struct metric {
  int section;
  const char *key;
  enum kind kind;
  const char *name, *help;
} list[] = {
  { DEVICE, "size", GAUGE, "size_bytes", "Size of the device." },
  { DEVICE, "pages_stored", GAUGE, "pages", "Pages stored." },
  { DEVICE, "pages_same", GAUGE, "same_filled_pages",
    "Pages stored that consist of one word." },
  { DEVICE, "orig_bytes", GAUGE, "stored_bytes",
    "Bytes stored, before compression." },
  { DEVICE, "compr_bytes", GAUGE, "compressed_bytes",
    "Bytes stored, after compression." },
  { DEVICE, "mem_used_bytes", GAUGE, "memory_used_bytes",
    "Memory that stored pages cost, tables included." },
  { DEVICE, "mem_used_peak_bytes", GAUGE, "memory_used_peak_bytes",
    "The most memory that stored pages did cost." },
  { DEVICE, "mem_limit_bytes", GAUGE, "memory_limit_bytes",
    "Limit of the memory of all tiers." },
  { DEVICE, "meta_bytes", GAUGE, "memory_tables_bytes",
    "Memory of the tables, a part of that used." },
  { DEVICE, "reserve_bytes", GAUGE, "memory_reserve_bytes",
    "Memory kept ready, not a part of that used." },
  { DEVICE, "reads", COUNTER, "read_pages_total", "Pages read." },
  { DEVICE, "writes", COUNTER, "written_pages_total", "Pages written." },
  { DEVICE, "trims", COUNTER, "trimmed_pages_total",
    "Pages told to be no longer needed." },
  { DEVICE, "read_errors", COUNTER, "read_errors_total", "Reads that failed." },
  { DEVICE, "write_errors", COUNTER, "write_errors_total",
    "Writes that failed." },
  { DEVICE, "pages_mended", COUNTER, "mended_pages_total",
    "Pages found damaged in memory and mended." },
  { DEVICE, "pages_damaged", COUNTER, "damaged_pages_total",
    "Pages found damaged in memory and lost." },
  { WRITEBACK, "segments", COUNTER, "writeback_segments_total",
    "Segments written back." },
  { WRITEBACK, "pages", COUNTER, "writeback_pages_total",
    "Pages written back." },
  { WRITEBACK, "bytes", COUNTER, "writeback_bytes_total",
    "Bytes written back." },
  { WRITEBACK, "pages_demoted", COUNTER, "demoted_pages_total",
    "Pages moved to a denser memory tier." },
  { WRITEBACK, "limit_left_bytes", GAUGE, "writeback_limit_left_bytes",
    "Bytes that may still be written back today." },
  { CLEANER, "segments_cleaned", COUNTER, "cleaned_segments_total",
    "Segments that the cleaner freed." },
  { CLEANER, "bytes_copied", COUNTER, "cleaner_copied_bytes_total",
    "Bytes that the cleaner copied." },
  { CLEANER, "cpu_nanoseconds", SECONDS, "cleaner_cpu_seconds_total",
    "Processor time of the cleaner." },
  { TIERS, "pages", GAUGE, "tier_pages", "Pages in the memory tier." },
  { TIERS, "pages_raw", GAUGE, "tier_raw_pages",
    "Pages in the memory tier that did not compress." },
  { TIERS, "compr_bytes", GAUGE, "tier_compressed_bytes",
    "Compressed bytes in the memory tier." },
  { TIERS, "mem_used_bytes", GAUGE, "tier_memory_used_bytes",
    "Memory of the tier." },
  { TIERS, "limit_bytes", GAUGE, "tier_memory_limit_bytes",
    "Limit of the memory of the tier, 0 for none." },
  { TIERS, "segments", GAUGE, "tier_segments", "Segments in the tier." },
  { TIERS, "prio", GAUGE, "tier_prio", "Prio of the memory tier." },
  { TIERS, "level", GAUGE, "tier_level", "Compression level of the tier." },
  { BACKINGS, "size_bytes", GAUGE, "backing_size_bytes",
    "Size of the backing." },
  { BACKINGS, "used_bytes", GAUGE, "backing_used_bytes",
    "Bytes in use on the backing." },
  { BACKINGS, "pages", GAUGE, "backing_pages", "Pages on the backing." },
  { BACKINGS, "written_bytes", COUNTER, "backing_written_bytes_total",
    "Bytes written to the backing." },
  { BACKINGS, "write_ios", COUNTER, "backing_writes_total",
    "Write requests to the backing." },
  { BACKINGS, "read_bytes", COUNTER, "backing_read_bytes_total",
    "Bytes read from the backing." },
  { BACKINGS, "read_ios", COUNTER, "backing_reads_total",
    "Read requests to the backing." },
  { BACKINGS, "io_errors", COUNTER, "backing_io_errors_total",
    "Requests to the backing that failed." },
  { BACKINGS, "checksum_errors", COUNTER, "backing_checksum_errors_total",
    "Pages that came back wrong from the backing." },
  { CGROUPS, "pages_memory", GAUGE, "cgroup_memory_pages",
    "Pages of the cgroup in memory tiers." },
  { CGROUPS, "pages_backing", GAUGE, "cgroup_backing_pages",
    "Pages of the cgroup on backings." },
  { CGROUPS, "pages_same", GAUGE, "cgroup_same_filled_pages",
    "Pages of the cgroup that consist of one word." },
  { CGROUPS, "compr_bytes", GAUGE, "cgroup_compressed_bytes",
    "Compressed bytes of the cgroup." },
};
#define METRICS (sizeof list / sizeof list[0])

static void
print_head (FILE *out, const char *name, const char *help, const char *type)
{
  fprintf (out, "# HELP tierswap_%s %s\n# TYPE tierswap_%s %s\n", name, help,
           name, type);
}

/* The value of a label, which may be any text: a cgroup has any name. */
static void
print_label (FILE *out, const char *label, const char *value)
{
  fprintf (out, "%s=\"", label);
  for (; *value; ++value)
    switch (*value) {
    case '\\':
      fputs ("\\\\", out);
      break;
    case '"':
      fputs ("\\\"", out);
      break;
    case '\n':
      fputs ("\\n", out);
      break;
    default:
      fputc (*value, out);
    }
  fputc ('"', out);
}

static const char *
label_of (const struct section *section, const json_t *object)
{
  const char *value
      = json_string_value (json_object_get (object, section->label_key));

  return value ? value : "";
}

static void
print_sample (FILE *out, const struct metric *metric, const json_t *object)
{
  const struct section *section = &sections[metric->section];
  const json_t *value = json_object_get (object, metric->key);

  if (!json_is_integer (value))
    return;
  fprintf (out, "tierswap_%s", metric->name);
  if (section->label) {
    fputc ('{', out);
    print_label (out, section->label, label_of (section, object));
    fputc ('}', out);
  }
  if (metric->kind == SECONDS)
    fprintf (out, " %.9f\n", (double) json_integer_value (value) / 1e9);
  else
    fprintf (out, " %lld\n", (long long) json_integer_value (value));
}

static bool
has_sample (const struct metric *metric, const json_t *section)
{
  const json_t *object
      = json_is_array (section) ? json_array_get (section, 0) : section;

  return json_is_integer (json_object_get (object, metric->key));
}

static void
print_metric (FILE *out, const struct metric *metric, const json_t *statistics)
{
  json_t *section
      = json_object_get (statistics, sections[metric->section].name);
  const json_t *object;
  size_t i;

  if (!has_sample (metric, section))
    return;
  print_head (out, metric->name, metric->help,
              metric->kind == GAUGE ? "gauge" : "counter");
  if (json_is_array (section))
    json_array_foreach (section, i, object) print_sample (out, metric, object);
  else
    print_sample (out, metric, section);
}

/* One sample for each state that there is, 1 for that of the backing. */
static void
print_states (FILE *out, const json_t *backings)
{
  static const char *const states[] = { "online", "draining", "failed" };
  const json_t *backing;
  size_t i;

  if (json_array_size (backings) == 0)
    return;
  print_head (out, "backing_state", "Whether the backing is in the state.",
              "gauge");
  json_array_foreach (backings, i, backing)
  {
    const char *state = json_string_value (json_object_get (backing, "state"));

    for (unsigned j = 0; state && j < 3; ++j) {
      fputs ("tierswap_backing_state{", out);
      print_label (out, "backing", label_of (&sections[BACKINGS], backing));
      fprintf (out, ",state=\"%s\"} %d\n", states[j],
               strcmp (state, states[j]) == 0);
    }
  }
}

void
metrics_print (FILE *out, const json_t *statistics)
{
  for (unsigned i = 0; i < METRICS; ++i)
    print_metric (out, &list[i], statistics);
  print_states (out, json_object_get (statistics, "backings"));
}

int
metrics (const char *socket, char *const arguments[], struct why *why)
{
  char *const words[] = { (char *) "status", NULL };
  json_t *statistics;
  struct ask server;

  if (arguments[0])
    return why_set (why, EINVAL, "metrics takes no argument");
  if (ask_open (&server, socket, why) == -1)
    return -1;
  statistics = ask (&server, words, why);
  ask_close (&server);
  if (!statistics)
    return -1;
  metrics_print (stdout, statistics);
  json_decref (statistics);
  return 0;
}
