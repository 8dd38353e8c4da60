/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "store/worker.h"

static void
count_workers (struct store *store, struct store_statistics *s)
{
  pthread_mutex_lock (&store->workers_lock);
  for (struct worker *w = store->workers; w; w = w->next) {
    struct worker_counters *c = &w->counters;

    s->reads += atomic_load_explicit (&c->reads, memory_order_relaxed);
    s->writes += atomic_load_explicit (&c->writes, memory_order_relaxed);
    s->trims += atomic_load_explicit (&c->trims, memory_order_relaxed);
    s->read_errors
        += atomic_load_explicit (&c->read_errors, memory_order_relaxed);
    s->writes_raw
        += atomic_load_explicit (&c->writes_raw, memory_order_relaxed);
    s->write_errors
        += atomic_load_explicit (&c->write_errors, memory_order_relaxed);
  }
  pthread_mutex_unlock (&store->workers_lock);
}

static void
count_segments (struct store *store, struct store_statistics *s)
{
  uint32_t high = segments_high_water (&store->segments);

  for (uint32_t i = 0; i < high; ++i) {
    struct segment *segment = store_segment (store, i);
    uint64_t contents, place;
    struct store_tier_statistics *tier;

    if (control_state (atomic_load (&segment->control)) == SEGMENT_FREE)
      continue;
    contents = atomic_load (&segment->contents);
    place = atomic_load (&segment->place);
    if (!place_is_frame (place)) {
      struct store_backing_statistics *backing
          = &s->backings[place_backing (place)];

      backing->pages += contents_objects (contents);
      backing->compr_bytes += contents_bytes (contents);
      backing->segments++;
      continue;
    }
    tier = &s->tiers[owner_tier (atomic_load (&segment->owner))];
    tier->pages += contents_objects (contents);
    tier->pages_raw += contents_raw (contents);
    tier->compr_bytes += contents_bytes (contents);
    tier->segments++;
  }
}

void
store_get_statistics (struct store *store, struct store_statistics *s)
{
  uint32_t cgroups = atomic_load (&store->cgroups);

  memset (s, 0, sizeof *s);
  count_workers (store, s);
  count_segments (store, s);
  for (uint32_t i = 0; i < cgroups; ++i)
    s->pages_same += atomic_load (&store->same[i]);
  s->pages_stored = s->pages_same;
  for (unsigned i = 0; i < STORE_TIERS; ++i) {
    struct tier *tier = &store->tiers[i];

    s->tiers[i].limit_bytes = atomic_load (&tier->limit);
    s->tiers[i].mem_used_bytes
        = (uint64_t) atomic_load (&tier->frames) * FRAME_BYTES;
    /* It may just be being added. */
    if (tier_present (store, i))
      s->tiers[i].codec
          = (struct codec){ tier->kind, atomic_load (&tier->level) };
    s->pages_stored += s->tiers[i].pages;
    s->compr_bytes += s->tiers[i].compr_bytes;
  }
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    s->backings[i].checksum_errors
        = atomic_load (&store->backings[i].checksum_errors);
    s->pages_stored += s->backings[i].pages;
    s->compr_bytes += s->backings[i].compr_bytes;
  }
  s->mem_used_bytes = store_memory_used (store);
  s->mem_used_peak_bytes = atomic_load (&store->peak);
  if (s->mem_used_peak_bytes < s->mem_used_bytes)
    s->mem_used_peak_bytes = s->mem_used_bytes;
  s->mem_limit_bytes = atomic_load (&store->pool_limit);
  s->meta_bytes = store_meta_bytes (store);
  s->reserve_bytes = arena_ready_bytes (&store->arena);
  s->pages_mended = atomic_load (&store->damage.pages_mended);
  s->pages_damaged = atomic_load (&store->damage.pages_lost);
  s->segments_cleaned = atomic_load (&store->cleaner.segments_cleaned);
  s->bytes_copied = atomic_load (&store->cleaner.bytes_copied);
  s->cleaner_nanoseconds = atomic_load (&store->cleaner.nanoseconds);
}

void
store_get_cgroup_statistics (struct store *store,
                             struct store_cgroup_statistics *cgroups,
                             uint32_t count)
{
  uint32_t high = segments_high_water (&store->segments);

  memset (cgroups, 0, count * sizeof *cgroups);
  for (uint32_t i = 0; i < high; ++i) {
    struct segment *segment = store_segment (store, i);
    uint64_t contents = atomic_load (&segment->contents);
    uint32_t cgroup = owner_cgroup (atomic_load (&segment->owner));

    if (control_state (atomic_load (&segment->control)) == SEGMENT_FREE
        || cgroup >= count)
      continue;
    if (place_is_frame (atomic_load (&segment->place)))
      cgroups[cgroup].pages_memory += contents_objects (contents);
    else
      cgroups[cgroup].pages_backing += contents_objects (contents);
    cgroups[cgroup].compr_bytes += contents_bytes (contents);
  }
  for (uint32_t i = 0; i < count && i < atomic_load (&store->cgroups); ++i)
    cgroups[i].pages_same = atomic_load (&store->same[i]);
}
