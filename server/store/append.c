/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>
#include <time.h>

#include "store/append.h"

/* Frames that only the cleaner may take: it needs one to move objects to
 * before it can give any back.
 */
#define POOL_HEADROOM 2
#define TIER_HEADROOM 1

static uint32_t
seconds_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return (uint32_t) now.tv_sec;
}

uint64_t
store_meta_bytes (struct store *store)
{
  uint64_t bytes = atomic_load_explicit (&store->slots.meta_pages,
                                         memory_order_relaxed) *
                   PAGE_BYTES;

  /* The records of segments and frames, as far as they were ever touched. */
  bytes += (uint64_t) segments_high_water (&store->segments) *
           (sizeof (struct segment) + sizeof (uint32_t));
  bytes += (uint64_t) arena_high_water (&store->arena) * 2 * sizeof (uint32_t);
  return bytes;
}

uint64_t
store_memory_used (struct store *store)
{
  return (uint64_t) atomic_load_explicit (&store->frames,
                                          memory_order_relaxed) *
             FRAME_BYTES +
         store_meta_bytes (store);
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

static uint64_t
tier_frames_limit (const struct tier *tier, bool cleaner)
{
  uint64_t limit = atomic_load_explicit (&tier->limit, memory_order_relaxed);

  if (limit == 0)
    return UINT32_MAX;
  limit /= FRAME_BYTES;
  if (cleaner)
    return limit;
  return limit > TIER_HEADROOM ? limit - TIER_HEADROOM : 0;
}

static uint64_t
pool_frames_limit (struct store *store, bool cleaner)
{
  uint64_t limit =
      atomic_load_explicit (&store->pool_limit, memory_order_relaxed);
  uint64_t meta = store_meta_bytes (store);

  limit = limit > meta ? (limit - meta) / FRAME_BYTES : 0;
  if (cleaner)
    return limit;
  return limit > POOL_HEADROOM ? limit - POOL_HEADROOM : 0;
}

static void
note_peak (struct store *store)
{
  uint64_t used = store_memory_used (store);
  uint64_t peak = atomic_load_explicit (&store->peak, memory_order_relaxed);

  while (used > peak &&
         !atomic_compare_exchange_weak (&store->peak, &peak, used))
    ;
}

static void
give_frame (struct store *store, uint32_t owner, uint32_t frame)
{
  struct tier *tier = &store->tiers[owner_tier (owner)];

  atomic_store (&store->arena.segments[frame], 0);
  arena_give (&store->arena, frame);
  atomic_fetch_sub (&tier->frames, 1);
  atomic_fetch_sub (&store->frames, 1);
  if (atomic_load_explicit (&tier->full, memory_order_relaxed))
    atomic_store (&tier->full, false);
}

/* A new open segment of OWNER: its number, or enum room. */
static int64_t
segment_open (struct store *store, uint32_t owner, bool cleaner)
{
  struct tier *tier = &store->tiers[owner_tier (owner)];
  uint64_t control, open;
  uint32_t frame, number;
  struct segment *segment;

  if (!count_frame (&tier->frames, tier_frames_limit (tier, cleaner)))
    return ROOM_TIER_FULL;
  if (!count_frame (&store->frames, pool_frames_limit (store, cleaner)))
    goto no_frame;
  frame = arena_take (&store->arena);
  if (frame == FRAME_NONE)
    goto no_arena;
  number = segments_take (&store->segments);
  if (number == SEGMENT_NONE)
    goto no_segment;

  segment = store_segment (store, number);
  segment->codec = tier->kind;
  atomic_store (&segment->owner, owner);
  atomic_store (&segment->contents, 0);
  atomic_store (&segment->place, frame);
  atomic_store (&store->arena.segments[frame], number + 1);
  control = atomic_load (&segment->control);
  do {
    open = (control & CONTROL_FIELD) |
           ((uint64_t) SEGMENT_OPEN << CONTROL_STATE_SHIFT);
  } while (!atomic_compare_exchange_weak (&segment->control, &control, open));
  note_peak (store);
  return number;

no_segment:
  arena_give (&store->arena, frame);
no_arena:
  atomic_fetch_sub (&store->frames, 1);
no_frame:
  atomic_fetch_sub (&tier->frames, 1);
  return ROOM_POOL_FULL;
}

/* Under the owner's lock. */
static void
segment_seal (struct store *store, struct owner *owner, uint32_t number)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control = atomic_load (&segment->control), sealed;

  atomic_store_explicit (&segment->sealed, seconds_now (),
                         memory_order_relaxed);
  segment->older = owner->newest;
  segment->newer = 0;
  if (owner->newest)
    store_segment (store, owner->newest - 1)->newer = number + 1;
  else
    owner->oldest = number + 1;
  owner->newest = number + 1;
  segment->listed = true;
  do {
    sealed = (control & ~CONTROL_STATE) |
             ((uint64_t) SEGMENT_SEALED << CONTROL_STATE_SHIFT);
  } while (!atomic_compare_exchange_weak (&segment->control, &control, sealed));
}

static void
segment_unlist (struct store *store, uint32_t owner_number, uint32_t number)
{
  struct owner *owner = &store->owners[owner_number];
  struct segment *segment = store_segment (store, number);

  pthread_mutex_lock (&owner->lock);
  if (segment->listed) {
    if (segment->older)
      store_segment (store, segment->older - 1)->newer = segment->newer;
    else
      owner->oldest = segment->newer;
    if (segment->newer)
      store_segment (store, segment->newer - 1)->older = segment->older;
    else
      owner->newest = segment->older;
    segment->listed = false;
  }
  pthread_mutex_unlock (&owner->lock);
}

void
segment_try_free (struct store *store, uint32_t number)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control = atomic_load (&segment->control), place;
  uint32_t owner;

  do {
    if (!control_freeable (control))
      return;
  } while (!atomic_compare_exchange_weak (&segment->control, &control, 0));

  /* Ours alone now: whoever pins it from here on finds the slot moved on. */
  owner = atomic_load (&segment->owner);
  segment_unlist (store, owner, number);
  place = atomic_load (&segment->place);
  give_frame (store, owner, (uint32_t) place_number (place));
  segments_give (&store->segments, number);
}

void
segment_drop (struct store *store, uint32_t number, uint64_t control_units)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control =
      atomic_fetch_sub (&segment->control, control_units) - control_units;

  if (control_freeable (control))
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
  uint32_t number, length = slot_length (word);
  struct segment *segment;

  switch (slot_kind (word)) {
  case SLOT_EMPTY:
    return;

  case SLOT_OBJECT:
    number = (uint32_t) slot_segment (word);
    segment = store_segment (store, number);
    atomic_fetch_sub (&segment->contents,
                      contents_of (1, length == PAGE_BYTES, length));
    segment_drop (store, number,
                  (uint64_t) object_units (length) << CONTROL_LIVE_SHIFT);
    return;

  default:
    atomic_fetch_sub (&store->same[slot_cgroup (word)], 1);
  }
}

/* Replace OWNER's open segment of STREAM, found full as OPEN, by a new one. */
static int
advance (struct store *store, uint32_t owner_number, enum stream stream,
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
  atomic_store (&owner->open[stream], (uint32_t) number + 1);
  if (open)
    segment_seal (store, owner, open - 1);
  pthread_mutex_unlock (&owner->lock);

  if (open)
    segment_try_free (store, open - 1);
  atomic_fetch_add (&store->opened, 1);
  return 0;
}

struct reservation {
  uint32_t segment, offset; /* in units */
  uint32_t count, units;    /* objects that fit, and their space */
};

/* What was reserved in vain still has to be walkable: fill it with objects of
 * no slot.
 */
static void
write_fillers (struct store *store, const struct reservation *r,
               const struct append *list)
{
  struct segment *segment = store_segment (store, r->segment);
  unsigned char *at =
      arena_frame (&store->arena,
                   (uint32_t) place_number (atomic_load (&segment->place))) +
      (uint64_t) r->offset * OBJECT_UNIT;

  for (uint32_t i = 0; i < r->count; ++i) {
    struct object *filler = (struct object *) at;

    filler->slot = UINT32_MAX;
    filler->checksum = 0;
    filler->length = list[i].object->length;
    filler->reserved = 0;
    at += object_units (filler->length) * OBJECT_UNIT;
  }
}

/* Reserve space for the first objects of the list, with a hold. */
static int
reserve (struct store *store, uint32_t owner_number, enum stream stream,
         const struct append *list, unsigned count, bool cleaner,
         struct reservation *r)
{
  struct owner *owner = &store->owners[owner_number];

  for (;;) {
    uint32_t open = atomic_load (&owner->open[stream]);
    struct segment *segment;
    uint64_t control;
    int full;

    if (open) {
      r->segment = open - 1;
      segment = store_segment (store, r->segment);
      control = atomic_load (&segment->control);
      while (control_state (control) == SEGMENT_OPEN) {
        r->offset = control_tail (control);
        r->units = r->count = 0;
        while (r->count < count) {
          uint32_t units = object_units (list[r->count].object->length);

          if (r->offset + r->units + units > SEGMENT_UNITS)
            break;
          r->units += units;
          r->count++;
        }
        if (r->count == 0)
          break;
        if (!atomic_compare_exchange_weak (
                &segment->control, &control,
                control + ((uint64_t) r->units << CONTROL_TAIL_SHIFT) +
                    ((uint64_t) r->units << CONTROL_LIVE_SHIFT) +
                    CONTROL_HOLD))
          continue;
        if (atomic_load (&segment->owner) == owner_number)
          return 0;
        /* It was freed and opened by another owner between our two loads. */
        write_fillers (store, r, list);
        segment_drop (store, r->segment,
                      ((uint64_t) r->units << CONTROL_LIVE_SHIFT) +
                          CONTROL_HOLD);
        break;
      }
      if (atomic_load (&owner->open[stream]) != open)
        continue;
    }
    full = advance (store, owner_number, stream, open, cleaner);
    if (full < 0)
      return full;
  }
}

static void
copy_objects (struct store *store, const struct reservation *r,
              const struct append *list)
{
  struct segment *segment = store_segment (store, r->segment);
  unsigned char *at =
      arena_frame (&store->arena,
                   (uint32_t) place_number (atomic_load (&segment->place))) +
      (uint64_t) r->offset * OBJECT_UNIT;
  uint32_t raw = 0, bytes = 0;

  for (uint32_t i = 0; i < r->count; ++i) {
    uint32_t length = list[i].object->length;

    memcpy (at, list[i].object, OBJECT_HEADER + length);
    at += object_units (length) * OBJECT_UNIT;
    bytes += length;
    raw += length == PAGE_BYTES;
  }
  /* Counted before it is published: a release never comes first. */
  atomic_fetch_add (&segment->contents, contents_of (r->count, raw, bytes));
}

int
append_overwrite (struct store *store, uint32_t owner,
                  const struct append *list, unsigned count)
{
  struct reservation r;
  uint32_t offset;
  int full =
      reserve (store, owner, STREAM_FRESH, list, count, false, &r);

  if (full < 0)
    return full;
  copy_objects (store, &r, list);
  offset = r.offset;
  for (uint32_t i = 0; i < r.count; ++i) {
    uint32_t length = list[i].object->length;
    slot_word word = slot_object (r.segment, offset, length);

    store_release (store, atomic_exchange (
                              &store->slots.words[list[i].slot], word));
    offset += object_units (length);
  }
  segment_drop (store, r.segment, CONTROL_HOLD);
  return r.count;
}

int
append_replace (struct store *store, uint32_t owner, enum stream stream,
                struct append *list, unsigned count, bool cleaner)
{
  struct reservation r;
  uint32_t offset, lost_units = 0;
  uint64_t lost = 0;
  int full = reserve (store, owner, stream, list, count, cleaner, &r);

  if (full < 0)
    return full;
  copy_objects (store, &r, list);
  offset = r.offset;
  for (uint32_t i = 0; i < r.count; ++i) {
    uint32_t length = list[i].object->length;
    slot_word word = slot_object (r.segment, offset, length);

    /* The cleaner moves a page, it does not read it. */
    list[i].done =
        slots_replace (&store->slots, list[i].slot, list[i].expected,
                       list[i].pattern, word, 0);
    if (!list[i].done) {
      lost += contents_of (1, length == PAGE_BYTES, length);
      lost_units += object_units (length);
    }
    offset += object_units (length);
  }
  if (lost)
    atomic_fetch_sub (&store_segment (store, r.segment)->contents, lost);
  segment_drop (store, r.segment,
                CONTROL_HOLD + ((uint64_t) lost_units << CONTROL_LIVE_SHIFT));
  return r.count;
}

void
owners_seal (struct store *store)
{
  uint32_t owners = owner_index (atomic_load (&store->cgroups), 0, 0);

  for (uint32_t i = 0; i < owners; ++i)
    for (unsigned stream = 0; stream < STREAMS; ++stream) {
      struct owner *owner = &store->owners[i];
      uint32_t open;

      pthread_mutex_lock (&owner->lock);
      open = atomic_exchange (&owner->open[stream], 0);
      if (open)
        segment_seal (store, owner, open - 1);
      pthread_mutex_unlock (&owner->lock);
      if (open)
        segment_try_free (store, open - 1);
    }
}
