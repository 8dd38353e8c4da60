/* SPDX-License-Identifier: BSD-3-Clause */
/* Live changes of a device, one value at a time. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/refuse.h"
#include "policy/change.h"
#include "store/state.h"

static struct config_tier *
find_tier (struct device *device, const char *name, char **error)
{
  for (unsigned i = 0; i < device->config->tiers_count; ++i)
    if (strcmp (device->config->tiers[i].name, name) == 0)
      return &device->config->tiers[i];
  refuse (error, ENOENT, "there is no memory tier \"%s\"", name);
  return NULL;
}

static struct config_backing *
find_backing (struct device *device, const char *name, char **error)
{
  for (unsigned i = 0; i < device->config->backings_count; ++i)
    if (strcmp (device->config->backings[i].name, name) == 0)
      return &device->config->backings[i];
  refuse (error, ENOENT, "there is no backing \"%s\"", name);
  return NULL;
}

int
change_check_room (struct device *device, uint64_t pool_limit, char **error)
{
  const struct state *state = store_state (device->store);

  return state ? state_check_room (state, pool_limit, error) : 0;
}

int
device_set_pool_limit (struct device *device, uint64_t bytes, char **error)
{
  uint64_t memory = config_machine_memory ();

  if (bytes < CONFIG_POOL_LEAST || bytes > memory || bytes % PAGE_BYTES)
    return refuse (error, EINVAL,
                   "the pool's limit must be a multiple of 4096 bytes "
                   "from %llu (4M) to %llu, this machine's memory",
                   (unsigned long long) CONFIG_POOL_LEAST,
                   (unsigned long long) memory);
  if (change_check_room (device, bytes, error) == -1)
    return -1;
  pthread_mutex_lock (&device->lock);
  device->config->pool_limit = bytes;
  store_set_pool_limit (device->store, bytes);
  writeback_configure (device->writeback, &device->config->writeback);
  pthread_mutex_unlock (&device->lock);
  return 0;
}

int
device_set_tier_limit (struct device *device, const char *name, uint64_t bytes,
                       char **error)
{
  struct config_tier *tier;
  int r = -1;

  pthread_mutex_lock (&device->lock);
  tier = find_tier (device, name, error);
  if (tier && bytes != 0
      && (bytes < EXTENT_BYTES || bytes > device->config->pool_limit
          || bytes % PAGE_BYTES))
    refuse (error, EINVAL,
            "the limit of tier \"%s\" must be a multiple of 4096 bytes "
            "from %d to the pool's limit, %llu, or 0 for no limit but "
            "that",
            name, EXTENT_BYTES,
            (unsigned long long) device->config->pool_limit);
  else if (tier) {
    tier->limit = bytes;
    store_set_tier_limit (device->store, tier->prio - 1, bytes);
    r = 0;
  }
  pthread_mutex_unlock (&device->lock);
  return r;
}

int
device_set_tier_level (struct device *device, const char *name, int level,
                       char **error)
{
  struct config_tier *tier;
  int r = -1, least, most;

  pthread_mutex_lock (&device->lock);
  tier = find_tier (device, name, error);
  if (tier && !codec_level_valid (tier->codec.kind, level)) {
    codec_levels (tier->codec.kind, &least, &most);
    refuse (error, EINVAL, "the level of %s must be from %d to %d",
            codec_name (tier->codec.kind), least, most);
  }
  else if (tier) {
    tier->codec.level = level;
    store_set_tier_level (device->store, tier->prio - 1, level);
    r = 0;
  }
  pthread_mutex_unlock (&device->lock);
  return r;
}

int
device_set_demote_age (struct device *device, const char *name,
                       unsigned seconds, char **error)
{
  struct config_tier *tier;

  pthread_mutex_lock (&device->lock);
  tier = find_tier (device, name, error);
  if (tier) {
    tier->demote_age = seconds;
    writeback_set_demote_age (device->writeback, tier->prio - 1, seconds);
    writeback_kick (device->writeback);
  }
  pthread_mutex_unlock (&device->lock);
  return tier ? 0 : -1;
}

int
device_set_group (struct device *device, const char *name, unsigned pages,
                  char **error)
{
  struct config_tier *tier;

  pthread_mutex_lock (&device->lock);
  tier = find_tier (device, name, error);
  if (tier) {
    tier->group = pages;
    store_set_tier_group (device->store, tier->prio - 1, pages);
  }
  pthread_mutex_unlock (&device->lock);
  return tier ? 0 : -1;
}

int
device_set_backing_size (struct device *device, const char *name,
                         uint64_t bytes, char **error)
{
  struct config_backing *config;
  int r = -1, index;

  pthread_mutex_lock (&device->lock);
  config = find_backing (device, name, error);
  index = config ? backings_find (&device->backings, name) : -1;
  if (index >= 0 && bytes % PAGE_BYTES)
    refuse (error, EINVAL,
            "the size of backing \"%s\" must be a multiple of 4096 "
            "bytes",
            name);
  else if (index >= 0)
    r = backings_resize (&device->backings, (unsigned) index, bytes, error);
  if (r == 0) {
    config->size = bytes;
    writeback_kick (device->writeback);
  }
  pthread_mutex_unlock (&device->lock);
  return r;
}

int
device_set_promote (struct device *device, const char *name, bool promote,
                    char **error)
{
  struct config_backing *config;
  int index;

  pthread_mutex_lock (&device->lock);
  config = find_backing (device, name, error);
  index = config ? backings_find (&device->backings, name) : -1;
  if (index >= 0) {
    config->promote = promote;
    store_set_promote (device->store, (unsigned) index, promote);
  }
  pthread_mutex_unlock (&device->lock);
  return index >= 0 ? 0 : -1;
}

int
device_set_writeback (struct device *device,
                      const struct device_writeback_change *change,
                      char **error)
{
  struct config_writeback new;
  int r = -1;

  pthread_mutex_lock (&device->lock);
  new = device->config->writeback;
  if (change->high > 100 || change->low > 100)
    refuse (error, EINVAL,
            "writeback.high must be from 1 to 100 and writeback.low "
            "from 0 to 99, in percent of the pool");
  else if (change->age > UINT32_MAX)
    refuse (error, EINVAL, "writeback.age must be from 0 (off) to %u seconds",
            UINT32_MAX);
  else {
    if (change->high >= 0)
      new.high = (unsigned) change->high;
    if (change->low >= 0)
      new.low = (unsigned) change->low;
    if (change->age >= 0)
      new.age = (unsigned) change->age;
    if (change->limit >= 0)
      new.limit = (uint64_t) change->limit;
    if (new.low >= new.high)
      refuse (error, EINVAL,
              "writeback.low (%u) must be less than writeback.high "
              "(%u), which is from 1 to 100",
              new.low, new.high);
    else
      r = 0;
  }
  if (r == 0) {
    device->config->writeback = new;
    writeback_configure (device->writeback, &new);
  }
  pthread_mutex_unlock (&device->lock);
  return r;
}

int
device_set_cgroup (struct device *device, const char *path,
                   const struct cgroup_change *change, char **error)
{
  if (cgroups_set (device->cgroups, path, change, error) == -1)
    return -1;
  /* A lower limit is kept from now on. */
  writeback_kick (device->writeback);
  return 0;
}

uint64_t
change_memory_room (struct device *device, const struct config *config)
{
  uint64_t mark = config->pool_limit / 100 * config->writeback.high;
  uint64_t used = store_memory_used (device->store);

  return mark > used ? mark - used : 0;
}

/* Under the lock. */
static int
start_drain (struct device *device, unsigned index, char **error)
{
  struct tier_backing *b = &device->backings.list[index];
  uint64_t needed = backing_extents_used (b->backing) * EXTENT_BYTES;
  uint64_t there
      = backings_free_extents (&device->backings, (int) index) * EXTENT_BYTES;
  uint64_t memory = change_memory_room (device, device->config);

  if (needed > there + memory)
    return refuse (
        error, ENOSPC,
        "backing \"%s\" cannot be drained: it holds %llu bytes, the other "
        "backings have room for %llu and memory for %llu; %llu bytes are "
        "missing",
        b->name, (unsigned long long) needed, (unsigned long long) there,
        (unsigned long long) memory,
        (unsigned long long) (needed - there - memory));
  /* One that leaves still does. */
  backings_drain (&device->backings, index, true, atomic_load (&b->leaving));
  writeback_kick (device->writeback);
  return 0;
}

int
device_drain (struct device *device, const char *name, char **error)
{
  int index, r;

  pthread_mutex_lock (&device->lock);
  index = backings_find (&device->backings, name);
  if (index == -1)
    r = refuse (error, ENOENT, "there is no backing \"%s\"", name);
  else
    r = start_drain (device, (unsigned) index, error);
  pthread_mutex_unlock (&device->lock);
  return r;
}
