/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/human.h"
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
      "{s:o s:i s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o "
      "s:o s:o}",
      "size", integer (store_size (device->store)), "page_size", PAGE_BYTES,
      "pages_stored", integer (s->pages_stored), "pages_same",
      integer (s->pages_same), "orig_bytes",
      integer (s->pages_stored * PAGE_BYTES), "compr_bytes",
      integer (s->compr_bytes), "mem_used_bytes", integer (s->mem_used_bytes),
      "mem_used_peak_bytes", integer (s->mem_used_peak_bytes),
      "mem_limit_bytes", integer (s->mem_limit_bytes), "meta_bytes",
      integer (s->meta_bytes), "reserve_bytes", integer (s->reserve_bytes),
      "reads", integer (s->reads), "writes", integer (s->writes), "trims",
      integer (s->trims), "read_errors", integer (s->read_errors),
      "write_errors", integer (s->write_errors), "pages_mended",
      integer (s->pages_mended), "pages_damaged", integer (s->pages_damaged));
}

static json_t *
tier_json (const struct config_tier *tier,
           const struct store_tier_statistics *s)
{
  return json_pack (
      "{s:s s:i s:s s:s s:i s:o s:o s:o s:o s:o s:o}", "name", tier->name,
      "prio", (int) tier->prio, "kind", "memory", "codec",
      codec_name (s->codec.kind), "level", s->codec.level, "pages",
      integer (s->pages), "pages_raw", integer (s->pages_raw), "compr_bytes",
      integer (s->compr_bytes), "mem_used_bytes", integer (s->mem_used_bytes),
      "limit_bytes", integer (s->limit_bytes), "segments",
      integer (s->segments));
}

/* ARRAY with ITEM, which it takes; NULL, and neither is left, if one of them is
 * for want of memory: a list that lacks something would be a lie.
 */
static json_t *
with (json_t *array, json_t *item)
{
  if (json_array_append_new (array, item) == 0)
    return array;
  json_decref (array);
  return NULL;
}

static json_t *
tiers_json (struct device *device, const struct store_statistics *s)
{
  json_t *tiers = json_array ();

  for (unsigned i = 0; tiers && device_tier (device, i); ++i)
    tiers = with (tiers,
                  tier_json (device_tier (device, i),
                             &s->tiers[device_tier (device, i)->prio - 1]));
  return tiers;
}

unsigned
statistics_backings (const struct device *device,
                     unsigned indexes[STORE_BACKINGS])
{
  const struct tier_backing *list = device->backings.list;
  unsigned count = 0;

  for (unsigned prio = 1; prio <= 4; ++prio)
    for (unsigned i = 0; i < STORE_BACKINGS; ++i)
      if (atomic_load (&list[i].backing) && atomic_load (&list[i].prio) == prio)
        indexes[count++] = i;
  return count;
}

const char *
statistics_backing_kind (const struct backing *backing)
{
  static const char *const names[] = {
    [BACKING_FILE] = "file", [BACKING_BLOCK] = "block", [BACKING_NBD] = "nbd"
  };

  return names[backing_kind (backing)];
}

const char *
statistics_backing_state (const struct backing *backing)
{
  static const char *const names[] = { [BACKING_ONLINE] = "online",
                                       [BACKING_DRAINING] = "draining",
                                       [BACKING_FAILED] = "failed" };

  return names[backing_state (backing)];
}

static json_t *
backing_json (struct device *device, unsigned index,
              const struct store_statistics *s)
{
  struct tier_backing *b = &device->backings.list[index];
  struct backing *backing = atomic_load (&b->backing);
  struct backing_counters c;

  backing_get_counters (backing, &c);
  return json_pack (
      "{s:s s:i s:s s:s s:o s:o s:o s:o s:o s:o s:o s:o s:o}", "name", b->name,
      "prio", (int) atomic_load (&b->prio), "kind",
      statistics_backing_kind (backing), "state",
      statistics_backing_state (backing), "size_bytes",
      integer (backing_extents (backing) * EXTENT_BYTES), "used_bytes",
      integer (backing_extents_used (backing) * EXTENT_BYTES), "pages",
      integer (s->backings[index].pages), "written_bytes",
      integer (c.written_bytes), "write_ios", integer (c.write_ios),
      "read_bytes", integer (c.read_bytes), "read_ios", integer (c.read_ios),
      "io_errors", integer (c.io_errors), "checksum_errors",
      integer (s->backings[index].checksum_errors));
}

static json_t *
backings_json (struct device *device, const struct store_statistics *s)
{
  unsigned indexes[STORE_BACKINGS];
  unsigned count = statistics_backings (device, indexes);
  json_t *backings = json_array ();

  for (unsigned i = 0; backings && i < count; ++i)
    backings = with (backings, backing_json (device, indexes[i], s));
  return backings;
}

static json_t *
cgroup_json (const struct cgroup_info *info)
{
  const struct store_cgroup_statistics *c = &info->pages;

  return json_pack (
      "{s:s s:o s:i s:i s:i s:o s:o s:o s:o s:o s:o}", "path", info->path, "id",
      integer (info->id), "prio", (int) info->prio, "writeback_prio",
      (int) info->writeback_prio, "writeback_size", (int) info->writeback_size,
      "limit_bytes", integer (info->limit), "mem_used_bytes",
      integer (info->used_bytes), "pages_memory", integer (c->pages_memory),
      "pages_backing", integer (c->pages_backing), "pages_same",
      integer (c->pages_same), "compr_bytes", integer (c->compr_bytes));
}

static json_t *
cgroups_json (struct device *device)
{
  struct cgroup_info *list;
  uint32_t count;
  json_t *cgroups;

  if (cgroups_list (device->cgroups, false, &list, &count) == -1)
    return NULL;
  cgroups = json_array ();
  for (uint32_t i = 0; cgroups && i < count; ++i)
    if (json_array_append_new (cgroups, cgroup_json (&list[i])) == -1) {
      json_decref (cgroups);
      cgroups = NULL;
    }
  cgroups_free_list (list, count);
  return cgroups;
}

static json_t *
writeback_json (struct device *device)
{
  struct writeback_counters c;

  writeback_get_counters (device->writeback, &c);
  return json_pack ("{s:o s:o s:o s:o s:o}", "segments", integer (c.segments),
                    "pages", integer (c.pages), "bytes", integer (c.bytes),
                    "pages_demoted", integer (c.pages_demoted),
                    "limit_left_bytes",
                    c.limit ? integer (c.limit_left) : json_null ());
}

static json_t *
tags_json (struct device *device)
{
  struct shim_counts made;
  struct tags_counts tags;

  shim_count (device->shim, &made);
  tags_count (device->tags, &tags);
  return json_pack ("{s:o s:o s:o s:o s:o s:o s:o s:o}", "disks",
                    integer (made.disks), "made", integer (made.made),
                    "dropped", integer (made.dropped), "ring_high_water",
                    integer (made.high_water), "pages_taken",
                    integer (tags.taken), "pages_replaced",
                    integer (tags.replaced), "pages_lost", integer (tags.lost),
                    "pages_untagged", integer (tags.untagged));
}

json_t *
statistics_json (struct device *device)
{
  struct store_statistics s;
  json_t *json;

  store_get_statistics (device->store, &s);
  pthread_mutex_lock (&device->lock);
  json = json_pack ("{s:o s:o s:o s:o s:{s:o s:o s:o} s:o s:o}", "device",
                    device_json (device, &s), "tiers", tiers_json (device, &s),
                    "backings", backings_json (device, &s), "cgroups",
                    cgroups_json (device), "cleaner", "segments_cleaned",
                    integer (s.segments_cleaned), "bytes_copied",
                    integer (s.bytes_copied), "cpu_nanoseconds",
                    integer (s.cleaner_nanoseconds), "writeback",
                    writeback_json (device), "tags", tags_json (device));
  pthread_mutex_unlock (&device->lock);
  if (!json)
    errno = ENOMEM;
  return json;
}

/* The tier or backing NAME, under the lock: *TIER, or the backing's index.  -1
 * with errno ENOENT.
 */
static int
find (struct device *device, const char *name, const struct config_tier **tier)
{
  for (unsigned i = 0; (*tier = device_tier (device, i)); ++i)
    if (strcmp ((*tier)->name, name) == 0)
      return 0;
  return backings_find (&device->backings, name);
}

json_t *
statistics_of (struct device *device, const char *name)
{
  struct store_statistics s;
  const struct config_tier *tier;
  json_t *json = NULL;
  int index;

  store_get_statistics (device->store, &s);
  errno = ENOMEM;
  pthread_mutex_lock (&device->lock);
  index = find (device, name, &tier);
  if (tier)
    json = tier_json (tier, &s.tiers[tier->prio - 1]);
  else if (index >= 0)
    json = backing_json (device, (unsigned) index, &s);
  pthread_mutex_unlock (&device->lock);
  return json;
}

char *
statistics_name (struct device *device, unsigned number)
{
  unsigned indexes[STORE_BACKINGS];
  const char *name = NULL;
  char *copy = NULL;

  pthread_mutex_lock (&device->lock);
  if (number < device->config->tiers_count)
    name = device_tier (device, number)->name;
  else {
    number -= device->config->tiers_count;
    if (number < statistics_backings (device, indexes))
      name = device->backings.list[indexes[number]].name;
  }
  if (name)
    copy = strdup (name);
  pthread_mutex_unlock (&device->lock);
  return copy;
}

/* ", 1.5 GiB on 2 backings, 1 failed", or nothing; to free(). */
static char *
describe_backings (struct device *device, const struct store_statistics *s)
{
  unsigned indexes[STORE_BACKINGS], failed = 0, count;
  uint64_t bytes = 0;
  char stored[HUMAN_ROOM], tail[32] = "", *text;

  count = statistics_backings (device, indexes);
  if (count == 0)
    return strdup ("");
  for (unsigned i = 0; i < count; ++i) {
    struct backing *b
        = atomic_load (&device->backings.list[indexes[i]].backing);

    bytes += s->backings[indexes[i]].pages * PAGE_BYTES;
    failed += backing_state (b) == BACKING_FAILED;
  }
  if (failed > 0)
    snprintf (tail, sizeof tail, ", %u failed", failed);
  if (asprintf (&text, ", %s of it on %u backing%s%s",
                human_bytes (bytes, stored), count, count > 1 ? "s" : "", tail)
      == -1)
    return NULL;
  return text;
}

static char *
describe_device (struct device *device, const struct store_statistics *s)
{
  char size[HUMAN_ROOM], stored[HUMAN_ROOM], used[HUMAN_ROOM],
      limit[HUMAN_ROOM], *backings = describe_backings (device, s), *text;

  if (!backings)
    return NULL;
  if (asprintf (&text, "tierswap %s: %s stored in %s of %s%s",
                human_bytes (device->config->size, size),
                human_bytes (s->pages_stored * PAGE_BYTES, stored),
                human_bytes (s->mem_used_bytes, used),
                human_bytes (s->mem_limit_bytes, limit), backings)
      == -1)
    text = NULL;
  free (backings);
  return text;
}

static char *
describe_tier (const struct config_tier *tier,
               const struct store_tier_statistics *s)
{
  char stored[HUMAN_ROOM], used[HUMAN_ROOM], limit[HUMAN_ROOM], *text;

  if (asprintf (&text, "memory tier, prio %u, %s level %d: %s stored in %s%s%s",
                tier->prio, codec_name (s->codec.kind), s->codec.level,
                human_bytes (s->pages * PAGE_BYTES, stored),
                human_bytes (s->mem_used_bytes, used),
                s->limit_bytes ? " of " : "",
                s->limit_bytes ? human_bytes (s->limit_bytes, limit) : "")
      == -1)
    return NULL;
  return text;
}

static char *
describe_backing (const struct tier_backing *b,
                  const struct store_backing_statistics *s)
{
  const struct backing *backing = atomic_load (&b->backing);
  char stored[HUMAN_ROOM], used[HUMAN_ROOM], size[HUMAN_ROOM], *text;

  if (asprintf (
          &text, "backing, prio %u, %s, %s: %s stored in %s of %s",
          atomic_load (&b->prio), statistics_backing_kind (backing),
          statistics_backing_state (backing),
          human_bytes (s->pages * PAGE_BYTES, stored),
          human_bytes (backing_extents_used (backing) * EXTENT_BYTES, used),
          human_bytes (backing_extents (backing) * EXTENT_BYTES, size))
      == -1)
    return NULL;
  return text;
}

char *
statistics_describe (struct device *device, const char *name)
{
  struct store_statistics s;
  const struct config_tier *tier;
  char *text = NULL;
  int index;

  if (strcmp (name, "stats") == 0)
    return strdup ("statistics as JSON");
  if (!device->store)
    return strdup ("tierswap");
  store_get_statistics (device->store, &s);
  errno = ENOMEM;
  pthread_mutex_lock (&device->lock);
  if (name[0] == '\0')
    text = describe_device (device, &s);
  else {
    index = find (device, name, &tier);
    if (tier)
      text = describe_tier (tier, &s.tiers[tier->prio - 1]);
    else if (index >= 0)
      text = describe_backing (&device->backings.list[index],
                               &s.backings[index]);
  }
  pthread_mutex_unlock (&device->lock);
  return text;
}
