/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "store/append.h"
#include "store/internal.h"
#include "store/mover.h"
#include "store/pick.h"

/* A list's old end may be claimed: by the mover, as long as a backing that
 * hangs keeps what it is given, and by others.  Look no further than this.
 */
#define LOOK_AHEAD (MOVER_DEPTH + 8)

/* Look again so often when somebody else was quicker to claim. */
#define CLAIM_TRIES 8

static bool
stream_fits (const struct pick *pick, enum stream stream)
{
  return (!pick->packed || stream == STREAM_OUTGOING)
         && (!pick->unpacked || stream != STREAM_OUTGOING)
         && (!pick->untried || stream != STREAM_TRIED);
}

uint32_t
pick_bound (struct store *store)
{
  uint32_t bound = (uint32_t) atomic_load (&store->opened) + 1;

  return bound ? bound : 1;
}

/* The numbers come around; so far back nothing is left but what lies still. */
static bool
within_bound (const struct pick *pick, const struct segment *segment)
{
  return pick->bound == 0
         || (int32_t) (atomic_load_explicit (&segment->opened,
                                             memory_order_relaxed)
                       - pick->bound)
                < 0;
}

static bool
fits (const struct pick *pick, uint32_t owner)
{
  uint32_t cgroup = owner_cgroup (owner);

  return (pick->tier == PICK_ANY || pick->tier == owner_tier (owner))
         && (pick->cgroup == PICK_ANY || pick->cgroup == cgroup)
         && (!pick->cgroups || store_cgroup_set_has (pick->cgroups, cgroup))
         && pick->classes & 1u << owner_class (owner);
}

struct coldest {
  uint32_t number;
  uint64_t time; /* twice the seconds */
};

/* The coldest of one list that might be claimed. */
static void
look_at_list (struct store *store, struct owner *owner, enum stream stream,
              const struct pick *pick, struct coldest *coldest)
{
  uint32_t next;
  unsigned looked = 0;

  pthread_mutex_lock (&owner->lock);
  for (next = owner->list[stream].oldest; next && looked < LOOK_AHEAD;
       next = store_segment (store, next - 1)->newer, ++looked) {
    struct segment *segment = store_segment (store, next - 1);
    uint64_t control = atomic_load (&segment->control);
    uint64_t time = atomic_load_explicit (&segment->time, memory_order_relaxed);

    atomic_fetch_add_explicit (&store->looked, 1, memory_order_relaxed);
    if (!control_claimable (control) || control_holds (control) != 0)
      continue;
    if (time > pick->before)
      break;
    if (stream != STREAM_OUTGOING && !within_bound (pick, segment))
      continue;
    /* What is packed already goes first.  Of the same second, what was just
     * sorted out and stays in memory comes after what was not looked at yet.
     */
    time = stream == STREAM_OUTGOING ? 0 : 2 * time + (stream != STREAM_FRESH);
    if (coldest->number == SEGMENT_NONE || time < coldest->time)
      *coldest = (struct coldest){ next - 1, time };
    break;
  }
  pthread_mutex_unlock (&owner->lock);
}

/* Do something with each owner that fits, of one tier, and is in the words
 * that WORD chooses of its cgroup.
 */
static void
each_owner (struct store *store, const struct pick *pick, unsigned tier,
            uint32_t (*word) (const struct store_cgroup *cgroup),
            void (*act) (struct store *store, uint32_t owner,
                         const struct pick *pick, void *data),
            void *data)
{
  uint32_t first = 0, end = atomic_load (&store->cgroups);

  if (pick->cgroup != PICK_ANY) {
    first = pick->cgroup;
    end = first < end ? first + 1 : first;
  }
  for (uint32_t cgroup = first; cgroup < end; ++cgroup) {
    uint32_t classes = word (&store->cgroup[cgroup]) >> tier * STORE_CLASSES
                       & pick->classes & ((1u << STORE_CLASSES) - 1);

    if (!classes
        || (pick->cgroups && !store_cgroup_set_has (pick->cgroups, cgroup)))
      continue;
    for (unsigned class = 0; class < STORE_CLASSES; ++class)
      if (classes & 1u << class)
        act (store, owner_index (cgroup, tier, class), pick, data);
  }
}

static uint32_t
listed (const struct store_cgroup *cgroup)
{
  return atomic_load_explicit (&cgroup->listed, memory_order_relaxed);
}

static uint32_t
open_ones (const struct store_cgroup *cgroup)
{
  return atomic_load_explicit (&cgroup->open, memory_order_relaxed);
}

static void
look_at_owner (struct store *store, uint32_t owner, const struct pick *pick,
               void *data)
{
  for (unsigned stream = 0; stream < STREAMS; ++stream)
    if (stream_fits (pick, stream))
      look_at_list (store, &store->owners[owner], stream, pick, data);
}

/* Does a segment that was claimed still fit?  Between the look and the claim it
 * may have been freed and be somebody else's by now, even one that must never
 * be written back.
 */
static bool
still_fits (struct store *store, const struct pick *pick, uint32_t number)
{
  const struct segment *segment = store_segment (store, number);

  return fits (pick, atomic_load (&segment->owner))
         && stream_fits (pick, segment->stream)
         && (segment->stream == STREAM_OUTGOING || within_bound (pick, segment))
         && atomic_load_explicit (&segment->time, memory_order_relaxed)
                <= pick->before;
}

uint32_t
pick_coldest (struct store *store, const struct pick *pick)
{
  for (unsigned i = STORE_TIERS; i-- > 0;) {
    if (pick->tier != PICK_ANY && pick->tier != i)
      continue;
    /* Somebody else may claim what was found: look again, not for ever. */
    for (unsigned tries = 0; tries < CLAIM_TRIES; ++tries) {
      struct coldest coldest = { SEGMENT_NONE, 0 };

      each_owner (store, pick, i, listed, look_at_owner, &coldest);
      if (coldest.number == SEGMENT_NONE)
        break;
      if (!segment_claim_in_memory (store, coldest.number))
        continue;
      if (still_fits (store, pick, coldest.number))
        return coldest.number;
      segment_drop (store, coldest.number, CONTROL_BUSY);
    }
  }
  return SEGMENT_NONE;
}

uint64_t
pick_pages (struct store *store, const struct pick *pick)
{
  uint32_t high = segments_high_water (&store->segments);
  uint64_t pages = 0;

  for (uint32_t i = 0; i < high; ++i) {
    const struct segment *segment = store_segment (store, i);

    if (control_state (atomic_load (&segment->control)) != SEGMENT_FREE
        && place_is_frame (atomic_load (&segment->place))
        && fits (pick, atomic_load (&segment->owner))
        && atomic_load (&segment->time) <= pick->before)
      pages += contents_objects (atomic_load (&segment->contents));
  }
  return pages;
}

static void
seal_owner (struct store *store, uint32_t owner, const struct pick *pick,
            void *data)
{
  unsigned *sealed = data;

  for (unsigned stream = 0; stream < STREAMS; ++stream)
    if (stream_fits (pick, stream)
        && owner_seal (store, owner, stream, pick->before))
      ++*sealed;
}

unsigned
pick_seal (struct store *store, const struct pick *pick)
{
  unsigned sealed = 0;

  for (unsigned i = 0; i < STORE_TIERS; ++i)
    if (pick->tier == PICK_ANY || pick->tier == i)
      each_owner (store, pick, i, open_ones, seal_owner, &sealed);
  return sealed;
}

/* Objects do not lie across segments: the most that is lost at the end of one
 * of OWNER into which others are merged, in units.
 */
static uint32_t
end_most (struct store *store, const struct owner *owner)
{
  unsigned tier = owner_tier ((uint32_t) (owner - store->owners));

  return atomic_load (&store->tiers[tier].grouped) ? GROUP_UNITS_MOST
                                                   : PAGE_UNITS_MOST;
}

/* The owner of a segment on BACKING of which at least DEAD_UNITS are dead. NULL
 * if it is none.
 */
static struct owner *
owner_of_sparse (struct store *store, uint32_t number, unsigned backing,
                 uint32_t dead_units, uint64_t *control)
{
  struct segment *segment = store_segment (store, number);
  uint64_t place = atomic_load (&segment->place);

  *control = atomic_load (&segment->control);
  if (place_is_frame (place) || place_backing (place) != backing
      || !control_claimable (*control)
      || SEGMENT_UNITS - control_live (*control) < dead_units)
    return NULL;
  return &store->owners[atomic_load (&segment->owner)];
}

bool
pick_mergeable (struct store *store, unsigned backing, uint32_t dead_bytes)
{
  uint32_t high = segments_high_water (&store->segments);
  uint32_t dead_units = dead_bytes / OBJECT_UNIT;
  struct owner *owner;
  uint64_t control;
  bool gains = false;

  for (uint32_t i = 0; i < high; ++i) {
    owner = owner_of_sparse (store, i, backing, dead_units, &control);
    if (owner)
      owner->mergeable_units = 0;
  }
  for (uint32_t i = 0; i < high; ++i) {
    owner = owner_of_sparse (store, i, backing, dead_units, &control);
    if (owner) {
      uint32_t dead = SEGMENT_UNITS - control_live (control);
      uint32_t lost = end_most (store, owner);

      owner->mergeable_units += dead > lost ? dead - lost : 0;
      gains |= owner->mergeable_units >= SEGMENT_UNITS;
    }
  }
  return gains;
}

uint32_t
pick_on_backing (struct store *store, unsigned backing, uint32_t dead_bytes,
                 uint32_t *next)
{
  uint32_t high = segments_high_water (&store->segments);

  while (*next < high) {
    uint32_t number = (*next)++;
    uint64_t control, place;
    struct owner *owner = owner_of_sparse (store, number, backing,
                                           dead_bytes / OBJECT_UNIT, &control);

    if (!owner || (dead_bytes > 0 && owner->mergeable_units < SEGMENT_UNITS)
        || !segment_claim (store, number))
      continue;
    place = atomic_load (&store_segment (store, number)->place);
    if (!place_is_frame (place) && place_backing (place) == backing)
      return number;
    segment_drop (store, number, CONTROL_BUSY);
  }
  return SEGMENT_NONE;
}
