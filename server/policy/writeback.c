/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "policy/drain.h"
#include "policy/pass.h"
#include "policy/relief.h"
#include "policy/writeback.h"
#include "store/room.h"

#define SECONDS_A_DAY 86400

static struct pass
pass_of (const struct writeback_command *command)
{
  struct pass pass = pass_for (command->age);

  pass.least = command->least;
  pass.max = command->max;
  pass.cancel = command->cancel;
  pass.seal = true;
  if (command->cgroup >= 0)
    pass.pick.cgroup = (uint32_t) command->cgroup;
  pass.pick.cgroups = command->cgroups;
  if (command->tier >= 0)
    pass.pick.tier = (uint32_t) command->tier;
  return pass;
}

/* All that is there now goes, and it ends although others go on writing: first
 * what was written until the second in which it began; then what was spared
 * since it had been read, which is among the young by then, until as many pages
 * are written as there were at first.
 */
static void
write_all (struct writeback *w, struct pass *pass, uint32_t began)
{
  pass->pick.before = began;
  pass->most_pages = 0;
  pass_run (w, pass);
  writeback_collect_all (w);
  if (w->commanded.pages >= w->command_pages)
    return;
  pass->pick.before = UINT32_MAX;
  pass->pick.packed = false;
  pass->most_pages = w->command_pages;
  pass->pages_looked = 0;
  pass_run (w, pass);
}

static bool
takes_all (const struct writeback_command *command)
{
  return command->age == 0 && command->max == 0 && command->least == 0;
}

static void
begin_command (struct writeback *w, const struct writeback_command *command)
{
  writeback_collect_all (w);
  w->begun = command;
  w->command_pass = pass_of (command);
  w->command_began = (uint32_t) pass_seconds ();
  w->command_tag++;
  w->command_late = 0;
  w->command_avoids = 0;
  w->commanded = (struct writeback_counters){ 0 };
  /* With those that a command of this second spared: they look younger. */
  if (takes_all (command))
    w->command_pages = pick_pages (w->store, &w->command_pass.pick);
}

/* Go through all of it, or again through what is left. */
static void
run_passes (struct writeback *w, const struct writeback_command *command)
{
  struct pass *pass = &w->command_pass;
  uint32_t bound = pass->pick.bound;

  pass->pick = pass_of (command).pick;
  pass->pick.bound = bound;
  pass->error = 0;
  mover_set_tag (w->mover, w->command_tag);
  w->commanding = true;
  if (takes_all (command))
    write_all (w, pass, w->command_began);
  else
    pass_run (w, pass);
  writeback_collect_all (w);
  mover_set_tag (w->mover, 0);
  w->commanding = false;
  w->command_late = writeback_late (w);
  w->command_flying = mover_pages_in_flight (w->mover, w->command_tag);
}

static bool
cancelled (const struct writeback_command *command)
{
  return command->cancel && atomic_load (command->cancel);
}

/* Is it waiting for backings that are late, to count what they were given, or
 * to give them the rest?  Other things are done meanwhile.
 */
static bool
waits_for_late (struct writeback *w, const struct writeback_command *command)
{
  return w->command_flying > 0
         || (w->command_pass.error == ETIMEDOUT && !cancelled (command));
}

/* Nothing has changed for one that waits. */
static bool
still_waits (struct writeback *w, const struct writeback_command *command)
{
  return w->command_late && w->command_late == writeback_late (w)
         && w->command_flying
                == mover_pages_in_flight (w->mover, w->command_tag)
         && !cancelled (command);
}

/* The caller of writeback_run goes on. */
static void
end_command (struct writeback *w, int error)
{
  pthread_mutex_lock (&w->lock);
  *w->result = (struct command_result){ w->commanded, error, true };
  w->command = NULL;
  pthread_cond_broadcast (&w->done);
  pthread_mutex_unlock (&w->lock);
  w->begun = NULL;
}

static bool
run_command (struct writeback *w)
{
  const struct writeback_command *command;

  pthread_mutex_lock (&w->lock);
  command = w->command;
  pthread_mutex_unlock (&w->lock);
  if (!command)
    return false;
  if (!w->begun)
    begin_command (w, command);
  else if (still_waits (w, command))
    return false;
  run_passes (w, command);
  if (waits_for_late (w, command))
    return w->command_late == 0;
  end_command (w, w->commanded.pages == 0 ? w->command_pass.error : 0);
  return true;
}

/* Nobody shall wait for a thread that has ended. */
static void
refuse_command (struct writeback *w)
{
  bool asked;

  pthread_mutex_lock (&w->lock);
  asked = w->command != NULL;
  pthread_mutex_unlock (&w->lock);
  if (!asked)
    return;
  if (!w->begun)
    w->commanded = (struct writeback_counters){ 0 };
  end_command (w, w->begun ? 0 : ECANCELED);
}

static void
new_day (struct writeback *w)
{
  if (pass_seconds () - w->day >= SECONDS_A_DAY) {
    w->day = pass_seconds ();
    atomic_store (&w->spent, 0);
  }
}

static void *
run (void *data)
{
  struct writeback *w = data;

  while (!atomic_load (&w->stop)) {
    bool did = false;

    new_day (w);
    writeback_collect_ended (w);
    writeback_late (w);
    did |= relief_caps (w);
    did |= relief_pool (w);
    did |= run_command (w);
    did |= drain_merge (w);
    did |= relief_write_aged (w);
    did |= relief_demote (w);
    /* There may be room now for what is drained. */
    drain_wake (w, did);
    if (!did) {
      writeback_collect_all (w);
      drain_close_empty (w);
      wake_wait (&w->wake, mover_in_flight (w->mover) > 0
                               ? LATE_POLL_MILLISECONDS
                               : DRAIN_POLL_MILLISECONDS);
    }
  }
  writeback_collect_late (w);
  refuse_command (w);
  return NULL;
}

struct writeback *
writeback_start (struct store *store, struct backings *backings)
{
  struct writeback *w = calloc (1, sizeof *w);
  int error;

  if (!w)
    return NULL;
  w->store = store;
  w->backings = backings;
  w->day = pass_seconds ();
  pthread_mutex_init (&w->lock, NULL);
  pthread_cond_init (&w->done, NULL);
  drain_create (w);
  w->mover = mover_create (store);
  if (!w->mover) {
    free (w);
    return NULL;
  }
  room_serve (store, &w->wake);
  error = pthread_create (&w->thread, NULL, run, w);
  if (error) {
    room_serve (store, NULL);
    mover_free (w->mover);
    free (w);
    errno = error;
    return NULL;
  }
  return w;
}

void
writeback_stop (struct writeback *w)
{
  if (!w)
    return;
  room_serve (w->store, NULL);
  atomic_store (&w->stop, true);
  writeback_kick (w);
  pthread_join (w->thread, NULL);
  drain_free (w);
  mover_free (w->mover);
  pthread_mutex_destroy (&w->lock);
  pthread_cond_destroy (&w->done);
  free (w);
}

void
writeback_configure (struct writeback *w, const struct config_writeback *config)
{
  atomic_store (&w->high, config->high);
  atomic_store (&w->low, config->low);
  atomic_store (&w->age, config->age);
  atomic_store (&w->limit, config->limit);
  room_set_pace (w->store, store_pool_limit (w->store) / 100 * config->high, 0);
  writeback_kick (w);
}

void
writeback_set_demote_age (struct writeback *w, unsigned tier, unsigned age)
{
  atomic_store (&w->demote_ages[tier], age);
}

void
writeback_get_counters (struct writeback *w, struct writeback_counters *c)
{
  c->segments = atomic_load (&w->segments);
  c->pages = atomic_load (&w->pages);
  c->bytes = atomic_load (&w->bytes);
  c->pages_demoted = atomic_load (&w->pages_demoted);
  c->limit = atomic_load (&w->limit);
  c->limit_left = writeback_limit_left (w);
}

int
writeback_run (struct writeback *w, const struct writeback_command *command,
               struct writeback_counters *done)
{
  struct command_result result = { .ended = false };

  pthread_mutex_lock (&w->lock);
  if (w->command) {
    pthread_mutex_unlock (&w->lock);
    errno = EBUSY;
    return -1;
  }
  w->command = command;
  w->result = &result;
  writeback_kick (w);
  while (!result.ended)
    pthread_cond_wait (&w->done, &w->lock);
  pthread_mutex_unlock (&w->lock);
  *done = result.counters;
  if (result.error) {
    errno = result.error;
    return -1;
  }
  return 0;
}

void
writeback_kick (struct writeback *w)
{
  wake_ring (&w->wake);
  drain_kick (w);
}
