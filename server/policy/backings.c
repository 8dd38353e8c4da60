/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "common/refuse.h"
#include "policy/backings.h"
#include "store/state.h"

/* A path is absolute, and so never the same as a URI. */
static const char *
place_of (const struct config_backing *config)
{
  return config->path ? config->path : config->uri;
}

int
backings_open (const struct config_backing *config, struct backing **backing,
               char **error)
{
  const struct backing_options options = {
    .name = config->name,
    .path = config->path,
    .uri = config->uri,
    .size = config->size,
    .encrypt = config->encrypt,
  };

  if (backing_open (&options, backing, error) == -1)
    return -1;
  backing_set_draining (*backing, true);
  return 0;
}

/* Make a backing known at an index. */
static void
put (struct backings *backings, unsigned index,
     const struct config_backing *config, struct backing *backing, bool takes)
{
  snprintf (backings->list[index].name, sizeof backings->list[index].name, "%s",
            config->name);
  atomic_store (&backings->list[index].prio, config->prio);
  backing_set_draining (backing, !takes);
  atomic_store (&backings->list[index].draining, false);
  atomic_store (&backings->list[index].leaving, false);
  atomic_store (&backings->list[index].stuck, false);
  /* What is there outlives this process as the state does. */
  backing_set_keep (backing, store_state (backings->store) != NULL);
  store_set_backing (backings->store, index, backing);
  store_set_promote (backings->store, index, config->promote);
  atomic_store (&backings->list[index].backing, backing);
}

struct opening {
  const struct config_backing *config;
  struct backing *backing;
  char *error;
  int code; /* 0, or an errno */
  pthread_t thread;
  bool threaded;
};

static void *
open_one (void *data)
{
  struct opening *o = data;

  if (backings_open (o->config, &o->backing, &o->error) == -1)
    o->code = errno;
  return NULL;
}

int
backings_open_all (const struct backings *backings, const struct config *config,
                   struct backing *opened[CONFIG_BACKINGS], char **error)
{
  struct opening openings[CONFIG_BACKINGS] = { 0 };
  unsigned count = config->backings_count;
  int code = 0;

  *error = NULL;
  for (unsigned i = 0; i < count; ++i) {
    if (backings_find (backings, config->backings[i].name) != -1)
      continue;
    openings[i].config = &config->backings[i];
    openings[i].threaded
        = pthread_create (&openings[i].thread, NULL, open_one, &openings[i])
          == 0;
    if (!openings[i].threaded)
      open_one (&openings[i]);
  }
  for (unsigned i = 0; i < count; ++i) {
    if (openings[i].threaded)
      pthread_join (openings[i].thread, NULL);
    opened[i] = openings[i].backing;
    if (code == 0 && openings[i].code != 0) {
      code = openings[i].code;
      *error = openings[i].error;
    }
    else
      free (openings[i].error);
  }
  if (code == 0)
    return 0;
  for (unsigned i = 0; i < count; ++i)
    if (opened[i])
      backing_close (opened[i]);
  errno = code;
  return -1;
}

int
backings_add (struct backings *backings, const struct config_backing *config,
              struct backing *backing, bool takes, char **error)
{
  struct state *state = store_state (backings->store);
  unsigned index = 0;

  while (index < STORE_BACKINGS && atomic_load (&backings->list[index].backing))
    index++;
  if (index == STORE_BACKINGS) {
    *error = strdup ("there are four backings already, one of them perhaps "
                     "still draining; wait for it or remove another");
    errno = ENOSPC;
    return -1;
  }
  if (state && state_add_backing (state, index, backing, error) == -1)
    return -1;
  put (backings, index, config, backing, takes);
  return (int) index;
}

bool
backings_same_place (const struct state_backing *record,
                     const struct config_backing *config)
{
  return strcmp (place_of (config), record->place) == 0
         && (config->uri != NULL) == (record->kind == BACKING_NBD)
         && config->encrypt == (record->encrypted != 0);
}

static int
check_place (const struct state_backing *record,
             const struct config_backing *config, char **error)
{
  if (backings_same_place (record, config))
    return 0;
  if (asprintf (error,
                "backing \"%s\" holds pages at %s: its path, uri and encrypt "
                "cannot be changed now; put them back, and give a new one "
                "another name",
                record->name, record->place)
      == -1)
    *error = NULL;
  errno = EINVAL;
  return -1;
}

/* Make it as large as the configuration says.  What was changed while it ran
 * stays if it must.
 */
static void
adjust_size (struct backings *backings, unsigned index, uint64_t size)
{
  struct backing *backing = atomic_load (&backings->list[index].backing);
  char *error = NULL;

  if (size == 0 || size / EXTENT_BYTES == backing_extents (backing))
    return;
  if (backings_resize (backings, index, size, &error) == -1)
    message (MESSAGE_WARNING, "%s; it keeps the %llu bytes that it had",
             error ? error : "out of memory",
             (unsigned long long) backing_extents (backing) * EXTENT_BYTES);
  free (error);
}

int
backings_reattach (struct backings *backings, unsigned index,
                   const struct config_backing *config, char **error)
{
  struct state *state = store_state (backings->store);
  const struct state_backing *record = state_backing (state, index);
  struct config_backing leaving = { .name = (char *) record->name, .prio = 1 };
  uint64_t end = store_extents_end (backings->store, index);
  struct backing_options options = {
    .name = record->name,
    .path = record->kind == BACKING_NBD ? NULL : record->place,
    .uri = record->kind == BACKING_NBD ? record->place : NULL,
    .size = atomic_load (&record->size),
    .encrypt = record->encrypted != 0,
    .key = record->encrypted ? record->key : NULL,
    .reattach = true,
    .kind = record->kind,
    .identity = record->identity,
    .least = end * EXTENT_BYTES,
  };
  struct backing *backing;

  if (config && check_place (record, config, error) == -1)
    return -1;
  if (backing_open (&options, &backing, error) == -1)
    return -1;
  backing_set_keep (backing, true);
  if (store_recover_backing (backings->store, index, backing, error) == -1) {
    int saved_errno = errno;

    backing_close (backing);
    errno = saved_errno;
    return -1;
  }
  put (backings, index, config ? config : &leaving, backing, config != NULL);
  if (config)
    adjust_size (backings, index, config->size);
  else {
    message (MESSAGE_NOTICE,
             "backing \"%s\" is not in the configuration any more: what it "
             "holds leaves it, then it is closed",
             record->name);
    backings_drain (backings, index, true, true);
  }
  return 0;
}

int
backings_reattach_all (struct backings *backings, const struct config *config,
                       char **error)
{
  struct state *state = store_state (backings->store);

  *error = NULL;
  for (unsigned i = 0; state && i < STORE_BACKINGS; ++i) {
    const struct state_backing *record = state_backing (state, i);
    const struct config_backing *is = NULL;

    if (!record)
      continue;
    for (unsigned j = 0; j < config->backings_count; ++j)
      if (strcmp (config->backings[j].name, record->name) == 0)
        is = &config->backings[j];
    if (store_extents_end (backings->store, i) == 0
        && (!is || !backings_same_place (record, is)))
      state_remove_backing (state, i);
    else if (backings_reattach (backings, i, is, error) == -1)
      return -1;
  }
  return 0;
}

/* The state never says less than there is, so that an extent that is used is
 * always one of those it knows.
 */
int
backings_resize (struct backings *backings, unsigned index, uint64_t size,
                 char **error)
{
  struct backing *backing = atomic_load (&backings->list[index].backing);
  struct state *state = store_state (backings->store);
  uint64_t before = backing_extents (backing) * EXTENT_BYTES;
  int r;

  if (state && size > before)
    state_resize_backing (state, index, size / EXTENT_BYTES * EXTENT_BYTES);
  r = backing_resize (backing, size, error);
  if (state)
    state_resize_backing (state, index,
                          backing_extents (backing) * EXTENT_BYTES);
  return r;
}

void
backings_drain (struct backings *backings, unsigned index, bool drain,
                bool leave)
{
  struct tier_backing *b = &backings->list[index];

  atomic_store (&b->stuck, false);
  backing_set_draining (b->backing, drain);
  atomic_store (&b->leaving, leave);
  atomic_store (&b->draining, drain);
}

void
backings_close (struct backings *backings)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct backing *backing
        = atomic_exchange (&backings->list[i].backing, NULL);

    if (backing)
      backing_close (backing);
  }
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    closer_end (&backings->closers[i]);
}

bool
backings_remove (struct backings *backings, unsigned index)
{
  struct closer *closer = &backings->closers[index];
  struct backing *backing;

  if (closer_at_work (closer))
    return false;
  backing = atomic_exchange (&backings->list[index].backing, NULL);
  if (!backing)
    return true;
  store_set_backing (backings->store, index, NULL);
  if (store_state (backings->store))
    state_remove_backing (store_state (backings->store), index);
  backing_set_keep (backing, false);
  closer_start (closer, backing, backings->list[index].name);
  return true;
}

void
backings_wait_closed (struct backings *backings)
{
  closer_wait (backings->closers, STORE_BACKINGS);
}

bool
backings_closing (struct backings *backings,
                  const struct config_backing *config)
{
  bool closing = false;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct closer *closer = &backings->closers[i];

    closing |= closer_at_work (closer)
               && (strcmp (closer->name, config->name) == 0
                   || strcmp (closer->place, place_of (config)) == 0);
  }
  return closing;
}

static int
check_one (const struct config *config, const struct config_backing *is,
           const struct backing *other, char **error)
{
  bool same_place = strcmp (place_of (is), backing_place (other)) == 0;

  if (strcmp (is->name, backing_name (other)) != 0)
    return !same_place
               ? 0
               : refuse (error, EBUSY,
                         "%s:%d: backing \"%s\" cannot be where backing \"%s\" "
                         "is as long as that holds pages; keep that name, or "
                         "remove it first and wait until it is closed",
                         config->file, is->line, is->name,
                         backing_name (other));
  if (same_place && is->encrypt == (backing_key (other) != NULL))
    return 0;
  return refuse (error, EBUSY,
                 "%s:%d: path, uri and encrypt of backing \"%s\" cannot be "
                 "changed while running: remove it and add another name",
                 config->file, is->line, is->name);
}

int
backings_check (const struct backings *backings, const struct config *config,
                char **error)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    const struct backing *backing = atomic_load (&backings->list[i].backing);

    for (unsigned j = 0; backing && j < config->backings_count; ++j)
      if (check_one (config, &config->backings[j], backing, error) == -1)
        return -1;
  }
  return 0;
}

int
backings_find (const struct backings *backings, const char *name)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (atomic_load (&backings->list[i].backing)
        && strcmp (backings->list[i].name, name) == 0)
      return (int) i;
  errno = ENOENT;
  return -1;
}

static bool
takes_segments (struct backing *backing)
{
  return backing && backing_state (backing) == BACKING_ONLINE
         && backing_extents_used (backing) < backing_extents (backing);
}

int
backings_choose (const struct backings *backings, unsigned prio, bool anywhere,
                 unsigned except)
{
  int best = -1, lower = -1;
  unsigned best_prio = 0, lower_prio = 0;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    const struct tier_backing *b = &backings->list[i];
    unsigned here = atomic_load (&b->prio);

    if ((except & 1u << i) || !takes_segments (atomic_load (&b->backing)))
      continue;
    if (here >= prio) {
      if (best == -1 || here < best_prio) {
        best = (int) i;
        best_prio = here;
      }
    }
    else if (lower == -1 || here > lower_prio) {
      lower = (int) i;
      lower_prio = here;
    }
  }
  if (best == -1 && anywhere)
    best = lower;
  if (best == -1)
    errno = ENOSPC;
  return best;
}

uint64_t
backings_free_extents (const struct backings *backings, int except)
{
  uint64_t extents = 0;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct backing *backing = atomic_load (&backings->list[i].backing);

    if ((int) i != except && takes_segments (backing))
      extents += backing_extents (backing) - backing_extents_used (backing);
  }
  return extents;
}
