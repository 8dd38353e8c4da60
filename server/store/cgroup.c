/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "store/cleaner.h"
#include "store/region.h"
#include "store/room.h"

#define CAPS_BYTES (STORE_CAPS * sizeof (struct store_cap))
#define TABLE_BYTES (STORE_CGROUPS * sizeof (struct store_cgroup))

#define LOAD_SEGMENT 16
#define LOAD_MOST (UINT32_MAX / 2)

/* Of the pool, what may be in segments that were only begun before small
 * cgroups have to share them.
 */
#define BEGUN_SHARE 4

int
cgroup_create (struct store *store)
{
  store->cgroup = region_reserve (TABLE_BYTES);
  store->caps = region_reserve (CAPS_BYTES);
  return store->cgroup && store->caps ? 0 : -1;
}

void
cgroup_free (struct store *store)
{
  if (store->cgroup)
    region_free (store->cgroup, TABLE_BYTES);
  if (store->caps)
    region_free (store->caps, CAPS_BYTES);
}

/* What is left of a LOAD, second << 32 | amount, at second NOW. */
static uint32_t
decayed (uint64_t load, uint32_t now)
{
  uint32_t age = now - (uint32_t) (load >> 32);

  return age < 32 ? (uint32_t) load >> age : 0;
}

void
cgroup_note_load (struct store *store, uint32_t cgroup)
{
  _Atomic uint64_t *load = &store->cgroup[cgroup].load;
  uint64_t old = atomic_load_explicit (load, memory_order_relaxed), new;
  uint32_t now = store_seconds (), amount;

  do {
    amount = decayed (old, now);
    if (amount < LOAD_MOST)
      amount += LOAD_SEGMENT;
    new = ((uint64_t) now << 32) | amount;
  } while (!atomic_compare_exchange_weak (load, &old, new));
  room_watch_cap (store, cgroup);
}

uint32_t
cgroup_load (struct store *store, uint32_t cgroup, uint32_t now)
{
  return decayed (
      atomic_load_explicit (&store->cgroup[cgroup].load, memory_order_relaxed),
      now);
}

void
cgroup_count_frame (struct store *store, uint32_t cgroup, int by)
{
  struct store_cgroup *c = &store->cgroup[cgroup];
  uint32_t cap = atomic_load_explicit (&c->cap, memory_order_relaxed);

  atomic_fetch_add (&c->frames, (uint32_t) by);
  if (cap)
    atomic_fetch_add (&store->caps[cap].frames, (uint32_t) by);
}

/* Has OWNER a segment open for what is written? */
static bool
has_open (struct store *store, uint32_t owner)
{
  uint32_t open = atomic_load_explicit (
      &store->cgroup[owner_cgroup (owner)].open, memory_order_relaxed);

  return open & owner_bit (owner)
         && atomic_load_explicit (&store->owners[owner].open[STREAM_FRESH],
                                  memory_order_relaxed)
                != 0;
}

uint32_t
cgroup_home (struct store *store, uint32_t owner, unsigned stream)
{
  uint32_t cgroup = owner_cgroup (owner), heir;
  uint64_t pool;

  if (cgroup == 0)
    return owner;
  heir = atomic_load_explicit (&store->cgroup[cgroup].heir,
                               memory_order_relaxed);
  if (heir) {
    cgroup = heir - 1;
    owner = owner_index (cgroup, owner_tier (owner), owner_class (owner));
  }
  pool = atomic_load_explicit (&store->pool_limit, memory_order_relaxed);
  if (cgroup == 0 || stream != STREAM_FRESH
      || atomic_load_explicit (&store->begun, memory_order_relaxed)
             < pool / FRAME_BYTES / BEGUN_SHARE
      || has_open (store, owner))
    return owner;
  return owner_index (0, owner_tier (owner), owner_class (owner));
}

void
store_set_heir (struct store *store, uint32_t cgroup, uint32_t heir)
{
  struct store_cgroup *c = &store->cgroup[cgroup];

  atomic_store (&c->heir, heir == cgroup ? 0 : heir + 1);
  if (heir == cgroup)
    return;
  /* What is open fills no further: sealed, the cleaner can empty it. */
  store_seal_cgroup (store, cgroup);
}

void
store_seal_cgroup (struct store *store, uint32_t cgroup)
{
  uint32_t open = atomic_load (&store->cgroup[cgroup].open);

  for (unsigned i = 0; open; ++i, open >>= 1)
    if (open & 1)
      for (unsigned stream = 0; stream < STREAMS; ++stream)
        owner_seal (store, cgroup * STORE_TIERS * STORE_CLASSES + i, stream,
                    UINT32_MAX);
  cleaner_disturb (store);
}

bool
store_cgroup_is_empty (struct store *store, uint32_t cgroup)
{
  return atomic_load (&store->cgroup[cgroup].segments) == 0
         && atomic_load (&store->same[cgroup]) == 0;
}

uint64_t
store_cgroup_used (struct store *store, uint32_t cgroup)
{
  return (uint64_t) atomic_load (&store->cgroup[cgroup].frames) * FRAME_BYTES;
}

void
store_set_cgroup_cap (struct store *store, uint32_t cgroup, uint32_t cap)
{
  atomic_store (&store->cgroup[cgroup].cap, cap);
}

void
store_set_cap (struct store *store, uint32_t cap, uint64_t limit)
{
  uint32_t known = atomic_load (&store->caps_count);

  atomic_store (&store->caps[cap].limit, limit);
  if (limit == 0)
    atomic_store (&store->caps[cap].page_nanoseconds, 0);
  while (limit && known <= cap
         && !atomic_compare_exchange_weak (&store->caps_count, &known, cap + 1))
    ;
}

uint64_t
store_cap_used (struct store *store, uint32_t cap)
{
  int32_t frames = (int32_t) atomic_load (&store->caps[cap].frames);

  return frames > 0 ? (uint64_t) frames * FRAME_BYTES : 0;
}

uint32_t
store_caps_above (struct store *store, uint32_t after)
{
  uint32_t count = atomic_load (&store->caps_count);

  for (uint32_t cap = after + 1; cap < count; ++cap) {
    uint64_t limit = atomic_load (&store->caps[cap].limit);

    if (limit && store_cap_used (store, cap) > limit)
      return cap;
  }
  return 0;
}

uint64_t
store_cap_limit (struct store *store, uint32_t cap)
{
  return atomic_load (&store->caps[cap].limit);
}

void
store_count_caps (struct store *store)
{
  uint32_t cgroups = atomic_load (&store->cgroups);
  uint32_t count = atomic_load (&store->caps_count);

  uint32_t frames[STORE_CAPS];

  if (count == 0)
    return;
  memset (frames, 0, count * sizeof frames[0]);
  for (uint32_t i = 0; i < cgroups; ++i) {
    uint32_t cap = atomic_load (&store->cgroup[i].cap);

    frames[cap] += atomic_load (&store->cgroup[i].frames);
  }
  for (uint32_t cap = 1; cap < count; ++cap)
    atomic_store (&store->caps[cap].frames, frames[cap]);
}

void
store_cgroups_under (struct store *store, uint32_t cap,
                     struct store_cgroup_set *set)
{
  uint32_t cgroups = atomic_load (&store->cgroups);

  *set = (struct store_cgroup_set){ .bits = { 0 } };
  for (uint32_t i = 0; i < cgroups; ++i)
    if (atomic_load (&store->cgroup[i].cap) == cap)
      store_cgroup_set_add (set, i);
}

bool
store_cgroups_above_share (struct store *store, struct store_cgroup_set *set)
{
  uint32_t cgroups = atomic_load (&store->cgroups), present = 0, below = 0;
  uint64_t frames = 0;

  *set = (struct store_cgroup_set){ .bits = { 0 } };
  for (uint32_t i = 0; i < cgroups; ++i) {
    uint32_t mine = atomic_load (&store->cgroup[i].frames);

    frames += mine;
    present += mine > 0;
  }
  for (uint32_t i = 0; present && i < cgroups; ++i) {
    uint32_t mine = atomic_load (&store->cgroup[i].frames);

    if ((uint64_t) mine * present >= frames)
      store_cgroup_set_add (set, i);
    else if (mine > 0)
      below++;
  }
  return below > 0;
}
