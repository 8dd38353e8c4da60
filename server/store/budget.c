/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "store/budget.h"
#include "store/room.h"

/* Frames that only the cleaner may take: it needs one to move objects to
 * before it can give any back.  That is enough for one owner; where many
 * owners' survivors are full at once, it may overdraw the limit a little for a
 * moment, before a write has to fail.
 */
#define POOL_HEADROOM 2
#define TIER_HEADROOM 1
#define OVERDRAFT 16

/* Frames that are kept for cgroups that write less than others: a part of the
 * pool, and no more than 4 MiB.
 */
#define OTHERS_SHARE 16
#define OTHERS_MOST 16

uint64_t
store_meta_bytes (struct store *store)
{
  uint64_t bytes
      = atomic_load_explicit (&store->slots.meta_pages, memory_order_relaxed)
        * PAGE_BYTES;

  /* The records of segments and frames, as far as they were ever touched. */
  bytes += (uint64_t) segments_high_water (&store->segments)
           * (sizeof (struct segment) + sizeof (uint32_t));
  bytes += (uint64_t) arena_high_water (&store->arena) * 2 * sizeof (uint32_t);
  return bytes;
}

uint64_t
store_memory_used (struct store *store)
{
  return (uint64_t) atomic_load_explicit (&store->frames, memory_order_relaxed)
             * FRAME_BYTES
         + store_meta_bytes (store);
}

/* Count one more frame, if LIMIT frames allow it. */
static bool
count_frame (_Atomic uint32_t *frames, uint64_t limit)
{
  uint32_t now = atomic_load (frames);

  do {
    if (now >= limit)
      return false;
  } while (!atomic_compare_exchange_weak (frames, &now, now + 1));
  return true;
}

/* Of LIMIT frames, what a writer may use, or the cleaner.  When the limit was
 * LOWERED below what is used, it is the cleaner that brings it down.
 */
static uint64_t
frames_limit (struct store *store, uint64_t limit, uint32_t lowered,
              uint64_t headroom, bool cleaner)
{
  if (!cleaner)
    return limit > headroom ? limit - headroom : 0;
  if (limit < lowered)
    limit = lowered;
  if (atomic_load_explicit (&store->overdraft, memory_order_relaxed) > 0)
    limit += OVERDRAFT;
  return limit;
}

static uint64_t
tier_frames_limit (struct store *store, const struct tier *tier, bool cleaner)
{
  uint64_t limit = atomic_load_explicit (&tier->limit, memory_order_relaxed);

  if (limit == 0)
    return UINT32_MAX;
  return frames_limit (
      store, limit / FRAME_BYTES,
      atomic_load_explicit (&tier->lowered, memory_order_relaxed),
      TIER_HEADROOM, cleaner);
}

static uint64_t
pool_frames_limit (struct store *store, bool cleaner)
{
  uint64_t limit
      = atomic_load_explicit (&store->pool_limit, memory_order_relaxed);
  uint64_t meta = store_meta_bytes (store);

  return frames_limit (
      store, limit > meta ? (limit - meta) / FRAME_BYTES : 0,
      atomic_load_explicit (&store->lowered, memory_order_relaxed),
      POOL_HEADROOM, cleaner);
}

/* Frames that a writer leaves to others: one that fills the pool faster than
 * they do.
 */
static uint64_t
kept_for_others (struct store *store, uint32_t owner)
{
  uint64_t limit;

  if (!atomic_load_explicit (&store->room.contended, memory_order_relaxed)
      || !room_is_heavy (store, owner_cgroup (owner)))
    return 0;
  limit = pool_frames_limit (store, false);
  return limit / OTHERS_SHARE < OTHERS_MOST ? limit / OTHERS_SHARE
                                            : OTHERS_MOST;
}

void
budget_note_peak (struct store *store)
{
  uint64_t used = store_memory_used (store);
  uint64_t peak = atomic_load_explicit (&store->peak, memory_order_relaxed);

  while (used > peak
         && !atomic_compare_exchange_weak (&store->peak, &peak, used))
    ;
}

void
segment_give_frame (struct store *store, uint32_t owner, uint32_t frame)
{
  struct tier *tier = &store->tiers[owner_tier (owner)];

  atomic_store (&store->arena.segments[frame], 0);
  if (atomic_load_explicit (&store->wipe, memory_order_relaxed))
    memset (arena_frame (&store->arena, frame), 0, FRAME_BYTES);
  arena_give (&store->arena, frame);
  cgroup_count_frame (store, owner_cgroup (owner), -1);
  atomic_fetch_sub (&tier->frames, 1);
  atomic_fetch_sub (&store->frames, 1);
  if (atomic_load_explicit (&tier->full, memory_order_relaxed))
    atomic_store (&tier->full, false);
  room_tell_waiters (store);
}

int64_t
budget_take (struct store *store, uint32_t owner, bool cleaner)
{
  struct tier *tier = &store->tiers[owner_tier (owner)];
  uint32_t frame;

  if (!count_frame (&tier->frames, tier_frames_limit (store, tier, cleaner)))
    return ROOM_TIER_FULL;
  if (count_frame (&store->frames,
                   pool_frames_limit (store, cleaner)
                       - (cleaner ? 0 : kept_for_others (store, owner)))) {
    frame = arena_take (&store->arena);
    if (frame != FRAME_NONE) {
      cgroup_count_frame (store, owner_cgroup (owner), 1);
      return frame;
    }
    atomic_fetch_sub (&store->frames, 1);
  }
  atomic_fetch_sub (&tier->frames, 1);
  return ROOM_POOL_FULL;
}

bool
budget_tier_has_room (struct store *store, unsigned number)
{
  struct tier *tier = &store->tiers[number];

  return atomic_load (&tier->frames) < tier_frames_limit (store, tier, false);
}

uint32_t
segment_take_frame (struct store *store, uint32_t owner)
{
  int64_t frame = budget_take (store, owner, true);

  return frame < 0 ? FRAME_NONE : (uint32_t) frame;
}
