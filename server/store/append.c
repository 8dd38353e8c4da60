/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>
#include <time.h>

#include "store/append.h"
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

uint32_t
store_seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return (uint32_t) now.tv_sec;
}

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

static void
note_peak (struct store *store)
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

/* Count one more frame for OWNER and take it: the frame, or enum room. */
static int64_t
take_frame (struct store *store, uint32_t owner, bool cleaner)
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

uint32_t
segment_take_frame (struct store *store, uint32_t owner)
{
  int64_t frame = take_frame (store, owner, true);

  return frame < 0 ? FRAME_NONE : (uint32_t) frame;
}

/* A new open segment of OWNER: its number, or enum room. */
static int64_t
segment_open (struct store *store, uint32_t owner, bool cleaner)
{
  struct tier *tier = &store->tiers[owner_tier (owner)];
  int64_t frame = take_frame (store, owner, cleaner);
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
  atomic_store (&segment->referenced, 0);
  atomic_store (&segment->place, frame);
  atomic_store (&store->arena.segments[frame], number + 1);
  control = atomic_load (&segment->control);
  do {
    open = (control & CONTROL_PINS)
           | ((uint64_t) SEGMENT_OPEN << CONTROL_STATE_SHIFT);
  } while (!atomic_compare_exchange_weak (&segment->control, &control, open));
  note_peak (store);
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

static void
list_remove (struct store *store, uint32_t owner_number, uint32_t number)
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
  list_remove (store, owner, number);
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
    list_remove (store, owner_number, number);
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

struct reservation {
  uint32_t segment, offset; /* in units */
  uint32_t count;           /* pages whose objects fit */
  uint32_t units, live;     /* their space, and what of it is theirs */
};

/* What was reserved in vain still has to be walkable: fill it with objects of
 * no slot.
 */
static void
write_fillers (struct store *store, const struct reservation *r,
               const struct append *list)
{
  struct segment *segment = store_segment (store, r->segment);
  unsigned char *at
      = arena_frame (&store->arena,
                     (uint32_t) place_number (atomic_load (&segment->place)))
        + (uint64_t) r->offset * OBJECT_UNIT;

  for (uint32_t i = 0; i < r->count; i = append_next (list, r->count, i)) {
    struct object *filler = (struct object *) at;

    filler->slot = OBJECT_FILLER;
    filler->checksum = 0;
    filler->size = list[i].object->size;
    at += object_units (filler) * OBJECT_UNIT;
  }
}

/* Reserve space for the objects of the list's first pages, with a hold. */
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
        r->units = r->live = r->count = 0;
        while (r->count < count) {
          const struct object *object = list[r->count].object;
          uint32_t pages = append_next (list, count, r->count) - r->count;
          uint32_t units = object_units (object);

          if (r->offset + r->units + units > SEGMENT_UNITS)
            break;
          r->units += units;
          r->live += units / object_pages (object) * pages;
          r->count += pages;
        }
        if (r->count == 0)
          break;
        if (!atomic_compare_exchange_weak (
                &segment->control, &control,
                control + ((uint64_t) r->units << CONTROL_TAIL_SHIFT)
                    + ((uint64_t) r->live << CONTROL_LIVE_SHIFT)
                    + CONTROL_HOLD))
          continue;
        if (atomic_load (&segment->owner) == owner_number)
          return 0;
        /* It was freed and opened by another owner between our two loads. */
        write_fillers (store, r, list);
        segment_drop (store, r->segment,
                      ((uint64_t) r->live << CONTROL_LIVE_SHIFT)
                          + CONTROL_HOLD);
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
  unsigned char *at
      = arena_frame (&store->arena,
                     (uint32_t) place_number (atomic_load (&segment->place)))
        + (uint64_t) r->offset * OBJECT_UNIT;
  uint64_t contents = 0;

  for (uint32_t i = 0, next; i < r->count; i = next) {
    const struct object *object = list[i].object;
    uint32_t used = OBJECT_HEADER + object_length (object);
    uint32_t room = object_units (object) * OBJECT_UNIT;

    next = append_next (list, r->count, i);
    memcpy (at, object, used);
    /* From one stamp to the other: damage done before stays visible. */
    ((struct object *) at)->checksum ^= list[i].stamp ^ segment->stamp;
    /* What an earlier segment left there is nobody's business on a backing. */
    memset (at + used, 0, room - used);
    at += room;
    contents += word_contents (word_of (object, 0, 0)) * (next - i);
  }
  /* Counted before it is published: a release never comes first. */
  atomic_fetch_add (&segment->contents, contents);
}

/* Its objects were written until TIME at least. */
static void
raise_time (struct segment *segment, uint32_t time)
{
  uint32_t now = atomic_load_explicit (&segment->time, memory_order_relaxed);

  while (now < time
         && !atomic_compare_exchange_weak (&segment->time, &now, time))
    ;
}

int
append_overwrite (struct store *store, uint32_t owner,
                  const struct append *list, unsigned count)
{
  struct reservation r;
  uint32_t offset;
  int full = reserve (store, owner, STREAM_FRESH, list, count, false, &r);

  if (full < 0)
    return full;
  copy_objects (store, &r, list);
  raise_time (store_segment (store, r.segment), store_seconds ());
  offset = r.offset;
  for (uint32_t i = 0, next; i < r.count; i = next) {
    const struct object *object = list[i].object;
    slot_word word = word_of (object, r.segment, offset);

    for (next = append_next (list, r.count, i); i < next; ++i)
      store_release (store,
                     atomic_exchange (&store->slots.words[list[i].slot], word));
    offset += object_units (object);
  }
  segment_drop (store, r.segment, CONTROL_HOLD);
  return r.count;
}

int
append_replace (struct store *store, const struct append_target *target,
                struct append *list, unsigned count)
{
  struct reservation r;
  struct segment *segment;
  uint32_t offset, next, lost_units = 0, referenced = 0;
  uint64_t lost = 0;
  int full = reserve (store, target->owner, target->stream, list, count,
                      target->cleaner, &r);

  if (full < 0)
    return full;
  segment = store_segment (store, r.segment);
  copy_objects (store, &r, list);
  raise_time (segment, target->time ? target->time : store_seconds ());
  offset = r.offset;
  for (uint32_t i = 0; i < r.count; i = next) {
    const struct object *object = list[i].object;

    for (next = append_next (list, r.count, i); i < next; ++i) {
      slot_word word = word_of (object, r.segment, offset);

      if (target->keep_referenced)
        word |= list[i].expected & SLOT_REFERENCED;
      list[i].done = slots_replace (&store->slots, list[i].slot,
                                    list[i].expected, list[i].pattern, word, 0);
      if (!list[i].done) {
        lost += word_contents (word);
        lost_units += word_units (word);
      }
      else if (word & SLOT_REFERENCED)
        referenced++;
    }
    offset += object_units (object);
  }
  if (referenced)
    atomic_fetch_add_explicit (&segment->referenced, (int32_t) referenced,
                               memory_order_relaxed);
  if (lost)
    atomic_fetch_sub (&segment->contents, lost);
  segment_drop (store, r.segment,
                CONTROL_HOLD + ((uint64_t) lost_units << CONTROL_LIVE_SHIFT));
  return r.count;
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
