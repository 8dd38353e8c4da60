/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cleaner.h"
#include "store/region.h"
#include "store/state.h"
#include "store/worker.h"

/* Frames kept ready: 1/32 of the pool, within these bounds (1 to 8 MiB). */
#define RESERVE_LEAST 4
#define RESERVE_MOST 32

static uint32_t
reserve_for (uint64_t pool_limit)
{
  uint64_t frames = pool_limit / FRAME_BYTES / 32;

  if (frames < RESERVE_LEAST)
    return RESERVE_LEAST;
  return frames > RESERVE_MOST ? RESERVE_MOST : (uint32_t) frames;
}

/* Frames that the arena must have addresses for: the limit may be raised, at
 * most to the machine's memory.
 */
static uint32_t
arena_capacity (uint64_t pool_limit)
{
  uint64_t memory
      = (uint64_t) sysconf (_SC_PHYS_PAGES) * (uint64_t) sysconf (_SC_PAGESIZE);

  if (memory < pool_limit)
    memory = pool_limit;
  return (uint32_t) (memory / FRAME_BYTES) + 4 * RESERVE_MOST;
}

static bool
tier_valid (const struct store_tier_options *tier)
{
  return tier->prio >= 1 && tier->prio <= STORE_TIERS
         && codec_level_valid (tier->codec.kind, tier->codec.level);
}

static bool
options_valid (const struct store_options *options)
{
  if (options->size == 0 || options->size % PAGE_BYTES
      || options->size / PAGE_BYTES >= UINT32_MAX || options->tiers_count == 0
      || options->tiers_count > STORE_TIERS)
    return false;
  for (unsigned i = 0; i < options->tiers_count; ++i)
    if (!tier_valid (&options->tiers[i])
        || (i > 0 && options->tiers[i].prio <= options->tiers[i - 1].prio))
      return false;
  return true;
}

int
store_create (const struct store_options *options, struct store **result)
{
  struct store *store;
  uint32_t frames = arena_capacity (options->pool_limit);
  int cgroups, state_code = 0;

  if (!options_valid (options)) {
    state_close (options->state);
    errno = EINVAL;
    return -1;
  }
  store = aligned_alloc (64, (sizeof *store + 63) / 64 * 64);
  if (!store) {
    state_close (options->state);
    errno = ENOMEM;
    return -1;
  }
  *store = (struct store){ .size = options->size, .state = options->state };
  atomic_init (&store->pool_limit, options->pool_limit);
  for (unsigned i = 0; i < options->tiers_count; ++i)
    store_add_tier (store, &options->tiers[i]);
  pthread_mutex_init (&store->workers_lock, NULL);
  damage_create (store);
  if (workers_create (store) == -1) {
    state_close (store->state);
    damage_free (store);
    free (store);
    return -1;
  }
  store->owners = region_reserve (STORE_OWNERS * sizeof *store->owners);
  store->same = region_reserve (SLOT_CGROUPS * sizeof *store->same);
  cgroups = cgroup_create (store);
  if (store->state && state_map (store->state, frames) == -1)
    state_code = errno;
  if (state_code != 0
      || slots_create (&store->slots, options->size / PAGE_BYTES,
                       &store->arena.keeper, store->state)
             == -1
      || arena_create (&store->arena,
                       store->state ? store->state->frames : frames,
                       reserve_for (options->pool_limit), store->state)
             == -1
      || segments_create (&store->segments, SEGMENTS_MOST, store->state) == -1
      || !store->owners || !store->same || cgroups == -1
      || cleaner_create (store) == -1) {
    store_free (store);
    errno = state_code ? state_code : ENOMEM;
    return -1;
  }
  *result = store;
  return 0;
}

static void *
keeper_run (void *data)
{
  struct store *store = data;

  while (!atomic_load (&store->stop)) {
    arena_keep (&store->arena);
    slots_keep (&store->slots);
    wake_wait (&store->arena.keeper, -1);
  }
  return NULL;
}

int
store_start (struct store *store)
{
  int error;

  arena_keep (&store->arena);
  slots_keep (&store->slots);
  if (worker_prepare (store) == -1)
    return -1;
  error = pthread_create (&store->keeper_thread, NULL, keeper_run, store);
  if (error == 0) {
    store->threads++;
    error = pthread_create (&store->cleaner_thread, NULL, cleaner_run, store);
  }
  if (error == 0) {
    store->threads++;
    return 0;
  }
  errno = error;
  return -1;
}

void
store_free (struct store *store)
{
  if (!store)
    return;
  atomic_store (&store->stop, true);
  wake_ring_slow (&store->arena.keeper);
  wake_ring_slow (&store->cleaner.wake);
  if (store->threads > 0)
    pthread_join (store->keeper_thread, NULL);
  if (store->threads > 1)
    pthread_join (store->cleaner_thread, NULL);
  pthread_key_delete (store->worker_key);
  workers_free (store);
  cleaner_free (store);
  damage_free (store);
  segments_free (&store->segments);
  arena_free (&store->arena);
  slots_free (&store->slots);
  region_free ((void *) store->same, SLOT_CGROUPS * sizeof *store->same);
  cgroup_free (store);
  region_free (store->owners, STORE_OWNERS * sizeof *store->owners);
  state_close (store->state);
  pthread_mutex_destroy (&store->workers_lock);
  free (store);
}

struct state *
store_state (const struct store *store)
{
  return store->state;
}

uint64_t
store_size (const struct store *store)
{
  return store->size;
}

void
store_set_backing (struct store *store, unsigned index, struct backing *backing)
{
  /* No extent is used, so nobody new comes to give one back. */
  while (!backing && atomic_load (&store->backings[index].leaving) > 0)
    sched_yield ();
  if (store->state)
    store->backings[index].mark = &store->state->header->backings[index].mark;
  /* Another one may have had the index before. */
  if (backing) {
    atomic_store (&store->backings[index].checksum_errors, 0);
    atomic_store (&store->backings[index].told_wrong, false);
  }
  atomic_store (&store->backings[index].backing, backing);
}

void
store_set_promote (struct store *store, unsigned index, bool promote)
{
  atomic_store (&store->backings[index].promote, promote);
}

void
store_set_patience (struct store *store, unsigned index, uint64_t nanoseconds)
{
  atomic_store (&store->backings[index].patience, nanoseconds);
}

int
store_add_tier (struct store *store, const struct store_tier_options *options)
{
  struct tier *tier = &store->tiers[(options->prio - 1) % STORE_TIERS];

  if (!tier_valid (options) || atomic_load (&tier->present)) {
    errno = EINVAL;
    return -1;
  }
  tier->kind = options->codec.kind;
  atomic_store (&tier->level, options->codec.level);
  atomic_store (&tier->limit, options->limit);
  atomic_store (&tier->present, true);
  return 0;
}

bool
store_has_tier (struct store *store, unsigned tier)
{
  return tier < STORE_TIERS && tier_present (store, tier);
}

uint64_t
store_pool_limit (const struct store *store)
{
  return atomic_load (&store->pool_limit);
}

void
store_set_pool_limit (struct store *store, uint64_t limit)
{
  /* With room to clean into, also when the limit is far exceeded now. */
  atomic_store (&store->lowered, atomic_load (&store->frames) + 2);
  atomic_store (&store->pool_limit, limit);
  atomic_store (&store->arena.reserve, reserve_for (limit));
  wake_ring (&store->arena.keeper);
  wake_ring (&store->cleaner.wake);
}

void
store_set_tier_limit (struct store *store, unsigned tier, uint64_t limit)
{
  atomic_store (&store->tiers[tier].lowered,
                atomic_load (&store->tiers[tier].frames) + 2);
  atomic_store (&store->tiers[tier].limit, limit);
  atomic_store (&store->tiers[tier].full, false);
}

void
store_set_tier_level (struct store *store, unsigned tier, int level)
{
  atomic_store (&store->tiers[tier].level, level);
}

void
store_set_tier_group (struct store *store, unsigned tier, unsigned pages)
{
  atomic_store (&store->tiers[tier].group, pages);
}

void
store_set_verify (struct store *store, bool verify)
{
  atomic_store (&store->verify, verify);
}

void
store_set_wipe (struct store *store, bool wipe)
{
  atomic_store (&store->wipe, wipe);
}

void
store_compact (struct store *store)
{
  while (store_compact_one (store))
    ;
}

bool
store_compact_one (struct store *store)
{
  return cleaner_clean_one (store, ANY_TIER, CLEANER_WORTH) > 0;
}

int
store_extents (struct store *store, uint64_t count, uint64_t offset,
               int (*callback) (void *opaque, uint64_t offset, uint64_t length,
                                enum store_extent kind),
               void *opaque)
{
  uint64_t slot = offset / PAGE_BYTES, end, start = slot;
  enum store_extent kind = STORE_HOLE;
  int r;

  if (offset > store->size || count > store->size - offset) {
    errno = EINVAL;
    return -1;
  }
  end = (offset + count + PAGE_BYTES - 1) / PAGE_BYTES;
  for (; slot < end; ++slot) {
    slot_word word = 0;
    enum store_extent here;
    bool touched = slots_touched (&store->slots, slot);

    if (touched)
      word = atomic_load (&store->slots.words[slot]);
    here = word == 0                                   ? STORE_HOLE
           : word == slot_same (0, slot_cgroup (word)) ? STORE_ZERO
                                                       : STORE_DATA;
    if (slot == start)
      kind = here;
    if (here != kind) {
      r = callback (opaque, start * PAGE_BYTES, (slot - start) * PAGE_BYTES,
                    kind);
      if (r != 0)
        return r;
      start = slot;
      kind = here;
    }
    if (!touched)
      slot |= SLOTS_GROUP - 1;
  }
  if (start < end)
    return callback (opaque, start * PAGE_BYTES, (end - start) * PAGE_BYTES,
                     kind);
  return 0;
}
