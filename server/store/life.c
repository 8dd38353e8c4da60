/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <time.h>

#include "store/life.h"

uint32_t
store_seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return (uint32_t) now.tv_sec;
}

/* A new open segment of OWNER: its number, or enum room. */
static int64_t
segment_open (struct store *store, uint32_t owner, bool cleaner)
{
  struct tier *tier = &store->tiers[owner_tier (owner)];
  int64_t frame = budget_take (store, owner, cleaner);
  uint64_t control, open;
  uint32_t number;
  struct segment *segment;

  if (frame < 0)
    return frame;
  number = segments_take (&store->segments);
  if (number == SEGMENT_NONE) {
    segment_give_frame (store, owner, (uint32_t) frame);
    return ROOM_POOL_FULL;
  }

  segment = store_segment (store, number);
  atomic_fetch_add (&store->cgroup[owner_cgroup (owner)].segments, 1);
  segment->codec = tier->kind;
  segment->stamp = segments_stamp (&store->segments);
  atomic_store (&segment->owner, owner);
  atomic_store (&segment->contents, 0);
  atomic_store (&segment->time, 0);
  atomic_store (&segment->opened, (uint32_t) atomic_load (&store->opened) + 1);
  atomic_store (&segment->referenced, 0);
  atomic_store (&segment->place, frame);
  atomic_store (&store->arena.segments[frame], number + 1);
  control = atomic_load (&segment->control);
  do {
    open = (control & CONTROL_PINS)
           | ((uint64_t) SEGMENT_OPEN << CONTROL_STATE_SHIFT);
  } while (!atomic_compare_exchange_weak (&segment->control, &control, open));
  budget_note_peak (store);
  return number;
}

void
segment_list (struct store *store, uint32_t owner_number, uint32_t number,
              enum stream stream)
{
  struct owner *owner = &store->owners[owner_number];
  struct segment *segment = store_segment (store, number);

  segment->stream = stream;
  segment->older = owner->list[stream].newest;
  segment->newer = 0;
  if (segment->older)
    store_segment (store, segment->older - 1)->newer = number + 1;
  else
    owner->list[stream].oldest = number + 1;
  owner->list[stream].newest = number + 1;
  segment->listed = true;
  atomic_fetch_or (&store->cgroup[owner_cgroup (owner_number)].listed,
                   owner_bit (owner_number));
}

static bool
owner_lists_empty (const struct owner *owner)
{
  for (unsigned stream = 0; stream < STREAMS; ++stream)
    if (owner->list[stream].oldest)
      return false;
  return true;
}

void
segment_unlist (struct store *store, uint32_t owner_number, uint32_t number)
{
  struct owner *owner = &store->owners[owner_number];
  struct segment *segment = store_segment (store, number);

  pthread_mutex_lock (&owner->lock);
  if (segment->listed) {
    if (segment->older)
      store_segment (store, segment->older - 1)->newer = segment->newer;
    else
      owner->list[segment->stream].oldest = segment->newer;
    if (segment->newer)
      store_segment (store, segment->newer - 1)->older = segment->older;
    else
      owner->list[segment->stream].newest = segment->older;
    segment->listed = false;
    if (owner_lists_empty (owner))
      atomic_fetch_and (&store->cgroup[owner_cgroup (owner_number)].listed,
                        ~owner_bit (owner_number));
  }
  pthread_mutex_unlock (&owner->lock);
}

/* Under the owner's lock. */
static void
segment_seal (struct store *store, uint32_t owner, uint32_t number,
              enum stream stream)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control = atomic_load (&segment->control), sealed;

  segment_list (store, owner, number, stream);
  do {
    sealed = (control & ~CONTROL_STATE)
             | ((uint64_t) SEGMENT_SEALED << CONTROL_STATE_SHIFT);
  } while (!atomic_compare_exchange_weak (&segment->control, &control, sealed));
}

static void
give_place (struct store *store, uint32_t owner, uint64_t place)
{
  struct store_backing *backing;

  if (place_is_frame (place)) {
    segment_give_frame (store, owner, (uint32_t) place_number (place));
    return;
  }
  backing = &store->backings[place_backing (place)];
  atomic_fetch_add (&backing->leaving, 1);
  backing_extent_free (atomic_load (&backing->backing), place_number (place));
  atomic_fetch_sub (&backing->leaving, 1);
}

void
segment_try_free (struct store *store, uint32_t number)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control = atomic_load (&segment->control);
  uint32_t owner;

  do {
    if (!control_freeable (control))
      return;
  } while (!atomic_compare_exchange_weak (&segment->control, &control, 0));

  /* Ours alone now: whoever pins it from here on finds the slot moved on. */
  owner = atomic_load (&segment->owner);
  segment_unlist (store, owner, number);
  give_place (store, owner, atomic_load (&segment->place));
  atomic_fetch_sub (&store->cgroup[owner_cgroup (owner)].segments, 1);
  segments_give (&store->segments, number);
}

static bool
all_have_left (uint64_t control)
{
  if (control & CONTROL_LEFT_FRAME)
    return control_pins (control) == 0;
  return control & CONTROL_LEFT_EXTENT && control_pins (control) == 0
         && control_holds (control) == 0;
}

/* Invariant 5: whoever turns the flag into busy gives the old place back. */
static void
segment_try_leave (struct store *store, uint32_t number)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control = atomic_load (&segment->control);

  do {
    if (!all_have_left (control))
      return;
  } while (!atomic_compare_exchange_weak (
      &segment->control, &control, (control & ~CONTROL_LEFT) | CONTROL_BUSY));
  give_place (store, atomic_load (&segment->owner), segment->left);
  segment_drop (store, number, CONTROL_BUSY);
}

bool
segment_claim (struct store *store, uint32_t number)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control = atomic_load (&segment->control);

  do {
    if (!control_claimable (control))
      return false;
  } while (!atomic_compare_exchange_weak (&segment->control, &control,
                                          control | CONTROL_BUSY));
  /* Writers that still have to publish hold a segment that was just sealed. */
  if (!place_is_frame (atomic_load (&segment->place))
      || control_holds (control) == 0)
    return true;
  segment_drop (store, number, CONTROL_BUSY);
  return false;
}

bool
segment_claim_in_memory (struct store *store, uint32_t number)
{
  if (!segment_claim (store, number))
    return false;
  if (place_is_frame (atomic_load (&store_segment (store, number)->place)))
    return true;
  segment_drop (store, number, CONTROL_BUSY);
  return false;
}

void
segment_move (struct store *store, uint32_t number, uint64_t place)
{
  struct segment *segment = store_segment (store, number);
  uint32_t owner_number = atomic_load (&segment->owner);
  struct owner *owner = &store->owners[owner_number];

  uint64_t old = atomic_load (&segment->place);

  segment->left = old;
  if (place_is_frame (place)) {
    atomic_store (&store->arena.segments[place_number (place)], number + 1);
    pthread_mutex_lock (&owner->lock);
    segment_list (store, owner_number, number, STREAM_SURVIVORS);
    pthread_mutex_unlock (&owner->lock);
  }
  else
    segment_unlist (store, owner_number, number);
  atomic_store (&segment->place, place);
  /* Busy ends and left begins in one step. */
  atomic_fetch_add (
      &segment->control,
      (place_is_frame (old) ? CONTROL_LEFT_FRAME : CONTROL_LEFT_EXTENT)
          - CONTROL_BUSY);
  segment_try_leave (store, number);
}

void
segment_drop (struct store *store, uint32_t number, uint64_t control_units)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control
      = atomic_fetch_sub (&segment->control, control_units) - control_units;

  if (control & CONTROL_LEFT)
    segment_try_leave (store, number);
  else if (control_freeable (control))
    segment_try_free (store, number);
}

void
segment_unpin (struct store *store, uint32_t number)
{
  segment_drop (store, number, CONTROL_PIN);
}

void
store_release (struct store *store, slot_word word)
{
  uint32_t number;
  struct segment *segment;

  switch (slot_kind (word)) {
  case SLOT_EMPTY:
    return;

  case SLOT_OBJECT:
    number = (uint32_t) slot_segment (word);
    segment = store_segment (store, number);
    if (word & SLOT_REFERENCED)
      atomic_fetch_sub_explicit (&segment->referenced, 1, memory_order_relaxed);
    atomic_fetch_sub (&segment->contents, word_contents (word));
    segment_drop (store, number,
                  (uint64_t) word_units (word) << CONTROL_LIVE_SHIFT);
    return;

  default:
    atomic_fetch_sub (&store->same[slot_cgroup (word)], 1);
  }
}

/* Make NUMBER (+ 1, or 0 for none) the open segment.  Under the owner's lock.
 */
static void
set_open (struct store *store, uint32_t owner_number, enum stream stream,
          uint32_t number)
{
  struct owner *owner = &store->owners[owner_number];
  struct store_cgroup *cgroup = &store->cgroup[owner_cgroup (owner_number)];
  bool any = number != 0;

  if (!number != !atomic_load (&owner->open[stream]))
    atomic_fetch_add (&store->begun, number ? 1 : UINT32_MAX);
  atomic_store (&owner->open[stream], number);
  for (unsigned i = 0; i < STREAMS && !any; ++i)
    any = atomic_load (&owner->open[i]) != 0;
  if (any)
    atomic_fetch_or (&cgroup->open, owner_bit (owner_number));
  else
    atomic_fetch_and (&cgroup->open, ~owner_bit (owner_number));
}

int
owner_advance (struct store *store, uint32_t owner_number, enum stream stream,
               uint32_t open, bool cleaner)
{
  struct owner *owner = &store->owners[owner_number];
  int64_t number;

  pthread_mutex_lock (&owner->lock);
  if (atomic_load (&owner->open[stream]) != open) {
    pthread_mutex_unlock (&owner->lock);
    return 0;
  }
  number = segment_open (store, owner_number, cleaner);
  if (number < 0) {
    pthread_mutex_unlock (&owner->lock);
    return (int) number;
  }
  /* For who finds it open after the process was killed. */
  store_segment (store, (uint32_t) number)->stream = (uint8_t) stream;
  set_open (store, owner_number, stream, (uint32_t) number + 1);
  if (open)
    segment_seal (store, owner_number, open - 1, stream);
  pthread_mutex_unlock (&owner->lock);

  if (open)
    segment_try_free (store, open - 1);
  atomic_fetch_add (&store->opened, 1);
  if (!cleaner)
    cgroup_note_load (store, owner_cgroup (owner_number));
  return 0;
}

bool
owner_seal (struct store *store, uint32_t owner_number, enum stream stream,
            uint32_t before)
{
  struct owner *owner = &store->owners[owner_number];
  struct segment *segment;
  uint32_t open;

  /* Most owners never were: do not touch their memory. */
  if (atomic_load_explicit (&owner->open[stream], memory_order_relaxed) == 0)
    return false;
  pthread_mutex_lock (&owner->lock);
  open = atomic_load (&owner->open[stream]);
  segment = open ? store_segment (store, open - 1) : NULL;
  if (open
      && (control_tail (atomic_load (&segment->control)) == 0
          || atomic_load (&segment->time) > before))
    open = 0;
  if (open) {
    set_open (store, owner_number, stream, 0);
    segment_seal (store, owner_number, open - 1, stream);
  }
  pthread_mutex_unlock (&owner->lock);
  if (open)
    segment_try_free (store, open - 1);
  return open != 0;
}
