/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "common/message.h"
#include "store/internal.h"

struct found {
  uint32_t units;
  uint64_t contents;
};

static int
wrong (const char *what, uint64_t number)
{
  message (MESSAGE_ERROR, "check: %s %llu", what, (unsigned long long) number);
  errno = EUCLEAN;
  return -1;
}

/* Every object word points at an object of its slot. */
static int
check_slot (struct store *store, uint64_t slot, slot_word word,
            struct found *found, uint64_t *same)
{
  uint32_t number;
  const struct segment *segment;
  uint64_t control, place;

  if (slot_is_same (word)) {
    same[slot_cgroup (word)]++;
    return 0;
  }
  number = (uint32_t) slot_segment (word);
  if (number >= segments_high_water (&store->segments))
    return wrong ("a segment that never was, in slot", slot);
  segment = store_segment (store, number);
  control = atomic_load (&segment->control);
  if (control_state (control) == SEGMENT_FREE)
    return wrong ("a free segment, in slot", slot);
  if (slot_units (word) + word_units (word) * slot_pages (word)
      > control_tail (control))
    return wrong ("an object past the tail, in slot", slot);
  place = atomic_load (&segment->place);
  if (place_is_frame (place)) {
    const struct object *object
        = (const struct object *) (arena_frame (&store->arena,
                                                (uint32_t) place_number (place))
                                   + (uint64_t) slot_units (word)
                                         * OBJECT_UNIT);

    if (!word_is_of (word, slot, object))
      return wrong ("another slot's object, in slot", slot);
    if (!object_unharmed (object))
      return wrong ("an object with a wrong checksum, in slot", slot);
  }
  found[number].units += word_units (word);
  found[number].contents += word_contents (word);
  return 0;
}

static int
check_slots (struct store *store, struct found *found, uint64_t *same)
{
  for (uint64_t slot = 0; slot < store->slots.count; ++slot) {
    slot_word word;

    if (!slots_touched (&store->slots, slot)) {
      slot |= SLOTS_GROUP - 1;
      continue;
    }
    word = atomic_load (&store->slots.words[slot]);
    if (word != 0 && check_slot (store, slot, word, found, same) == -1)
      return -1;
  }
  return 0;
}

/* Live counts add up, and no frame has two owners. */
static int
check_segments (struct store *store, const struct found *found)
{
  uint32_t frames = 0;

  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i) {
    const struct segment *segment = store_segment (store, i);
    uint64_t control = atomic_load (&segment->control);
    uint64_t place = atomic_load (&segment->place);

    if (control_state (control) == SEGMENT_FREE)
      continue;
    if (control_live (control) != found[i].units)
      return wrong ("live units do not add up in segment", i);
    if (atomic_load (&segment->contents) != found[i].contents)
      return wrong ("contents do not add up in segment", i);
    if (control_pins (control) || control_holds (control)
        || control & (CONTROL_BUSY | CONTROL_LEFT))
      return wrong ("a pin, hold or claim was left on segment", i);
    if (place_is_frame (place)) {
      frames++;
      if (atomic_load (&store->arena.segments[place_number (place)]) != i + 1)
        return wrong ("a frame with another owner, of segment", i);
    }
  }
  if (frames != atomic_load (&store->frames))
    return wrong ("frames in use do not add up:", frames);
  return 0;
}

int
store_check (struct store *store)
{
  uint32_t cgroups = atomic_load (&store->cgroups);
  struct found *found
      = calloc (segments_high_water (&store->segments) + 1, sizeof *found);
  uint64_t *same = calloc (SLOT_CGROUPS, sizeof *same);
  int r = -1;

  /* The cleaner's thread is the one that works when nobody else does. */
  pthread_mutex_lock (&store->cleaner.round);
  if (found && same && check_slots (store, found, same) == 0
      && check_segments (store, found) == 0)
    r = 0;
  for (uint32_t i = 0; r == 0 && i < cgroups; ++i)
    if (atomic_load (&store->same[i]) != same[i])
      r = wrong ("same-filled pages do not add up in cgroup", i);
  pthread_mutex_unlock (&store->cleaner.round);
  free (found);
  free (same);
  return r;
}
