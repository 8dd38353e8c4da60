/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/fuse-node.h"
#include "control/fuse-reports.h"
#include "control/statistics.h"
#include "store/segment.h"

/* All columns but this one's last are bytes or pages, as zram has them. */

/* orig_data_size compr_data_size mem_used_total mem_limit mem_used_max
 * same_pages pages_compacted huge_pages huge_pages_since
 */
static char *
mm_stat (struct device *device)
{
  struct store_statistics s;
  uint64_t cleaned, stored = 0, huge = 0;
  char *text;

  store_get_statistics (device->store, &s);
  for (unsigned i = 0; i < STORE_TIERS; ++i) {
    stored += s.tiers[i].compr_bytes;
    huge += s.tiers[i].pages_raw;
  }
  cleaned = s.segments_cleaned * SEGMENT_BYTES;
  cleaned -= s.bytes_copied < cleaned ? s.bytes_copied : cleaned;
  if (asprintf (&text,
                "%8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
                " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "\n",
                s.pages_stored * PAGE_BYTES, stored, s.mem_used_bytes,
                s.mem_limit_bytes, s.mem_used_peak_bytes, s.pages_same,
                cleaned / PAGE_BYTES, huge, s.writes_raw)
      == -1)
    return NULL;
  return text;
}

/* failed_reads failed_writes invalid_io notify_free */
static char *
io_stat (struct device *device)
{
  struct store_statistics s;
  char *text;

  store_get_statistics (device->store, &s);
  if (asprintf (&text, "%8" PRIu64 " %8" PRIu64 " %8d %8" PRIu64 "\n",
                s.read_errors, s.write_errors, 0, s.trims)
      == -1)
    return NULL;
  return text;
}

static uint64_t
in_pages (uint64_t bytes)
{
  return (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

/* bd_count bd_reads bd_writes, of all backings, in units of 4 KiB */
static char *
bd_stat (struct device *device)
{
  struct store_statistics s;
  uint64_t stored = 0, read = 0, written = 0;
  char *text;

  store_get_statistics (device->store, &s);
  pthread_mutex_lock (&device->lock);
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct backing *backing = atomic_load (&device->backings.list[i].backing);
    struct backing_counters counters;

    if (!backing)
      continue;
    backing_get_counters (backing, &counters);
    stored += s.backings[i].compr_bytes;
    read += counters.read_bytes;
    written += counters.written_bytes;
  }
  pthread_mutex_unlock (&device->lock);
  if (asprintf (&text, "%8" PRIu64 " %8" PRIu64 " %8" PRIu64 "\n",
                in_pages (stored), in_pages (read), in_pages (written))
      == -1)
    return NULL;
  return text;
}

static char *
stats_json (struct device *device)
{
  json_t *json = statistics_json (device);
  char *text = NULL, *dump;

  if (!json)
    return NULL;
  dump = json_dumps (json, JSON_INDENT (2));
  json_decref (json);
  if (dump && asprintf (&text, "%s\n", dump) == -1)
    text = NULL;
  free (dump);
  return text;
}

char *
report_text (struct device *device, unsigned node)
{
  char *text;

  switch (node) {
  case NODE_STATS_JSON:
    text = stats_json (device);
    break;
  case NODE_MM_STAT:
    text = mm_stat (device);
    break;
  case NODE_IO_STAT:
    text = io_stat (device);
    break;
  case NODE_BD_STAT:
    text = bd_stat (device);
    break;
  case NODE_CONTROL:
    text = strdup ("");
    break;
  default:
    errno = EACCES;
    return NULL;
  }
  if (!text)
    errno = ENOMEM;
  return text;
}
