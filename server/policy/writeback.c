/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/message.h"
#include "common/wake.h"
#include "policy/writeback.h"
#include "store/demote.h"
#include "store/mover.h"
#include "store/pick.h"
#include "store/room.h"

#define SECONDS_A_DAY 86400
#define POLL_MILLISECONDS 1000

/* Free extents of a backing, as a share of all, below which its sparse ones
 * are merged; and what of an extent must be dead for that.
 */
#define FREE_SHARE 16
#define SPARSE_SHARE 4

/* Seconds without merging on a backing where segments could not be read. */
#define MERGE_PAUSE 60

/* Milliseconds that writing back waits for extents that are being freed. */
#define FREEING_TRIES 500

/* Bytes that leave when writers wait although the pool is not above its mark:
 * the tier that they need is at its own limit.
 */
#define TIER_RELIEF (8 * EXTENT_BYTES)

/* Segments moved in one go before looking whether something else is more
 * urgent.
 */
#define TURN 64

struct writeback {
  struct store *store;
  struct backings *backings;
  struct mover *mover;
  struct wake wake;
  pthread_t thread;
  _Atomic bool stop;

  _Atomic unsigned high, low, age;
  _Atomic uint64_t limit;
  _Atomic unsigned demote_ages[STORE_TIERS];

  _Atomic uint64_t segments, pages, bytes, pages_demoted;
  _Atomic uint64_t spent; /* of the daily limit, bytes */
  uint64_t writing;       /* bytes in flight to backings */
  time_t day;             /* when it was last reset */

  bool merging;        /* a sweep is under way */
  unsigned merged;     /* the backing that it is on */
  uint32_t merge_next; /* the segment that it has come to */
  time_t merge_after[STORE_BACKINGS];

  pthread_mutex_t lock; /* of the command */
  pthread_cond_t done;
  const struct writeback_command *command; /* NULL: none */
  int command_error;
  struct writeback_counters command_counters;
};

/* The clock that segments tell their age by. */
static time_t
seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

static uint64_t
limit_left (struct writeback *w)
{
  uint64_t limit = atomic_load (&w->limit), spent = atomic_load (&w->spent);

  if (limit == 0)
    return UINT64_MAX;
  return limit > spent ? limit - spent : 0;
}

/* What may be written beside what is being written. */
static bool
limit_allows (struct writeback *w, uint64_t bytes)
{
  uint64_t left = limit_left (w);

  return left >= w->writing && left - w->writing >= bytes;
}

static void
count (struct writeback *w, const struct moved *moved)
{
  if (moved->to_memory)
    return;
  w->writing -= moved->bytes;
  if (moved->error)
    return;
  atomic_fetch_add (&w->segments, 1);
  atomic_fetch_add (&w->pages, moved->pages);
  atomic_fetch_add (&w->bytes, moved->bytes);
  atomic_fetch_add (&w->spent, moved->bytes);
}

/* Wait for one move to end. */
static bool
collect (struct writeback *w)
{
  struct moved moved;

  if (!mover_wait (w->mover, &moved))
    return false;
  count (w, &moved);
  return true;
}

static void
collect_all (struct writeback *w)
{
  while (collect (w))
    ;
}

/* One pass: how far to go. */
struct pass {
  struct pick pick;
  uint32_t least;             /* stored bytes: shorter objects stay */
  uint64_t down_to;           /* bytes used in the pool, or under the cap; 0:
                                 everything that fits */
  uint32_t cap;               /* 0: none */
  uint64_t max;               /* bytes to write, 0: no bound */
  unsigned most;              /* segments to look at, 0: no bound */
  bool seal;                  /* open segments too, when the others are gone */
  uint64_t started;           /* bytes whose writing was started */
  unsigned progress;          /* segments that were written or packed */
  int error;                  /* why it ended early: ENOSPC, EDQUOT */
  const _Atomic bool *cancel; /* NULL: it cannot be called off */
};

static bool
enough (struct writeback *w, const struct pass *pass)
{
  uint64_t in_flight = (uint64_t) mover_in_flight (w->mover) * EXTENT_BYTES;

  uint64_t used;

  if (pass->max && pass->started >= pass->max)
    return true;
  if (!pass->down_to)
    return false;
  used = pass->cap ? store_cap_used (w->store, pass->cap)
                   : store_memory_used (w->store);
  return used <= pass->down_to + in_flight;
}

/* Start to write a claimed segment to BACKING. */
static int
start_write (struct writeback *w, uint32_t segment, int backing)
{
  if (mover_write (w->mover, segment, (unsigned) backing) == -1)
    return -1;
  w->writing += mover_bytes (w->store, segment);
  return 0;
}

/* Start to write a claimed segment to the backing that its class asks for.  -1
 * with errno ENOSPC if none takes it, or EDQUOT if the day's limit does not
 * allow it; the claim has ended then.
 */
static int
write_out (struct writeback *w, struct pass *pass, uint32_t segment)
{
  unsigned class = mover_class (w->store, segment);
  uint64_t bytes = mover_bytes (w->store, segment);
  int except = -1, backing;

  /* What is in flight may fail, and then does not count. */
  while (mover_in_flight (w->mover) == MOVER_DEPTH
         || (mover_in_flight (w->mover) > 0 && !limit_allows (w, bytes)))
    collect (w);
  if (!limit_allows (w, bytes)) {
    mover_unclaim (w->store, segment);
    pass->error = errno = EDQUOT;
    return -1;
  }
  for (unsigned tries = 0; tries < FREEING_TRIES; ++tries) {
    backing = backings_choose (w->backings, class, false, except);
    if (backing >= 0 && start_write (w, segment, backing) == 0) {
      pass->started += bytes;
      pass->progress++;
      return 0;
    }
    if (backing == -1 && except == -1)
      break;
    /* It filled up or failed just now, or what is free there is still being
     * punched out: another one, or the same in a moment.
     */
    if (except != -1)
      nanosleep (&(struct timespec){ 0, 1000000 }, NULL);
    except = backing;
  }
  mover_unclaim (w->store, segment);
  pass->pick.classes &= ~(1u << class);
  pass->error = errno = ENOSPC;
  return -1;
}

/* A segment was picked: write it as it is, or pack what is cold of it. */
static void
handle (struct writeback *w, struct pass *pass, uint32_t segment)
{
  if (backings_choose (w->backings, mover_class (w->store, segment), false, -1)
      == -1) {
    pass->pick.classes &= ~(1u << mover_class (w->store, segment));
    pass->error = ENOSPC;
    mover_unclaim (w->store, segment);
    return;
  }
  if (mover_is_packed (w->store, segment, pass->least)) {
    write_out (w, pass, segment);
    return;
  }
  if (mover_pack (w->store, segment, pass->least) == 0) {
    pass->progress++;
    return;
  }
  /* No frame to pack into: rather write it with what is dead in it. */
  if (mover_claim (w->store, segment))
    write_out (w, pass, segment);
}

/* The next segment of a pass, PICK_NONE if there is none, or if all that a
 * bounded pass looks at were looked at.
 */
static uint32_t
next_segment (struct writeback *w, const struct pass *pass, unsigned looked)
{
  if (pass->most && looked >= pass->most && !pass->pick.packed)
    return PICK_NONE;
  return pick_coldest (w->store, &pass->pick);
}

static void
run_pass (struct writeback *w, struct pass *pass)
{
  unsigned looked = 0;
  bool sealed = pass->seal && pass->least;
  uint32_t segment;

  /* What is sorted out is younger than all that was there at first. */
  if (sealed)
    pick_seal (w->store, &pass->pick);
  while (!atomic_load (&w->stop) && pass->pick.classes != 0
         && !(pass->cancel && atomic_load (pass->cancel))) {
    if (enough (w, pass)) {
      pass->error = 0;
      break;
    }
    if (!limit_allows (w, 1))
      pass->error = EDQUOT;
    if (pass->error == EDQUOT)
      break;
    segment = next_segment (w, pass, looked);
    if (segment != PICK_NONE) {
      looked++;
      handle (w, pass, segment);
      continue;
    }
    if (pass->most && looked >= pass->most && !pass->least)
      break;
    /* What is being written may fail and come back. */
    if (mover_in_flight (w->mover) > 0) {
      collect (w);
      continue;
    }
    /* Then the open ones, and at last what was packed of them. */
    if (!pass->seal || (sealed && pass->pick.packed))
      break;
    pass->pick.packed = sealed;
    sealed = true;
    pick_seal (w->store, &pass->pick);
  }
}

/* All classes that are ever written back. */
#define WRITTEN_CLASSES ((1u << STORE_CLASSES) - 2)

static struct pass
pass_for (uint32_t age)
{
  uint32_t now = (uint32_t) seconds ();

  return (struct pass){
    .pick = { .tier = PICK_ANY,
              .cgroup = PICK_ANY,
              .classes = WRITTEN_CLASSES,
              .before = age == 0    ? UINT32_MAX
                        : now > age ? now - age
                                    : 0 },
  };
}

/* What writing back a page takes, in nanoseconds, of so many since START. */
static uint64_t
pace_since (const struct timespec *start, uint64_t pages)
{
  struct timespec end;

  clock_gettime (CLOCK_MONOTONIC, &end);
  return (uint64_t) ((end.tv_sec - start->tv_sec) * INT64_C (1000000000)
                     + end.tv_nsec - start->tv_nsec)
             / pages
         + 1;
}

/* First from cgroups that hold their share of the pool at least: what fills it
 * does not push out what others have.  Only if there is nothing, from all.
 */
static void
run_fair_pass (struct writeback *w, struct pass *pass)
{
  struct store_cgroup_set above;
  struct pass fair = *pass;

  if (store_cgroups_above_share (w->store, &above)) {
    fair.pick.cgroups = &above;
    run_pass (w, &fair);
    if (fair.progress > 0 || enough (w, &fair)) {
      *pass = fair;
      pass->pick.cgroups = NULL;
      return;
    }
  }
  run_pass (w, pass);
}

/* The pool is above its mark, or writers wait. */
static bool
relieve (struct writeback *w)
{
  uint64_t limit = store_pool_limit (w->store);
  uint64_t high = limit / 100 * atomic_load (&w->high);
  uint64_t low = limit / 100 * atomic_load (&w->low);
  uint64_t asked = room_asked (w->store);
  struct pass pass = pass_for (0);
  uint64_t used = store_memory_used (w->store);
  uint64_t pages = atomic_load (&w->pages);
  struct timespec start;

  pass.seal = room_waited_for (w->store);
  if (!pass.seal && used <= high) {
    room_set_pace (w->store, high, 0);
    return false;
  }
  clock_gettime (CLOCK_MONOTONIC, &start);
  pass.down_to = low;
  if (used <= low)
    pass.down_to = used > TIER_RELIEF ? used - TIER_RELIEF : 1;
  pass.most = TURN;
  run_fair_pass (w, &pass);
  if (pass.progress == 0) {
    collect_all (w);
    if (room_acquit (w->store))
      return true;
    room_in_vain (w->store, asked);
    room_set_pace (w->store, high, 0);
    return false;
  }
  room_judge (w->store);
  pages = atomic_load (&w->pages) - pages;
  if (pages > 0)
    room_set_pace (w->store, high, pace_since (&start, pages));
  return true;
}

/* Segments that are being filled may come on top of a cap. */
#define CAP_OPEN (2 * EXTENT_BYTES)

/* More is in memory under a cap than it allows: that, and nothing else. */
static bool
relieve_cap (struct writeback *w, uint32_t cap)
{
  uint64_t limit = store_cap_limit (w->store, cap);
  uint64_t pages = atomic_load (&w->pages);
  struct store_cgroup_set under;
  struct pass pass = pass_for (0);
  struct timespec start;

  store_cgroups_under (w->store, cap, &under);
  pass.pick.cgroups = &under;
  pass.cap = cap;
  pass.down_to = limit - limit / 8;
  pass.most = TURN;
  pass.seal = store_cap_used (w->store, cap) > limit + CAP_OPEN;
  clock_gettime (CLOCK_MONOTONIC, &start);
  run_pass (w, &pass);
  if (pass.progress == 0) {
    if (!enough (w, &pass))
      room_set_cap_pace (w->store, cap, 0);
    return false;
  }
  pages = atomic_load (&w->pages) - pages;
  if (pages > 0)
    room_set_cap_pace (w->store, cap, pace_since (&start, pages));
  return true;
}

static bool
relieve_caps (struct writeback *w)
{
  bool did = false;

  store_count_caps (w->store);
  for (uint32_t cap = 0; (cap = store_caps_above (w->store, cap)) != 0;)
    did |= relieve_cap (w, cap);
  return did;
}

static bool
write_aged (struct writeback *w)
{
  unsigned age = atomic_load (&w->age);
  struct pass pass = pass_for (age);

  if (age == 0 || w->merging)
    return false;
  pass.most = TURN;
  pass.seal = true;
  run_pass (w, &pass);
  return pass.progress > 0;
}

static bool
demote_aged (struct writeback *w)
{
  bool did = false;

  for (unsigned tier = 0; tier < STORE_TIERS; ++tier) {
    unsigned age = atomic_load (&w->demote_ages[tier]);
    struct pass pass = pass_for (age);
    bool sealed = false;

    if (age == 0 || !store_has_tier (w->store, tier))
      continue;
    pass.pick.tier = tier;
    pass.pick.classes = (1u << STORE_CLASSES) - 1;
    for (unsigned n = 0; n < TURN; ++n) {
      uint32_t segment = pick_coldest (w->store, &pass.pick);
      int64_t pages;

      if (segment == PICK_NONE) {
        if (sealed || pick_seal (w->store, &pass.pick) == 0)
          break;
        sealed = true;
        continue;
      }
      pages = demote_segment (w->store, segment);
      if (pages < 0)
        break;
      atomic_fetch_add (&w->pages_demoted, (uint64_t) pages);
      did = true;
    }
  }
  return did;
}

/* A segment came back to memory from a backing that is drained: on to another
 * backing, if one takes it.
 */
static void
pass_on (struct writeback *w, const struct moved *moved)
{
  int backing
      = backings_choose (w->backings, mover_class (w->store, moved->segment),
                         true, (int) moved->backing);

  if (backing == -1 || !mover_claim (w->store, moved->segment))
    return;
  if (start_write (w, moved->segment, backing) == -1)
    mover_unclaim (w->store, moved->segment);
}

/* Wait for one of the moves of a drain or a merge. */
static bool
collect_loaded (struct writeback *w, bool drain, unsigned *failed)
{
  struct moved moved;

  if (!mover_wait (w->mover, &moved))
    return false;
  count (w, &moved);
  if (!moved.to_memory)
    return true;
  if (moved.error)
    ++*failed;
  else if (drain)
    pass_on (w, &moved);
  else if (mover_claim (w->store, moved.segment))
    mover_pack (w->store, moved.segment, 0);
  return true;
}

/* Load segments from a backing of which so much is dead: how many. */
static unsigned
load_some (struct writeback *w, unsigned index, uint32_t dead_bytes, bool drain,
           uint32_t *next, unsigned *failed)
{
  unsigned loaded = 0;
  uint32_t segment;

  while (loaded < TURN && !atomic_load (&w->stop)) {
    while (mover_in_flight (w->mover) >= MOVER_DEPTH / 2)
      collect_loaded (w, drain, failed);
    segment = pick_on_backing (w->store, index, dead_bytes, next);
    if (segment == PICK_NONE)
      break;
    if (mover_load (w->mover, segment) == 0) {
      loaded++;
      continue;
    }
    mover_unclaim (w->store, segment);
    if (!collect_loaded (w, drain, failed))
      break;
  }
  while (collect_loaded (w, drain, failed))
    ;
  return loaded;
}

/* Those that shall leave are closed when they are empty. */
static void
close_empty (struct writeback *w)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct tier_backing *b = &w->backings->list[i];
    struct backing *backing;

    if (!atomic_load (&b->leaving))
      continue;
    pthread_mutex_lock (w->backings->lock);
    backing = atomic_load (&b->backing);
    if (backing && atomic_load (&b->leaving)
        && backing_extents_used (backing) == 0) {
      message (MESSAGE_NOTICE, "backing \"%s\" is empty and was closed",
               b->name);
      atomic_store (&b->leaving, false);
      backings_remove (w->backings, i);
    }
    pthread_mutex_unlock (w->backings->lock);
  }
}

static bool
drain (struct writeback *w)
{
  bool did = false;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct tier_backing *b = &w->backings->list[i];
    struct backing *backing = atomic_load (&b->backing);
    unsigned failed = 0, loaded;
    uint32_t next = 0;

    if (!backing || !atomic_load (&b->draining) || atomic_load (&b->stuck)
        || backing_state (backing) == BACKING_FAILED
        || backing_extents_used (backing) == 0)
      continue;
    loaded = load_some (w, i, 0, true, &next, &failed);
    if (loaded > failed)
      did = true;
    else if (failed > 0 && loaded == failed
             && backing_state (backing) != BACKING_FAILED) {
      atomic_store (&b->stuck, true);
      message (MESSAGE_ERROR,
               "backing \"%s\" cannot be drained: %u segments cannot be read "
               "back from it",
               b->name, failed);
    }
  }
  return did;
}

/* Do extents run low on a backing that segments are written to, and may they be
 * written?
 */
static bool
wants_merging (struct writeback *w, unsigned index)
{
  struct tier_backing *b = &w->backings->list[index];
  struct backing *backing = atomic_load (&b->backing);
  uint64_t all;

  if (!backing || atomic_load (&b->draining)
      || backing_state (backing) != BACKING_ONLINE
      || seconds () < w->merge_after[index])
    return false;
  all = backing_extents (backing);
  return all - backing_extents_used (backing) <= all / FREE_SHARE;
}

/* A sweep over a backing loads all its sparse segments, some at a time, and
 * writes what was packed of them.  What is left over waits in memory for the
 * end of the sweep, which so gives back what it was begun for.
 */
static bool
merge_sparse (struct writeback *w)
{
  const uint32_t sparse = EXTENT_BYTES / SPARSE_SHARE;
  struct pass pass = pass_for (0);
  unsigned failed = 0, loaded;

  for (unsigned i = 0; i < STORE_BACKINGS && !w->merging; ++i)
    if (limit_allows (w, EXTENT_BYTES) && wants_merging (w, i)
        && pick_mergeable (w->store, i, sparse)) {
      w->merging = true;
      w->merged = i;
      w->merge_next = 0;
    }
  if (!w->merging)
    return false;
  loaded = load_some (w, w->merged, sparse, false, &w->merge_next, &failed);
  if (failed > 0)
    w->merge_after[w->merged] = seconds () + MERGE_PAUSE;
  if (loaded < TURN || !limit_allows (w, EXTENT_BYTES))
    w->merging = false;
  pass.pick.packed = true;
  run_pass (w, &pass);
  return loaded > failed;
}

static bool
run_command (struct writeback *w)
{
  const struct writeback_command *command;
  struct writeback_counters before;
  struct pass pass;

  pthread_mutex_lock (&w->lock);
  command = w->command;
  pthread_mutex_unlock (&w->lock);
  if (!command)
    return false;
  pass = pass_for (command->age);
  pass.least = command->least;
  pass.max = command->max;
  pass.cancel = command->cancel;
  pass.seal = true;
  /* What is sorted out is younger then: look at all only once. */
  if (command->least && command->age == 0)
    pass.pick.before = (uint32_t) seconds ();
  if (command->cgroup >= 0)
    pass.pick.cgroup = (uint32_t) command->cgroup;
  pass.pick.cgroups = command->cgroups;
  if (command->tier >= 0)
    pass.pick.tier = (uint32_t) command->tier;
  collect_all (w);
  writeback_get_counters (w, &before);
  run_pass (w, &pass);
  collect_all (w);

  pthread_mutex_lock (&w->lock);
  writeback_get_counters (w, &w->command_counters);
  w->command_counters.segments -= before.segments;
  w->command_counters.pages -= before.pages;
  w->command_counters.bytes -= before.bytes;
  w->command_error
      = w->command_counters.pages == 0 && pass.error ? pass.error : 0;
  w->command = NULL;
  pthread_cond_broadcast (&w->done);
  pthread_mutex_unlock (&w->lock);
  return true;
}

/* Nobody shall wait for a thread that has ended. */
static void
refuse_command (struct writeback *w)
{
  pthread_mutex_lock (&w->lock);
  if (w->command) {
    w->command_counters = (struct writeback_counters){ 0 };
    w->command_error = ECANCELED;
    w->command = NULL;
    pthread_cond_broadcast (&w->done);
  }
  pthread_mutex_unlock (&w->lock);
}

static void
new_day (struct writeback *w)
{
  if (seconds () - w->day >= SECONDS_A_DAY) {
    w->day = seconds ();
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
    did |= relieve_caps (w);
    did |= relieve (w);
    did |= run_command (w);
    did |= drain (w);
    did |= merge_sparse (w);
    did |= write_aged (w);
    did |= demote_aged (w);
    if (!did) {
      collect_all (w);
      close_empty (w);
      wake_wait (&w->wake, POLL_MILLISECONDS);
    }
  }
  collect_all (w);
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
  w->day = seconds ();
  pthread_mutex_init (&w->lock, NULL);
  pthread_cond_init (&w->done, NULL);
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
  c->limit_left = limit_left (w);
}

int
writeback_run (struct writeback *w, const struct writeback_command *command,
               struct writeback_counters *done)
{
  int error;

  pthread_mutex_lock (&w->lock);
  if (w->command) {
    pthread_mutex_unlock (&w->lock);
    errno = EBUSY;
    return -1;
  }
  w->command = command;
  writeback_kick (w);
  while (w->command == command)
    pthread_cond_wait (&w->done, &w->lock);
  *done = w->command_counters;
  error = w->command_error;
  pthread_mutex_unlock (&w->lock);
  if (error) {
    errno = error;
    return -1;
  }
  return 0;
}

void
writeback_kick (struct writeback *w)
{
  wake_ring (&w->wake);
}
