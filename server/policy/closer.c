/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "common/message.h"
#include "policy/closer.h"

static void *
run (void *data)
{
  struct closer *closer = data;

  backing_close (closer->backing);
  message (MESSAGE_NOTICE, "backing \"%s\" is empty and was closed",
           closer->name);
  atomic_store (&closer->done, true);
  return NULL;
}

bool
closer_at_work (struct closer *closer)
{
  if (closer->started && atomic_load (&closer->done))
    closer_end (closer);
  return closer->started;
}

/* Signals belong to the front end's threads. */
void
closer_start (struct closer *closer, struct backing *backing, const char *name)
{
  sigset_t all, before;

  closer->backing = backing;
  closer->answers = backing_state (backing) != BACKING_FAILED;
  snprintf (closer->name, sizeof closer->name, "%s", name);
  snprintf (closer->place, sizeof closer->place, "%s", backing_place (backing));
  atomic_store (&closer->done, false);
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  closer->started = pthread_create (&closer->thread, NULL, run, closer) == 0;
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (!closer->started)
    run (closer);
}

/* Is it closing one that is waited for? */
static bool
is_awaited (struct closer *closer)
{
  return closer_at_work (closer) && closer->answers;
}

static void
give_up (struct closer *closer)
{
  if (!is_awaited (closer))
    return;
  closer->answers = false;
  message (MESSAGE_WARNING,
           "backing \"%s\" does not answer while it is closed; that goes on in "
           "the background, and it cannot be added again before",
           closer->name);
}

void
closer_wait (struct closer *closers, unsigned count)
{
  const struct timespec moment = { 0, 1000000 };
  struct timespec now;
  time_t limit;

  clock_gettime (CLOCK_MONOTONIC, &now);
  limit = now.tv_sec + CLOSER_PATIENCE;
  for (unsigned i = 0; i < count; ++i)
    while (is_awaited (&closers[i]) && now.tv_sec < limit) {
      nanosleep (&moment, NULL);
      clock_gettime (CLOCK_MONOTONIC, &now);
    }
  for (unsigned i = 0; i < count; ++i)
    give_up (&closers[i]);
}

void
closer_end (struct closer *closer)
{
  if (closer->started)
    pthread_join (closer->thread, NULL);
  closer->started = false;
}
