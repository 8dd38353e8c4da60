/* SPDX-License-Identifier: BSD-3-Clause */
/* Reloading: the configuration file is read again and compared with what runs.
 * First everything that could be refused is looked at, then all is changed.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/refuse.h"
#include "policy/change.h"

static const struct config_tier *
tier_of_prio (const struct config *config, unsigned prio)
{
  for (unsigned i = 0; i < config->tiers_count; ++i)
    if (config->tiers[i].prio == prio)
      return &config->tiers[i];
  return NULL;
}

static const struct config_backing *
backing_of_name (const struct config *config, const char *name)
{
  for (unsigned i = 0; i < config->backings_count; ++i)
    if (strcmp (config->backings[i].name, name) == 0)
      return &config->backings[i];
  return NULL;
}

static bool
same_text (const char *a, const char *b)
{
  return a == b || (a && b && strcmp (a, b) == 0);
}

/* Tiers that run stay as they are but for limit, level, demote_age and
 * group.
 */
static int
check_tiers (const struct config *old, const struct config *new, char **error)
{
  for (unsigned i = 0; i < old->tiers_count; ++i) {
    const struct config_tier *was = &old->tiers[i];
    const struct config_tier *is = tier_of_prio (new, was->prio);

    if (!is || strcmp (is->name, was->name) != 0)
      return refuse (error, EBUSY,
                     "%s: tier \"%s\" (prio %u) is in use: a tier "
                     "cannot be removed or renamed while running",
                     new->file, was->name, was->prio);
    if (is->codec.kind != was->codec.kind)
      return refuse (error, EBUSY,
                     "%s:%d: the codec of tier \"%s\" is %s and cannot "
                     "be changed while running: add another tier",
                     new->file, is->line, is->name,
                     codec_name (was->codec.kind));
  }
  return 0;
}

static int
check_shim (const struct config *old, const struct config *new, char **error)
{
  if (same_text (old->shim, new->shim))
    return 0;
  return refuse (error, EBUSY,
                 "%s: shim cannot be changed while running: restart "
                 "the server",
                 new->file);
}

static int
check (struct device *device, const struct config *new, char **error)
{
  const struct config *old = device->config;

  if (new->size != old->size &&new->size != 0)
    return refuse (error, EBUSY,
                   "%s: the device's size is %llu bytes and cannot be "
                   "changed while running",
                   new->file, (unsigned long long) old->size);
  if (!same_text (old->state, new->state))
    return refuse (error, EBUSY,
                   "%s: pool.state cannot be changed while running", new->file);
  if (check_tiers (old, new, error) == -1 || check_shim (old, new, error) == -1
      || change_check_room (device, new->pool_limit, error) == -1)
    return -1;
  return backings_check (&device->backings, new, error);
}

/* New backings are opened before anything is changed, and without the lock:
 * a server may be slow to answer, and nobody else shall wait for it.
 */
struct opened {
  struct backing *backings[CONFIG_BACKINGS]; /* by index in the new
                                                configuration, or NULL */
  bool made[CONFIG_BACKINGS];                /* its file was not there before */
};

/* Leave nothing of them. */
static void
close_opened (const struct config *new, struct opened *opened)
{
  for (unsigned i = 0; i < CONFIG_BACKINGS; ++i) {
    if (!opened->backings[i])
      continue;
    backing_close (opened->backings[i]);
    if (opened->made[i])
      unlink (new->backings[i].path);
  }
}

/* The first backing that is neither there nor opened, or -1; under the lock.
 * One that was there may be gone the next time: it left, and is empty now.
 */
static int
missing (struct device *device, const struct config *new,
         const struct opened *opened)
{
  for (unsigned i = 0; i < new->backings_count; ++i)
    if (!opened->backings[i]
        && backings_find (&device->backings, new->backings[i].name) == -1)
      return (int) i;
  return -1;
}

/* Open all that are missing.  Under the lock, which it lets go of meanwhile.
 */
static int
open_missing (struct device *device, const struct config *new,
              struct opened *opened, char **error)
{
  int i, r = 0;

  while (r == 0 && (i = missing (device, new, opened)) != -1) {
    if (backings_closing (&device->backings, &new->backings[i]))
      return refuse (error, EBUSY,
                     "%s:%d: backing \"%s\", or what was at its place before, "
                     "is still being closed, for it does not answer: reload "
                     "again after a minute",
                     new->file, new->backings[i].line, new->backings[i].name);
    pthread_mutex_unlock (&device->lock);
    opened->made[i]
        = new->backings[i].path &&access (new->backings[i].path, F_OK) == -1
          && errno == ENOENT;
    r = backings_open (&new->backings[i], &opened->backings[i], error);
    if (r == -1)
      opened->backings[i] = NULL;
    pthread_mutex_lock (&device->lock);
  }
  return r;
}

/* What was done to backings before the reload was sure to succeed. */
struct undo {
  struct {
    unsigned index;
    uint64_t size;
  } resized[STORE_BACKINGS];
  unsigned resized_count;
};

static void
undo_all (struct device *device, const struct undo *undo)
{
  for (unsigned i = 0; i < undo->resized_count; ++i) {
    char *error = NULL;

    backings_resize (&device->backings, undo->resized[i].index,
                     undo->resized[i].size, &error);
    free (error);
  }
}

static int
resize_backings (struct device *device, const struct config *new,
                 struct undo *undo, char **error)
{
  for (unsigned i = 0; i < new->backings_count; ++i) {
    const struct config_backing *is = &new->backings[i];
    int index = backings_find (&device->backings, is->name);
    struct backing *backing;

    if (index == -1)
      continue;
    backing = device->backings.list[index].backing;
    if (is->size == 0 || is->size / EXTENT_BYTES == backing_extents (backing))
      continue;
    undo->resized[undo->resized_count].index = (unsigned) index;
    undo->resized[undo->resized_count].size
        = backing_extents (backing) * EXTENT_BYTES;
    if (backings_resize (&device->backings, (unsigned) index, is->size, error)
        == -1)
      return -1;
    undo->resized_count++;
  }
  return 0;
}

/* Is there a place for each that was opened? */
static int
check_places (struct device *device, const struct config *new,
              const struct opened *opened, char **error)
{
  unsigned places = STORE_BACKINGS;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    places -= atomic_load (&device->backings.list[i].backing) != NULL;
  for (unsigned i = 0; i < new->backings_count; ++i)
    if (opened->backings[i] && places-- == 0)
      return refuse (error, EBUSY,
                     "%s:%d: there is no place for backing \"%s\" "
                     "until one of the %d that are there, which leaves, "
                     "is empty: wait for it",
                     new->file, new->backings[i].line, new->backings[i].name,
                     STORE_BACKINGS);
  return 0;
}

/* Does what leaves the backings that are not named any more fit into those
 * that are, and memory?
 */
static int
check_drains (struct device *device, const struct config *new,
              const struct opened *opened, char **error)
{
  uint64_t needed = 0, there = 0, memory = change_memory_room (device, new);

  for (unsigned i = 0; i < new->backings_count; ++i)
    if (opened->backings[i]
        && backing_state (opened->backings[i]) != BACKING_FAILED)
      there += backing_extents (opened->backings[i]) * EXTENT_BYTES;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct tier_backing *b = &device->backings.list[i];
    struct backing *backing = atomic_load (&b->backing);

    if (!backing)
      continue;
    if (!backing_of_name (new, b->name))
      needed += backing_extents_used (backing) * EXTENT_BYTES;
    else if (backing_state (backing) != BACKING_FAILED)
      there += (backing_extents (backing) - backing_extents_used (backing))
               * EXTENT_BYTES;
  }
  if (needed > there + memory)
    return refuse (
        error, ENOSPC,
        "%s: the backings that are gone from it hold %llu bytes, the others "
        "have room for %llu and memory for %llu: %llu bytes are missing",
        new->file, (unsigned long long) needed, (unsigned long long) there,
        (unsigned long long) memory,
        (unsigned long long) (needed - there - memory));
  return 0;
}

/* This cannot fail any more. */
static void
change_backings (struct device *device, const struct config *new,
                 struct opened *opened)
{
  char *error;

  for (unsigned i = 0; i < new->backings_count; ++i)
    if (opened->backings[i])
      backings_add (&device->backings, &new->backings[i], opened->backings[i],
                    false, &error);
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct tier_backing *b = &device->backings.list[i];
    const struct config_backing *is;

    if (!atomic_load (&b->backing))
      continue;
    is = backing_of_name (new, b->name);
    if (is) {
      atomic_store (&b->prio, is->prio);
      store_set_promote (device->store, i, is->promote);
    }
    backings_drain (&device->backings, i, !is, !is);
  }
}

static void
change_tiers (struct device *device, const struct config *new)
{
  for (unsigned i = 0; i < new->tiers_count; ++i) {
    const struct config_tier *is = &new->tiers[i];
    const struct store_tier_options options
        = { is->prio, is->codec, is->limit };

    if (!store_has_tier (device->store, is->prio - 1))
      store_add_tier (device->store, &options);
    store_set_tier_limit (device->store, is->prio - 1, is->limit);
    store_set_tier_level (device->store, is->prio - 1, is->codec.level);
    store_set_tier_group (device->store, is->prio - 1, is->group);
    writeback_set_demote_age (device->writeback, is->prio - 1, is->demote_age);
  }
}

/* Make the device be as NEW says, which is taken; under the lock. */
static int
apply (struct device *device, struct config *new, char **error)
{
  struct opened opened = { .backings = { NULL } };
  struct undo undo = { .resized_count = 0 };

  if (check (device, new, error) == -1
      || open_missing (device, new, &opened, error) == -1
      || check_places (device, new, &opened, error) == -1
      || resize_backings (device, new, &undo, error) == -1
      || check_drains (device, new, &opened, error) == -1) {
    int saved_errno = errno;

    undo_all (device, &undo);
    close_opened (new, &opened);
    config_free (new);
    errno = saved_errno;
    return -1;
  }
  change_backings (device, new, &opened);
  change_tiers (device, new);
  store_set_pool_limit (device->store, new->pool_limit);
  cgroups_configure (device->cgroups, new);
  store_set_verify (device->store, new->verify);
  store_set_wipe (device->store, new->wipe);
  config_free (device->config);
  device->config = new;
  writeback_configure (device->writeback, &new->writeback);
  return 0;
}

int
device_reload (struct device *device, char **error)
{
  struct config *new;
  int r;

  *error = NULL;
  /* Nobody else changes which configuration there is. */
  pthread_mutex_lock (&device->reload);
  if (!device->config->file)
    r = refuse (error, ENOENT,
                "there is no configuration file: the server was "
                "started with its embedded default");
  else if (!(new = config_load (device->config->file, error)))
    r = -1;
  else {
    pthread_mutex_lock (&device->lock);
    if (device->size_given)
      new->size = device->config->size;
    r = apply (device, new, error);
    pthread_mutex_unlock (&device->lock);
  }
  pthread_mutex_unlock (&device->reload);
  return r;
}
