/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "common/message.h"
#include "policy/drain.h"
#include "policy/pass.h"

/* Free extents of a backing, as a share of all, below which its sparse ones
 * are merged; and what of an extent must be dead for that.
 */
#define FREE_SHARE 16
#define SPARSE_SHARE 4

/* Seconds without merging on a backing where segments could not be read, or
 * were late; and where there was no memory to pack them in.
 */
#define MERGE_PAUSE 60
#define ROOM_PAUSE 5

/* Times that reading nothing but errors, a poll apart, is tried again: it may
 * be the connection to a server that was lost.
 */
#define DRAIN_TRIES 10

/* What became of the segments that were to be loaded. */
struct loads {
  unsigned loaded, failed;
  unsigned damaged; /* of those that failed */
  bool no_room;     /* some were not loaded, or not packed: memory is full */
};

/* A segment came back to memory from a backing that is drained: on to another
 * backing, if one takes it, and rather to one that is not late.
 */
static void
pass_on (struct writeback *w, struct mover *mover, const struct moved *moved)
{
  unsigned late = atomic_load (&w->late) | mover_late (mover);
  unsigned from = 1u << moved->backing, class;
  int backing;

  /* Who waits for the drainer to end waits for this one deadline, no more. */
  if (atomic_load (&w->stop) || !mover_claim (w->store, moved->segment))
    return;
  class = mover_class (w->store, moved->segment);
  backing = backings_choose (w->backings, class, true, from | late);
  if (backing == -1)
    backing = backings_choose (w->backings, class, true, from);
  if (backing == -1
      || writeback_start_write (w, mover, moved->segment, backing) == -1)
    mover_unclaim (w->store, moved->segment);
}

/* Wait for one of the moves of a drain; or of a merge, whose mover is that of
 * the writeback thread, and then not for what is late.  What a sweep over
 * another backing loaded, and was late, may come now: it did not fail on INDEX.
 */
static bool
collect_loaded (struct writeback *w, struct mover *mover, unsigned index,
                bool drain, struct loads *loads)
{
  struct moved moved;

  if (!drain) {
    if (!writeback_take (w, &moved))
      return false;
  }
  else if (mover_wait (mover, &moved))
    writeback_count (w, &moved);
  else
    return false;
  if (!moved.to_memory)
    return true;
  if (moved.error) {
    loads->failed += moved.backing == index;
    loads->damaged += moved.backing == index && moved.error == EBADMSG;
  }
  else if (drain)
    pass_on (w, mover, &moved);
  else if (mover_claim (w->store, moved.segment)
           && mover_pack (w->store, moved.segment, 0) == -1)
    loads->no_room = true;
  return true;
}

/* Are there as many in flight as there may be?  A merge leaves the other
 * backings theirs.
 */
static bool
has_enough (const struct mover *mover, unsigned index, bool drain)
{
  return drain ? mover_in_flight (mover) >= MOVER_DEPTH / 2
               : mover_in_flight_on (mover, index) >= MOVER_SHARE;
}

/* Load segments from a backing of which so much is dead.  To merge them, no
 * more than can be packed: those that were not would be written again as they
 * are, and loaded again, for ever.  What is late is left to the writeback
 * thread: it comes to memory when it comes, and is packed when it leaves again.
 */
static struct loads
load_some (struct writeback *w, struct mover *mover, unsigned index,
           uint32_t dead_bytes, bool drain, uint32_t *next)
{
  struct loads loads = { .loaded = 0 };
  uint32_t segment;

  while (loads.loaded < TURN && !loads.no_room && !atomic_load (&w->stop)) {
    while (has_enough (mover, index, drain)
           && collect_loaded (w, mover, index, drain, &loads))
      ;
    if (has_enough (mover, index, drain))
      break;
    segment = pick_on_backing (w->store, index, dead_bytes, next);
    if (segment == PICK_NONE)
      break;
    if ((drain || mover_may_load (w->store, segment))
        && mover_load (mover, segment) == 0) {
      loads.loaded++;
      continue;
    }
    mover_unclaim (w->store, segment);
    if (!collect_loaded (w, mover, index, drain, &loads)) {
      loads.no_room = true;
      break;
    }
  }
  while (collect_loaded (w, mover, index, drain, &loads))
    ;
  return loads;
}

/* ---- draining ---- */

/* Milliseconds that a drainer stands back for a backing to be closed: that
 * waits for the others, too, one of which may hang.
 */
#define PAUSE 100

/* Is there something to drain that can be read?  By who keeps backings from
 * being closed.
 */
static bool
to_drain (const struct writeback *w, unsigned index)
{
  const struct tier_backing *b = &w->backings->list[index];
  struct backing *backing = atomic_load (&b->backing);

  return backing && atomic_load (&b->draining) && !atomic_load (&b->stuck)
         && backing_state (backing) != BACKING_FAILED
         && backing_extents_used (backing) > 0;
}

/* A part of it: whether anything was moved. */
static bool
drain_some (struct drainer *d, struct mover *mover)
{
  struct writeback *w = d->writeback;
  struct tier_backing *b = &w->backings->list[d->index];
  uint32_t next = 0;
  struct loads loads = load_some (w, mover, d->index, 0, true, &next);

  if (loads.loaded > loads.failed) {
    d->fruitless = 0;
    return true;
  }
  if (loads.failed > 0
      && backing_state (atomic_load (&b->backing)) != BACKING_FAILED
      && (loads.damaged == loads.failed || ++d->fruitless == DRAIN_TRIES)) {
    d->fruitless = 0;
    atomic_store (&b->stuck, true);
    message (MESSAGE_ERROR,
             "backing \"%s\" cannot be drained: %u segments cannot be read "
             "back from it",
             b->name, loads.failed);
  }
  return false;
}

/* The mover has memory that nobody needs until the next drain. */
static bool
drain_turn (struct drainer *d, struct mover **mover)
{
  struct writeback *w = d->writeback;
  bool did = false, wanted;

  atomic_store (&d->at_work, true);
  pthread_rwlock_rdlock (&w->in_use);
  wanted = to_drain (w, d->index);
  if (wanted && !*mover)
    *mover = mover_create (w->store);
  if (wanted && *mover)
    did = drain_some (d, *mover);
  pthread_rwlock_unlock (&w->in_use);
  atomic_store (&d->at_work, false);
  if (!wanted && *mover) {
    mover_free (*mover);
    *mover = NULL;
  }
  return did;
}

static void *
drainer_run (void *data)
{
  const struct timespec moment = { 0, 1000000 };
  struct drainer *d = data;
  struct writeback *w = d->writeback;
  struct mover *mover = NULL;

  while (!atomic_load (&w->stop)) {
    for (unsigned i = 0; i < PAUSE && atomic_load (&w->closing); ++i)
      nanosleep (&moment, NULL);
    if (drain_turn (d, &mover))
      /* Memory may be full now, or the backing is empty. */
      wake_ring (&w->wake);
    else
      wake_wait (&d->wake, DRAIN_POLL_MILLISECONDS);
  }
  mover_free (mover);
  return NULL;
}

void
drain_create (struct writeback *w)
{
  pthread_rwlock_init (&w->in_use, NULL);
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    w->drainers[i].writeback = w;
    w->drainers[i].index = i;
  }
}

void
drain_free (struct writeback *w)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (w->drainers[i].started)
      pthread_join (w->drainers[i].thread, NULL);
  pthread_rwlock_destroy (&w->in_use);
}

void
drain_kick (struct writeback *w)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    wake_ring (&w->drainers[i].wake);
}

/* It stays when it was started: most backings are never drained. */
static void
start (struct writeback *w, struct drainer *d)
{
  int error = pthread_create (&d->thread, NULL, drainer_run, d);

  d->started = error == 0;
  if (error && !w->told)
    message (MESSAGE_ERROR,
             "backing \"%s\" is not drained for now: no thread can be "
             "started: %s",
             w->backings->list[d->index].name, strerror (error));
  w->told = error != 0;
}

void
drain_wake (struct writeback *w, bool room)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (!w->drainers[i].started) {
      if (to_drain (w, i))
        start (w, &w->drainers[i]);
    }
    else if (room)
      wake_ring (&w->drainers[i].wake);
}

bool
drain_at_work (struct writeback *w)
{
  bool at_work = false;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    at_work |= atomic_load (&w->drainers[i].at_work);
  return at_work;
}

static bool
may_close (const struct tier_backing *b)
{
  struct backing *backing = atomic_load (&b->backing);

  return backing && atomic_load (&b->leaving)
         && backing_extents_used (backing) == 0;
}

/* It is neither in the list nor in the state from now on. */
static void
take_away (struct writeback *w, unsigned index)
{
  struct tier_backing *b = &w->backings->list[index];
  bool failed = backing_state (atomic_load (&b->backing)) == BACKING_FAILED;

  if (!backings_remove (w->backings, index))
    return;
  atomic_store (&b->leaving, false);
  if (failed)
    message (MESSAGE_NOTICE,
             "backing \"%s\" is empty and was taken away; it has failed, so it "
             "is closed in the background",
             b->name);
}

/* Nobody waits for a drainer whose backing does not answer, nor for who holds
 * the device's lock and waits for a file that does not: it is tried again. What
 * is taken away is closed by others; one that answers for as long as the lock
 * is held, for CLOSER_PATIENCE at most.
 */
void
drain_close_empty (struct writeback *w)
{
  bool any = false;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    any |= may_close (&w->backings->list[i]);
  any = any && pthread_mutex_trylock (w->backings->lock) == 0;
  atomic_store (&w->closing, any);
  if (!any)
    return;
  if (pthread_rwlock_trywrlock (&w->in_use) == 0) {
    for (unsigned i = 0; i < STORE_BACKINGS; ++i)
      if (may_close (&w->backings->list[i]))
        take_away (w, i);
    pthread_rwlock_unlock (&w->in_use);
    atomic_store (&w->closing, false);
    backings_wait_closed (w->backings);
  }
  pthread_mutex_unlock (w->backings->lock);
}

/* ---- merging ---- */

/* Do extents run low on a backing that segments are written to, and may they be
 * written?  Not on one that is late: it would be so for reading, too.
 */
static bool
wants_merging (struct writeback *w, unsigned index)
{
  struct tier_backing *b = &w->backings->list[index];
  struct backing *backing = atomic_load (&b->backing);
  uint64_t all;

  if (!backing || atomic_load (&b->draining)
      || backing_state (backing) != BACKING_ONLINE
      || (writeback_late (w) & 1u << index)
      || pass_seconds () < w->merge_after[index])
    return false;
  all = backing_extents (backing);
  return all - backing_extents_used (backing) <= all / FREE_SHARE;
}

/* A sweep over a backing loads all its sparse segments, some at a time, and
 * writes what was packed of them.  What is left over waits in memory for the
 * end of the sweep, which so gives back what it was begun for.
 */
bool
drain_merge (struct writeback *w)
{
  const uint32_t sparse = EXTENT_BYTES / SPARSE_SHARE;
  struct pass pass = pass_for (0);
  struct loads loads;
  bool late;

  for (unsigned i = 0; i < STORE_BACKINGS && !w->merging; ++i)
    if (writeback_limit_allows (w, EXTENT_BYTES) && wants_merging (w, i)
        && pick_mergeable (w->store, i, sparse)) {
      w->merging = true;
      w->merged = i;
      w->merge_next = 0;
    }
  if (!w->merging)
    return false;
  loads = load_some (w, w->mover, w->merged, sparse, false, &w->merge_next);
  late = writeback_late (w) & 1u << w->merged;
  if (loads.failed > 0 || loads.no_room || late)
    w->merge_after[w->merged]
        = pass_seconds ()
          + (loads.failed > 0 || late ? MERGE_PAUSE : ROOM_PAUSE);
  if (loads.loaded < TURN || loads.no_room || late
      || !writeback_limit_allows (w, EXTENT_BYTES))
    w->merging = false;
  pass.pick.packed = true;
  pass_run (w, &pass);
  return loads.loaded > loads.failed;
}
