/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "common/protect.h"
#include "common/refuse.h"
#include "policy/device.h"
#include "store/state.h"

/* A size given beside the configuration, as the configuration writes it. */
static int
override_size (struct config *config, const char *text)
{
  uint64_t size;

  if (config_parse_size (text, config_machine_memory (), &size) == -1
      || size == 0) {
    message (MESSAGE_ERROR,
             "size=%s is not a size: give bytes, or a number with K, M, G or "
             "T, or a percentage of this machine's memory",
             text);
    errno = EINVAL;
    return -1;
  }
  if (size % PAGE_BYTES) {
    message (MESSAGE_ERROR, "size=%s is not a multiple of 4096 bytes", text);
    errno = EINVAL;
    return -1;
  }
  config->size = size;
  return 0;
}

int
device_create (const char *file, const char *size, struct device **result)
{
  struct device *device = calloc (1, sizeof *device);
  char *error = NULL;

  if (!device)
    return -1;
  pthread_mutex_init (&device->lock, NULL);
  pthread_mutex_init (&device->reload, NULL);
  device->config = config_load (file, &error);
  if (!device->config) {
    int saved_errno = errno;

    refuse_tell (error);
    device_free (device);
    errno = saved_errno;
    return -1;
  }
  if (size && override_size (device->config, size) == -1) {
    device_free (device);
    errno = EINVAL;
    return -1;
  }
  /* While there is still a terminal to say so. */
  if (device->config->state
      && state_check (device->config->state, &error) == -1) {
    int saved_errno = errno;

    refuse_tell (error);
    device_free (device);
    errno = saved_errno;
    return -1;
  }
  device->size_given = size != NULL;
  *result = device;
  return 0;
}

int
device_could_follow (const struct device *device, pid_t *owner)
{
  const struct config *config = device->config;
  char *error = NULL;

  *owner = 0;
  if (!config->state) {
    message (MESSAGE_ERROR,
             "there is no pool.state, so what is stored ends with the server; "
             "set it, and have it take effect by detaching the swap and "
             "starting the server anew");
    errno = EINVAL;
    return -1;
  }
  return state_look (config->state, config->size, owner, &error) == -1
             ? refuse_tell (error)
             : 0;
}

static struct store_options
store_options_of (const struct config *config)
{
  struct store_options options = { .size = config->size,
                                   .pool_limit = config->pool_limit,
                                   .tiers_count = config->tiers_count };

  for (unsigned i = 0; i < config->tiers_count; ++i) {
    options.tiers[i].prio = config->tiers[i].prio;
    options.tiers[i].codec = config->tiers[i].codec;
    options.tiers[i].limit = config->tiers[i].limit;
  }
  return options;
}

/* Backings that the state does not have are new, and have nothing on them. */
static int
add_backings (struct device *device)
{
  const struct config *config = device->config;
  struct backing *opened[CONFIG_BACKINGS];
  char *error;
  int code = 0;

  if (backings_check (&device->backings, config, &error) == -1
      || backings_open_all (&device->backings, config, opened, &error) == -1)
    return refuse_tell (error);
  for (unsigned i = 0; i < config->backings_count; ++i) {
    if (!opened[i])
      continue;
    /* There may be no place, while others leave. */
    if (code == 0
        && backings_add (&device->backings, &config->backings[i], opened[i],
                         true, &error)
               == -1) {
      code = errno;
      refuse_tell (error);
    }
    if (code != 0)
      backing_close (opened[i]);
  }
  errno = code;
  return code ? -1 : 0;
}

static int
start_writeback (struct device *device)
{
  const struct config *config = device->config;
  char *error = NULL;

  device->backings.store = device->store;
  device->backings.lock = &device->lock;
  if (backings_reattach_all (&device->backings, config, &error) == -1)
    return refuse_tell (error);
  if (add_backings (device) == -1)
    return -1;
  device->writeback = writeback_start (device->store, &device->backings);
  if (!device->writeback) {
    message (MESSAGE_ERROR, "the writeback thread did not start: %m");
    return -1;
  }
  writeback_configure (device->writeback, &config->writeback);
  for (unsigned i = 0; i < config->tiers_count; ++i) {
    const struct config_tier *tier = &config->tiers[i];

    store_set_tier_group (device->store, tier->prio - 1, tier->group);
    writeback_set_demote_age (device->writeback, tier->prio - 1,
                              tier->demote_age);
  }
  return 0;
}

/* Open the state, if there is one, make the store, and find out what is there.
 */
static int
start_store (struct device *device)
{
  struct store_options options = store_options_of (device->config);
  char *error = NULL;

  if (device->config->state
      && (state_open (device->config->state, options.size, &options.state,
                      &error)
          == -1))
    return refuse_tell (error);
  if (options.state
      && state_check_room (options.state, options.pool_limit, &error) == -1) {
    refuse_tell (error);
    state_close (options.state);
    errno = ENOSPC;
    return -1;
  }
  if (store_create (&options, &device->store) == -1) {
    if (errno == EUCLEAN) {
      message (MESSAGE_ERROR,
               "pool.state: %s is shorter than what it says is in it; remove "
               "the file to start without the pages in it",
               device->config->state);
      return -1;
    }
    if (options.state && errno != ENOMEM) {
      message (MESSAGE_ERROR,
               "pool.state: %s cannot be mapped: %m; the pages in it are as "
               "they were",
               device->config->state);
      return -1;
    }
    message (MESSAGE_ERROR,
             "no address space for a device of %llu bytes: %m; give a smaller "
             "size",
             (unsigned long long) options.size);
    return -1;
  }
  store_set_verify (device->store, device->config->verify);
  store_set_wipe (device->store, device->config->wipe);
  if (store_recover (device->store, &error) == -1)
    return refuse_tell (error);
  if (store_start (device->store) == -1) {
    message (MESSAGE_ERROR, "the store's threads did not start: %m");
    return -1;
  }
  return 0;
}

/* A source of tags that is named must be there; the usual one may come. */
static int
check_shim (struct device *device, const char *source)
{
  char *error;

  if (!source || shim_check (device->shim, &error) == 0)
    return 0;
  return refuse_tell (error);
}

static int
start_cgroups (struct device *device)
{
  const char *source
      = device->tag_source ? device->tag_source : device->config->shim;

  device->tags = tags_create ();
  if (device->tags)
    device->shim = shim_create (device->tags, source);
  if (device->shim && check_shim (device, source) == -1)
    return -1;
  device->cgroups
      = cgroups_create (device->store, device->hierarchy, device->config);
  if (device->shim && device->cgroups)
    return 0;
  message (MESSAGE_ERROR, "cgroups could not be followed: %m");
  return -1;
}

/* The warm part of the heap: a share of the machine's memory, in bounds.  What
 * a front end's thread allocates for its first large request is needed just
 * when the machine has no memory left but what that request will free.
 */
#define WARM_SHARE 16
#define WARM_LEAST (UINT64_C (4) << 20)
#define WARM_MOST (UINT64_C (32) << 20)

/* Also mends what a plain MCL_FUTURE (nbdkit --swap) would do to our tables,
 * which are large and sparse.
 */
static void
protect (void)
{
  uint64_t heap = config_machine_memory () / WARM_SHARE;
  char failed[PROTECT_ROOM];

  if (heap < WARM_LEAST)
    heap = WARM_LEAST;
  if (heap > WARM_MOST)
    heap = WARM_MOST;
  if (!protect_process (&(struct protection){ .heap = (size_t) heap,
                                              .sparse = true,
                                              .threads = true },
                        failed))
    message (MESSAGE_WARNING,
             "not protected against running out of memory: %s; do not swap "
             "on this server's own machine unless it runs with these "
             "capabilities",
             failed);
}

int
device_start (struct device *device)
{
  protect ();
  if (start_store (device) == -1 || start_cgroups (device) == -1)
    return -1;
  return start_writeback (device);
}

void
device_free (struct device *device)
{
  if (!device)
    return;
  writeback_stop (device->writeback);
  cgroups_free (device->cgroups);
  shim_free (device->shim);
  tags_free (device->tags);
  store_free (device->store);
  backings_close (&device->backings);
  config_free (device->config);
  free (device->hierarchy);
  free (device->tag_source);
  pthread_mutex_destroy (&device->lock);
  pthread_mutex_destroy (&device->reload);
  free (device);
}

const struct config_tier *
device_tier (const struct device *device, unsigned index)
{
  return index < device->config->tiers_count ? &device->config->tiers[index]
                                             : NULL;
}
