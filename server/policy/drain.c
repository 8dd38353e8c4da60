/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "common/message.h"
#include "policy/drain.h"
#include "policy/pass.h"

/* Free extents of a backing, as a share of all, below which its sparse ones
 * are merged; and what of an extent must be dead for that.
 */
#define FREE_SHARE 16
#define SPARSE_SHARE 4

/* Seconds without merging on a backing where segments could not be read. */
#define MERGE_PAUSE 60

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
  if (writeback_start_write (w, moved->segment, backing) == -1)
    mover_unclaim (w->store, moved->segment);
}

/* Wait for one of the moves of a drain or a merge. */
static bool
collect_loaded (struct writeback *w, bool drain, unsigned *failed)
{
  struct moved moved;

  if (!mover_wait (w->mover, &moved))
    return false;
  writeback_count (w, &moved);
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

void
drain_close_empty (struct writeback *w)
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

bool
drain_all (struct writeback *w)
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
  unsigned failed = 0, loaded;

  for (unsigned i = 0; i < STORE_BACKINGS && !w->merging; ++i)
    if (writeback_limit_allows (w, EXTENT_BYTES) && wants_merging (w, i)
        && pick_mergeable (w->store, i, sparse)) {
      w->merging = true;
      w->merged = i;
      w->merge_next = 0;
    }
  if (!w->merging)
    return false;
  loaded = load_some (w, w->merged, sparse, false, &w->merge_next, &failed);
  if (failed > 0)
    w->merge_after[w->merged] = pass_seconds () + MERGE_PAUSE;
  if (loaded < TURN || !writeback_limit_allows (w, EXTENT_BYTES))
    w->merging = false;
  pass.pick.packed = true;
  pass_run (w, &pass);
  return loaded > failed;
}
