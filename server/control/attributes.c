/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/refuse.h"
#include "control/attributes.h"
#include "control/statistics.h"
#include "policy/change.h"
#include "policy/config-report.h"

static void
show_number (char value[REGISTRY_VALUE], uint64_t number)
{
  snprintf (value, REGISTRY_VALUE, "%" PRIu64, number);
}

/* An attribute that shows a number. */
#define SHOW(function, number)                                                 \
  static void function (const struct view *view, char value[REGISTRY_VALUE])   \
  {                                                                            \
    show_number (value, (uint64_t) (number));                                  \
  }

/* One that shows a word. */
#define SHOW_TEXT(function, text)                                              \
  static void function (const struct view *view, char value[REGISTRY_VALUE])   \
  {                                                                            \
    snprintf (value, REGISTRY_VALUE, "%s", text);                              \
  }

/* How one is stored. */
#define STORE(function)                                                        \
  static int function (struct device *device, const char *name,                \
                       const char *object, const char *value, char **error)

static const struct store_tier_statistics *
tier_of (const struct view *view)
{
  return &view->statistics.tiers[view->tier->prio - 1];
}

static struct tier_backing *
entry_of (const struct view *view)
{
  return &view->device->backings.list[view->backing];
}

static struct backing *
backing_of (const struct view *view)
{
  return atomic_load (&entry_of (view)->backing);
}

static struct backing_counters
counters_of (const struct view *view)
{
  struct backing_counters counters;

  backing_get_counters (backing_of (view), &counters);
  return counters;
}

/* The device and the pool. */

SHOW (show_size, store_size (view->device->store))

SHOW (show_pool_limit, view->statistics.mem_limit_bytes)
SHOW (show_pool_used, view->statistics.mem_used_bytes)
SHOW (show_pool_peak, view->statistics.mem_used_peak_bytes)
SHOW (show_pool_meta, view->statistics.meta_bytes)
SHOW (show_pool_reserve, view->statistics.reserve_bytes)
SHOW (show_pool_pages, view->statistics.pages_stored)
SHOW (show_pool_pages_same, view->statistics.pages_same)
SHOW (show_pool_compr_bytes, view->statistics.compr_bytes)
SHOW (show_pool_reads, view->statistics.reads)
SHOW (show_pool_writes, view->statistics.writes)
SHOW (show_pool_writes_raw, view->statistics.writes_raw)
SHOW (show_pool_trims, view->statistics.trims)
SHOW (show_pool_read_errors, view->statistics.read_errors)
SHOW (show_pool_write_errors, view->statistics.write_errors)
SHOW (show_pool_pages_mended, view->statistics.pages_mended)
SHOW (show_pool_pages_damaged, view->statistics.pages_damaged)

STORE (set_pool_limit)
{
  uint64_t bytes;

  (void) object;
  return registry_size (name, value, true, &bytes, error) == -1
             ? -1
             : device_set_pool_limit (device, bytes, error);
}

/* Memory tiers. */

static const char *
choose_tier (struct view *view, unsigned number)
{
  view->tier = device_tier (view->device, number);
  return view->tier ? view->tier->name : NULL;
}

SHOW (show_tier_prio, view->tier->prio)
SHOW (show_tier_limit, tier_of (view)->limit_bytes)
SHOW (show_tier_demote_age, view->tier->demote_age)
SHOW (show_tier_group, view->tier->group)
SHOW (show_tier_used, tier_of (view)->mem_used_bytes)
SHOW (show_tier_pages, tier_of (view)->pages)
SHOW (show_tier_pages_raw, tier_of (view)->pages_raw)
SHOW (show_tier_compr_bytes, tier_of (view)->compr_bytes)
SHOW (show_tier_segments, tier_of (view)->segments)
SHOW_TEXT (show_tier_codec, codec_name (tier_of (view)->codec.kind))

static void
show_tier_level (const struct view *view, char value[REGISTRY_VALUE])
{
  snprintf (value, REGISTRY_VALUE, "%d", tier_of (view)->codec.level);
}

STORE (set_tier_level)
{
  char *end;
  long level;

  errno = 0;
  level = strtol (value, &end, 10);
  if (end == value || *end || errno || level < INT32_MIN || level > INT32_MAX)
    return refuse (error, EINVAL, "%s cannot be \"%s\": it is a whole number",
                   name, config_excerpt (value).text);
  return device_set_tier_level (device, object, (int) level, error);
}

STORE (set_tier_limit)
{
  uint64_t bytes;

  return registry_size (name, value, true, &bytes, error) == -1
             ? -1
             : device_set_tier_limit (device, object, bytes, error);
}

STORE (set_tier_demote_age)
{
  int64_t age;

  return registry_number (name, value, 0, UINT32_MAX, &age, error) == -1
             ? -1
             : device_set_demote_age (device, object, (unsigned) age, error);
}

STORE (set_tier_group)
{
  int64_t pages;

  return registry_number (name, value, 1, STORE_GROUP, &pages, error) == -1
             ? -1
             : device_set_group (device, object, (unsigned) pages, error);
}

/* Backing tiers. */

static const char *
choose_backing (struct view *view, unsigned number)
{
  unsigned indexes[STORE_BACKINGS];

  if (number >= statistics_backings (view->device, indexes))
    return NULL;
  view->backing = indexes[number];
  return entry_of (view)->name;
}

static bool
promotes (const struct view *view)
{
  const struct config *config = view->device->config;

  for (unsigned i = 0; i < config->backings_count; ++i)
    if (strcmp (config->backings[i].name, entry_of (view)->name) == 0)
      return config->backings[i].promote;
  return false;
}

SHOW (show_backing_prio, atomic_load (&entry_of (view)->prio))
SHOW (show_backing_size, backing_extents (backing_of (view)) * EXTENT_BYTES)
SHOW (show_backing_used,
      backing_extents_used (backing_of (view)) * EXTENT_BYTES)
SHOW (show_backing_pages, view->statistics.backings[view->backing].pages)
SHOW (show_backing_written_bytes, counters_of (view).written_bytes)
SHOW (show_backing_write_ios, counters_of (view).write_ios)
SHOW (show_backing_read_bytes, counters_of (view).read_bytes)
SHOW (show_backing_read_ios, counters_of (view).read_ios)
SHOW (show_backing_io_errors, counters_of (view).io_errors)
SHOW (show_backing_checksum_errors,
      view->statistics.backings[view->backing].checksum_errors)
SHOW_TEXT (show_backing_kind, statistics_backing_kind (backing_of (view)))
SHOW_TEXT (show_backing_state, statistics_backing_state (backing_of (view)))
SHOW (show_backing_drain, atomic_load (&entry_of (view)->draining))
SHOW_TEXT (show_backing_promote, promotes (view) ? "true" : "false")

STORE (set_backing_size)
{
  uint64_t bytes;

  return registry_size (name, value, false, &bytes, error) == -1
             ? -1
             : device_set_backing_size (device, object, bytes, error);
}

STORE (set_backing_promote)
{
  bool promote = strcmp (value, "true") == 0;

  if (!promote && strcmp (value, "false") != 0)
    return refuse (error, EINVAL, "%s cannot be \"%s\": it is true or false",
                   name, config_excerpt (value).text);
  return device_set_promote (device, object, promote, error);
}

STORE (set_backing_drain)
{
  if (strcmp (value, "1") != 0)
    return refuse (error, EINVAL,
                   "%s cannot be \"%s\": 1 begins to drain it, and "
                   "only a reload of the configuration calls it off",
                   name, config_excerpt (value).text);
  return device_drain (device, object, error);
}

/* Writeback. */

SHOW (show_writeback_high, view->device->config->writeback.high)
SHOW (show_writeback_low, view->device->config->writeback.low)
SHOW (show_writeback_age, view->device->config->writeback.age)
SHOW (show_writeback_limit, view->device->config->writeback.limit)
SHOW (show_writeback_segments, view->writeback.segments)
SHOW (show_writeback_pages, view->writeback.pages)
SHOW (show_writeback_bytes, view->writeback.bytes)
SHOW (show_writeback_pages_demoted, view->writeback.pages_demoted)

/* "none": there is no limit. */
static void
show_writeback_limit_left (const struct view *view, char value[REGISTRY_VALUE])
{
  if (view->writeback.limit)
    show_number (value, view->writeback.limit_left);
  else
    snprintf (value, REGISTRY_VALUE, "none");
}

#define NO_WRITEBACK_CHANGE                                                    \
  {                                                                            \
    -1, -1, -1, -1                                                             \
  }

STORE (set_writeback_high)
{
  struct device_writeback_change change = NO_WRITEBACK_CHANGE;

  (void) object;
  return registry_number (name, value, 1, 100, &change.high, error) == -1
             ? -1
             : device_set_writeback (device, &change, error);
}

STORE (set_writeback_low)
{
  struct device_writeback_change change = NO_WRITEBACK_CHANGE;

  (void) object;
  return registry_number (name, value, 0, 99, &change.low, error) == -1
             ? -1
             : device_set_writeback (device, &change, error);
}

STORE (set_writeback_age)
{
  struct device_writeback_change change = NO_WRITEBACK_CHANGE;

  (void) object;
  return registry_number (name, value, 0, UINT32_MAX, &change.age, error) == -1
             ? -1
             : device_set_writeback (device, &change, error);
}

STORE (set_writeback_limit)
{
  struct device_writeback_change change = NO_WRITEBACK_CHANGE;
  uint64_t bytes;

  (void) object;
  if (registry_size (name, value, false, &bytes, error) == -1)
    return -1;
  change.limit = (int64_t) bytes;
  return device_set_writeback (device, &change, error);
}

/* Cgroups: those that have pages or a policy of their own, by path. */

static const char *
choose_cgroup (struct view *view, unsigned number)
{
  if (!view->cgroups
      && cgroups_list (view->device->cgroups, false, &view->cgroups,
                       &view->cgroups_count)
             == -1)
    return NULL;
  if (number >= view->cgroups_count)
    return NULL;
  view->cgroup = &view->cgroups[number];
  return view->cgroup->path;
}

/* Also one that only exists. */
static bool
find_cgroup (struct view *view, const char *path)
{
  char *error;

  if (cgroups_get (view->device->cgroups, path, &view->found, &error) == -1) {
    free (error);
    return false;
  }
  view->cgroup = &view->found;
  return true;
}

void
view_free (struct view *view)
{
  free (view->found.path);
  cgroups_free_list (view->cgroups, view->cgroups_count);
}

SHOW (show_cgroup_id, view->cgroup->id)
SHOW (show_cgroup_prio, view->cgroup->prio)
SHOW (show_cgroup_writeback_prio, view->cgroup->writeback_prio)
SHOW (show_cgroup_writeback_size, view->cgroup->writeback_size)
SHOW (show_cgroup_limit, view->cgroup->limit)
SHOW (show_cgroup_used, view->cgroup->used_bytes)
SHOW (show_cgroup_pages_memory, view->cgroup->pages.pages_memory)
SHOW (show_cgroup_pages_backing, view->cgroup->pages.pages_backing)
SHOW (show_cgroup_pages_same, view->cgroup->pages.pages_same)
SHOW (show_cgroup_compr_bytes, view->cgroup->pages.compr_bytes)

STORE (set_cgroup_prio)
{
  struct cgroup_change change = CGROUP_NO_CHANGE;

  return registry_number (name, value, 1, 4, &change.prio, error) == -1
             ? -1
             : device_set_cgroup (device, object, &change, error);
}

STORE (set_cgroup_writeback_prio)
{
  struct cgroup_change change = CGROUP_NO_CHANGE;

  return registry_number (name, value, 0, 4, &change.writeback_prio, error)
                 == -1
             ? -1
             : device_set_cgroup (device, object, &change, error);
}

STORE (set_cgroup_writeback_size)
{
  struct cgroup_change change = CGROUP_NO_CHANGE;
  uint64_t bytes;

  if (registry_size (name, value, false, &bytes, error) == -1)
    return -1;
  change.writeback_size = (int64_t) bytes;
  return device_set_cgroup (device, object, &change, error);
}

STORE (set_cgroup_limit)
{
  struct cgroup_change change = CGROUP_NO_CHANGE;
  uint64_t bytes;

  if (registry_size (name, value, true, &bytes, error) == -1)
    return -1;
  change.limit = (int64_t) bytes;
  return device_set_cgroup (device, object, &change, error);
}

/* The cleaner. */

SHOW (show_cleaner_segments, view->statistics.segments_cleaned)
SHOW (show_cleaner_bytes, view->statistics.bytes_copied)

static const struct attribute device_attributes[] = {
  { "size", show_size, NULL },
  { NULL, NULL, NULL },
};

static const struct attribute pool_attributes[] = {
  { "limit", show_pool_limit, set_pool_limit },
  { "used", show_pool_used, NULL },
  { "peak", show_pool_peak, NULL },
  { "meta", show_pool_meta, NULL },
  { "reserve", show_pool_reserve, NULL },
  { "pages", show_pool_pages, NULL },
  { "pages_same", show_pool_pages_same, NULL },
  { "compr_bytes", show_pool_compr_bytes, NULL },
  { "reads", show_pool_reads, NULL },
  { "writes", show_pool_writes, NULL },
  { "writes_raw", show_pool_writes_raw, NULL },
  { "trims", show_pool_trims, NULL },
  { "read_errors", show_pool_read_errors, NULL },
  { "write_errors", show_pool_write_errors, NULL },
  { "pages_mended", show_pool_pages_mended, NULL },
  { "pages_damaged", show_pool_pages_damaged, NULL },
  { NULL, NULL, NULL },
};

static const struct attribute tier_attributes[] = {
  { "prio", show_tier_prio, NULL },
  { "codec", show_tier_codec, NULL },
  { "level", show_tier_level, set_tier_level },
  { "limit", show_tier_limit, set_tier_limit },
  { "demote_age", show_tier_demote_age, set_tier_demote_age },
  { "group", show_tier_group, set_tier_group },
  { "used", show_tier_used, NULL },
  { "mem_used_bytes", show_tier_used, NULL },
  { "pages", show_tier_pages, NULL },
  { "pages_raw", show_tier_pages_raw, NULL },
  { "compr_bytes", show_tier_compr_bytes, NULL },
  { "segments", show_tier_segments, NULL },
  { NULL, NULL, NULL },
};

static const struct attribute backing_attributes[] = {
  { "prio", show_backing_prio, NULL },
  { "kind", show_backing_kind, NULL },
  { "state", show_backing_state, NULL },
  { "size", show_backing_size, set_backing_size },
  { "used", show_backing_used, NULL },
  { "promote", show_backing_promote, set_backing_promote },
  { "drain", show_backing_drain, set_backing_drain },
  { "pages", show_backing_pages, NULL },
  { "written_bytes", show_backing_written_bytes, NULL },
  { "write_ios", show_backing_write_ios, NULL },
  { "read_bytes", show_backing_read_bytes, NULL },
  { "read_ios", show_backing_read_ios, NULL },
  { "io_errors", show_backing_io_errors, NULL },
  { "checksum_errors", show_backing_checksum_errors, NULL },
  { NULL, NULL, NULL },
};

static const struct attribute writeback_attributes[] = {
  { "high", show_writeback_high, set_writeback_high },
  { "low", show_writeback_low, set_writeback_low },
  { "age", show_writeback_age, set_writeback_age },
  { "limit", show_writeback_limit, set_writeback_limit },
  { "limit_left", show_writeback_limit_left, NULL },
  { "segments", show_writeback_segments, NULL },
  { "pages", show_writeback_pages, NULL },
  { "bytes", show_writeback_bytes, NULL },
  { "pages_demoted", show_writeback_pages_demoted, NULL },
  { NULL, NULL, NULL },
};

static const struct attribute cgroup_attributes[] = {
  { "id", show_cgroup_id, NULL },
  { "prio", show_cgroup_prio, set_cgroup_prio },
  { "writeback_prio", show_cgroup_writeback_prio, set_cgroup_writeback_prio },
  { "writeback_size", show_cgroup_writeback_size, set_cgroup_writeback_size },
  { "limit", show_cgroup_limit, set_cgroup_limit },
  { "used", show_cgroup_used, NULL },
  { "pages_memory", show_cgroup_pages_memory, NULL },
  { "pages_backing", show_cgroup_pages_backing, NULL },
  { "pages_same", show_cgroup_pages_same, NULL },
  { "compr_bytes", show_cgroup_compr_bytes, NULL },
  { NULL, NULL, NULL },
};

static const struct attribute cleaner_attributes[] = {
  { "segments_cleaned", show_cleaner_segments, NULL },
  { "bytes_copied", show_cleaner_bytes, NULL },
  { NULL, NULL, NULL },
};

const struct attribute_group attribute_groups[] = {
  { "", NULL, NULL, device_attributes, NULL, "", false },
  { "pool", NULL, NULL, pool_attributes, "pool", "", false },
  { "tier", choose_tier, NULL, tier_attributes, "tiers", "", false },
  { "backing", choose_backing, NULL, backing_attributes, "backings", "",
    false },
  { "writeback", NULL, NULL, writeback_attributes, NULL, "writeback_", false },
  { "cgroup", choose_cgroup, find_cgroup, cgroup_attributes, "cgroup", "zram.",
    true },
  { "cleaner", NULL, NULL, cleaner_attributes, "cleaner", "", false },
  { NULL, NULL, NULL, NULL, NULL, NULL, false },
};
