/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "store/append.h"

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
  uint32_t room;

  for (uint32_t i = 0; i < r->count; i = append_next (list, r->count, i)) {
    struct object *filler = (struct object *) at;

    filler->slot = OBJECT_FILLER;
    filler->checksum = 0;
    filler->size = list[i].object->size;
    room = object_units (filler) * OBJECT_UNIT;
    /* As in copy_objects. */
    memset (filler->bytes, 0, room - OBJECT_HEADER);
    at += room;
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
    full = owner_advance (store, owner_number, stream, open, cleaner);
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
