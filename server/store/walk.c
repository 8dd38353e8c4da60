/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "store/walk.h"

struct walk
walk_start (struct store *store, uint32_t number)
{
  struct segment *segment = store_segment (store, number);
  uint32_t frame = (uint32_t) place_number (atomic_load (&segment->place));

  return (struct walk){
    .store = store,
    .segment = number,
    .stamp = segment->stamp,
    .base = arena_frame (&store->arena, frame),
    .tail = control_tail (atomic_load (&segment->control)),
  };
}

struct append_target
walk_target (struct store *store, struct segment *segment, enum stream stream)
{
  return (struct append_target){
    .owner = cgroup_home (store, atomic_load (&segment->owner), stream),
    .stream = stream,
    .time = atomic_load_explicit (&segment->time, memory_order_relaxed),
    .cleaner = true,
    .keep_referenced = true,
  };
}

struct append_target
walk_target_staying (struct store *store, struct segment *segment)
{
  return walk_target (store, segment,
                      segment->stream == STREAM_TRIED ? STREAM_TRIED
                                                      : STREAM_SURVIVORS);
}

struct append_target
walk_target_young (struct store *store, struct segment *segment)
{
  struct append_target target = walk_target (store, segment, STREAM_SURVIVORS);

  /* Whose they are is not changed by it, however small the cgroup is. */
  target.stream = STREAM_FRESH;
  target.time = store_seconds ();
  target.keep_referenced = false;
  return target;
}

/* The live pages of OBJECT, which is OFFSET units into the segment. */
static unsigned
live_pages (const struct walk *walk, const struct object *object,
            uint32_t offset, struct append *live)
{
  slot_word here = word_of (object, walk->segment, offset);
  unsigned members = object_members (object), count = 0;
  uint64_t slot;

  for (; members; members &= members - 1) {
    slot_word word;

    slot = group_first (object->slot) + (unsigned) __builtin_ctz (members);
    /* What a backing answered may name members beyond the device. */
    if (slot >= walk->store->slots.count)
      break;
    word = atomic_load (&walk->store->slots.words[slot]);
    if (slot_same_object (word, here))
      live[count++] = (struct append){ .object = object,
                                       .slot = (uint32_t) slot,
                                       .stamp = walk->stamp,
                                       .expected = word };
  }
  return count;
}

unsigned
walk_next (struct walk *walk, struct append live[WALK_OBJECTS])
{
  const struct slots *slots = &walk->store->slots;
  const struct object *objects[WALK_OBJECTS];
  uint32_t offsets[WALK_OBJECTS];
  unsigned count = 0;

  while (count == 0 && walk->offset < walk->tail) {
    unsigned seen = 0, pages = 0;

    while (walk->offset < walk->tail) {
      const struct object *object
          = (const struct object *) (walk->base
                                     + (uint64_t) walk->offset * OBJECT_UNIT);

      /* It does not lead on to the next one. */
      if (!object_header_valid (object, walk->tail - walk->offset)) {
        walk->tail = walk->offset;
        break;
      }
      if (object->slot < slots->count) {
        pages += object_pages (object);
        if (pages > WALK_OBJECTS)
          break;
        objects[seen] = object;
        offsets[seen++] = walk->offset;
        __builtin_prefetch (&slots->words[object->slot], 1);
      }
      walk->offset += object_units (object);
    }
    for (unsigned i = 0; i < seen; ++i)
      count += live_pages (walk, objects[i], offsets[i], live + count);
  }
  return count;
}

int
walk_move (struct walk *walk, const struct append_target *target,
           struct append *list, unsigned count)
{
  struct store *store = walk->store;
  struct segment *segment = store_segment (store, walk->segment);
  uint32_t units = 0;
  uint64_t moved = 0;
  int n = 0;

  for (unsigned done = 0; done < count; done += n) {
    n = append_replace (store, target, list + done, count - done);
    if (n < 0)
      break;
    for (unsigned i = done; i < done + n; ++i)
      if (list[i].done) {
        moved += word_contents (list[i].expected);
        units += word_units (list[i].expected);
      }
  }
  if (moved)
    atomic_fetch_sub (&segment->contents, moved);
  /* Busy still: this never frees it. */
  atomic_fetch_sub (&segment->control, (uint64_t) units << CONTROL_LIVE_SHIFT);
  return n < 0 ? -1 : 0;
}
