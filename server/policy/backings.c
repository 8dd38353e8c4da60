/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/backings.h"

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
backings_open_all (const struct config *config,
                   struct backing *opened[CONFIG_BACKINGS], char **error)
{
  struct opening openings[CONFIG_BACKINGS] = { 0 };
  unsigned count = config->backings_count;
  int code = 0;

  *error = NULL;
  for (unsigned i = 0; i < count; ++i) {
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
  unsigned index = 0;

  while (index < STORE_BACKINGS && atomic_load (&backings->list[index].backing))
    index++;
  if (index == STORE_BACKINGS) {
    *error = strdup ("there are four backings already, one of them perhaps "
                     "still draining; wait for it or remove another");
    errno = ENOSPC;
    return -1;
  }
  snprintf (backings->list[index].name, sizeof backings->list[index].name, "%s",
            config->name);
  atomic_store (&backings->list[index].prio, config->prio);
  backing_set_draining (backing, !takes);
  atomic_store (&backings->list[index].draining, false);
  atomic_store (&backings->list[index].leaving, false);
  atomic_store (&backings->list[index].stuck, false);
  store_set_backing (backings->store, index, backing);
  store_set_promote (backings->store, index, config->promote);
  atomic_store (&backings->list[index].backing, backing);
  return (int) index;
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
}

void
backings_remove (struct backings *backings, unsigned index)
{
  struct backing *backing
      = atomic_exchange (&backings->list[index].backing, NULL);

  if (!backing)
    return;
  store_set_backing (backings->store, index, NULL);
  backing_close (backing);
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
                 int except)
{
  int best = -1, lower = -1;
  unsigned best_prio = 0, lower_prio = 0;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    const struct tier_backing *b = &backings->list[i];
    unsigned here = atomic_load (&b->prio);

    if ((int) i == except || !takes_segments (atomic_load (&b->backing)))
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
