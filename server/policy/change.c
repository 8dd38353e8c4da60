/* SPDX-License-Identifier: BSD-3-Clause */
/* Live changes of a device, one value at a time. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/change.h"

int
change_refused (char **error, int code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (vasprintf (error, format, args) == -1)
    *error = NULL;
  va_end (args);
  errno = code;
  return -1;
}

static struct config_tier *
find_tier (struct device *device, const char *name, char **error)
{
  for (unsigned i = 0; i < device->config->tiers_count; ++i)
    if (strcmp (device->config->tiers[i].name, name) == 0)
      return &device->config->tiers[i];
  change_refused (error, ENOENT, "there is no memory tier \"%s\"", name);
  return NULL;
}

static struct config_backing *
find_backing (struct device *device, const char *name, char **error)
{
  for (unsigned i = 0; i < device->config->backings_count; ++i)
    if (strcmp (device->config->backings[i].name, name) == 0)
      return &device->config->backings[i];
  change_refused (error, ENOENT, "there is no backing \"%s\"", name);
  return NULL;
}

int
device_set_pool_limit (struct device *device, uint64_t bytes, char **error)
{
  uint64_t memory = config_machine_memory ();

  if (bytes < CONFIG_POOL_LEAST || bytes > memory)
    return change_refused (error, EINVAL,
                           "the pool's limit must be from %llu bytes (4M) to "
                           "%llu, this machine's memory",
                           (unsigned long long) CONFIG_POOL_LEAST,
                           (unsigned long long) memory);
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
  if (tier && bytes > device->config->pool_limit)
    change_refused (error, EINVAL,
                    "the limit of tier \"%s\" is above the pool's, %llu bytes",
                    name, (unsigned long long) device->config->pool_limit);
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
    change_refused (error, EINVAL, "the level of %s must be from %d to %d",
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
device_set_backing_size (struct device *device, const char *name,
                         uint64_t bytes, char **error)
{
  struct config_backing *config;
  int r = -1, index;

  pthread_mutex_lock (&device->lock);
  config = find_backing (device, name, error);
  index = config ? backings_find (&device->backings, name) : -1;
  if (index >= 0)
    r = backing_resize (device->backings.list[index].backing, bytes, error);
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
                      const struct config_writeback *writeback, char **error)
{
  if (writeback->high < 1 || writeback->high > 100 ||
      writeback->low >= writeback->high)
    return change_refused (error, EINVAL,
                           "writeback.high must be from 1 to 100 and "
                           "writeback.low below it");
  pthread_mutex_lock (&device->lock);
  device->config->writeback = *writeback;
  writeback_configure (device->writeback, writeback);
  pthread_mutex_unlock (&device->lock);
  return 0;
}

int
device_set_root (struct device *device, unsigned prio, unsigned writeback_prio,
                 unsigned writeback_size, char **error)
{
  struct config_cgroup *root = &device->config->cgroups[0];

  if (prio < 1 || prio > 4)
    return change_refused (error, EINVAL, "prio must be from 1 to 4");
  if (writeback_prio > 4)
    return change_refused (error, EINVAL,
                           "writeback_prio must be from 0 to 4");
  if (writeback_size > PAGE_BYTES)
    return change_refused (error, EINVAL,
                           "writeback_size must be from 0 to 4096");
  pthread_mutex_lock (&device->lock);
  root->prio = prio;
  root->writeback_prio = writeback_prio;
  root->writeback_size = writeback_size;
  device->root = (struct store_placement){
    .prio = (uint8_t) prio,
    .writeback_prio = (uint8_t) writeback_prio,
    .writeback_size = (uint16_t) writeback_size,
  };
  pthread_mutex_unlock (&device->lock);
  return 0;
}

uint64_t
change_memory_room (struct device *device)
{
  uint64_t mark =
      device->config->pool_limit / 100 * device->config->writeback.high;
  uint64_t used = store_memory_used (device->store);

  return mark > used ? mark - used : 0;
}

/* Under the lock. */
static int
start_drain (struct device *device, unsigned index, char **error)
{
  struct tier_backing *b = &device->backings.list[index];
  uint64_t needed = backing_extents_used (b->backing) * EXTENT_BYTES;
  uint64_t there =
      backings_free_extents (&device->backings, (int) index) * EXTENT_BYTES;
  uint64_t memory = change_memory_room (device);

  if (needed > there + memory)
    return change_refused (
        error, ENOSPC,
        "backing \"%s\" cannot be drained: it holds %llu bytes, the other "
        "backings have room for %llu and memory for %llu; %llu bytes are "
        "missing",
        b->name, (unsigned long long) needed, (unsigned long long) there,
        (unsigned long long) memory,
        (unsigned long long) (needed - there - memory));
  backings_drain (&device->backings, index, true, false);
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
    r = change_refused (error, ENOENT, "there is no backing \"%s\"", name);
  else
    r = start_drain (device, (unsigned) index, error);
  pthread_mutex_unlock (&device->lock);
  return r;
}
