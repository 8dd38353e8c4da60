/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/statistics.h"

static json_t *
integer (uint64_t n)
{
  return json_integer ((json_int_t) n);
}

static json_t *
device_json (struct device *device, const struct store_statistics *s)
{
  return json_pack (
      "{s:o s:i s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o}",
      "size", integer (store_size (device->store)),
      "page_size", PAGE_BYTES,
      "pages_stored", integer (s->pages_stored),
      "pages_same", integer (s->pages_same),
      "orig_bytes", integer (s->pages_stored * PAGE_BYTES),
      "compr_bytes", integer (s->compr_bytes),
      "mem_used_bytes", integer (s->mem_used_bytes),
      "mem_used_peak_bytes", integer (s->mem_used_peak_bytes),
      "mem_limit_bytes", integer (s->mem_limit_bytes),
      "meta_bytes", integer (s->meta_bytes),
      "reserve_bytes", integer (s->reserve_bytes),
      "reads", integer (s->reads),
      "writes", integer (s->writes),
      "trims", integer (s->trims),
      "read_errors", integer (s->read_errors),
      "write_errors", integer (s->write_errors));
}

static json_t *
tier_json (const struct config_tier *tier,
           const struct store_tier_statistics *s)
{
  return json_pack ("{s:s s:i s:s s:s s:i s:o s:o s:o s:o s:o s:o}",
                    "name", tier->name,
                    "prio", (int) tier->prio,
                    "kind", "memory",
                    "codec", codec_name (s->codec.kind),
                    "level", s->codec.level,
                    "pages", integer (s->pages),
                    "pages_raw", integer (s->pages_raw),
                    "compr_bytes", integer (s->compr_bytes),
                    "mem_used_bytes", integer (s->mem_used_bytes),
                    "limit_bytes", integer (s->limit_bytes),
                    "segments", integer (s->segments));
}

static json_t *
tiers_json (struct device *device, const struct store_statistics *s)
{
  json_t *tiers = json_array ();

  for (unsigned i = 0; tiers && device_tier (device, i); ++i)
    json_array_append_new (
        tiers, tier_json (device_tier (device, i),
                          &s->tiers[device_tier (device, i)->prio - 1]));
  return tiers;
}

static json_t *
cgroups_json (struct device *device, const struct store_statistics *s)
{
  const struct store_placement root = device->root;

  return json_pack ("[{s:s s:i s:i s:i s:i s:o s:i s:o s:o}]",
                    "path", "/",
                    "id", 1,
                    "prio", (int) root.prio,
                    "writeback_prio", (int) root.writeback_prio,
                    "writeback_size", (int) root.writeback_size,
                    "pages_memory", integer (s->pages_stored - s->pages_same),
                    "pages_backing", 0,
                    "pages_same", integer (s->pages_same),
                    "compr_bytes", integer (s->compr_bytes));
}

json_t *
statistics_json (struct device *device)
{
  struct store_statistics s;
  json_t *json;

  store_get_statistics (device->store, &s);
  json = json_pack ("{s:o s:o s:[] s:o s:{s:o s:o s:o} s:{s:i s:i s:i s:n}}",
                    "device", device_json (device, &s),
                    "tiers", tiers_json (device, &s),
                    "backings",
                    "cgroups", cgroups_json (device, &s),
                    "cleaner",
                    "segments_cleaned", integer (s.segments_cleaned),
                    "bytes_copied", integer (s.bytes_copied),
                    "cpu_nanoseconds", integer (s.cleaner_nanoseconds),
                    "writeback",
                    "segments", 0, "pages", 0, "bytes", 0,
                    "limit_left_bytes");
  if (!json)
    errno = ENOMEM;
  return json;
}

json_t *
statistics_of (struct device *device, const char *name)
{
  struct store_statistics s;
  const struct config_tier *tier;

  for (unsigned i = 0; (tier = device_tier (device, i)); ++i)
    if (strcmp (tier->name, name) == 0) {
      store_get_statistics (device->store, &s);
      return tier_json (tier, &s.tiers[tier->prio - 1]);
    }
  errno = ENOENT;
  return NULL;
}

const char *
statistics_human (uint64_t bytes, char text[HUMAN_ROOM])
{
  static const char units[] = "KMGTPE";
  double n = bytes;
  int unit = -1;

  while (n >= 1024 && unit + 1 < (int) sizeof units - 1) {
    n /= 1024;
    unit++;
  }
  if (unit < 0)
    snprintf (text, HUMAN_ROOM, "%llu B", (unsigned long long) bytes);
  else
    snprintf (text, HUMAN_ROOM, "%.1f %ciB", n, units[unit]);
  return text;
}

static char *
describe_device (struct device *device)
{
  struct store_statistics s;
  char size[HUMAN_ROOM], stored[HUMAN_ROOM], used[HUMAN_ROOM],
      limit[HUMAN_ROOM], *text;

  if (!device->store)
    return strdup ("tierswap");
  store_get_statistics (device->store, &s);
  if (asprintf (&text, "tierswap %s: %s stored in %s of %s",
                statistics_human (device->config->size, size),
                statistics_human (s.pages_stored * PAGE_BYTES, stored),
                statistics_human (s.mem_used_bytes, used),
                statistics_human (s.mem_limit_bytes, limit)) == -1)
    return NULL;
  return text;
}

static char *
describe_tier (struct device *device, unsigned index)
{
  const struct config_tier *tier = device_tier (device, index);
  struct store_statistics s;
  char stored[HUMAN_ROOM], used[HUMAN_ROOM], limit[HUMAN_ROOM], *text;

  store_get_statistics (device->store, &s);
  if (asprintf (&text, "memory tier, prio %u, %s level %d: %s stored in %s%s%s",
                tier->prio, codec_name (s.tiers[tier->prio - 1].codec.kind),
                s.tiers[tier->prio - 1].codec.level,
                statistics_human (s.tiers[tier->prio - 1].pages * PAGE_BYTES, stored),
                statistics_human (s.tiers[tier->prio - 1].mem_used_bytes, used),
                s.tiers[tier->prio - 1].limit_bytes ? " of " : "",
                s.tiers[tier->prio - 1].limit_bytes
                    ? statistics_human (s.tiers[tier->prio - 1].limit_bytes, limit)
                    : "") == -1)
    return NULL;
  return text;
}

char *
statistics_describe (struct device *device, const char *name)
{
  const struct config_tier *tier;

  if (name[0] == '\0')
    return describe_device (device);
  if (strcmp (name, "stats") == 0)
    return strdup ("statistics as JSON");
  for (unsigned i = 0; (tier = device_tier (device, i)); ++i)
    if (strcmp (tier->name, name) == 0)
      return describe_tier (device, i);
  errno = ENOENT;
  return NULL;
}
