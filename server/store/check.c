/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/message.h"
#include "store/checking.h"

uint64_t
check_milliseconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

void
check_pause (void)
{
  nanosleep (&(struct timespec){ 0, 1000000 }, NULL);
}

int
check_wrong (struct store_check *check, const char *what, uint64_t number)
{
  snprintf (check->wrong, sizeof check->wrong, "%s %llu", what,
            (unsigned long long) number);
  message (MESSAGE_ERROR, "check: %s", check->wrong);
  errno = EUCLEAN;
  return -1;
}

bool
check_cancelled (const struct store_check *check)
{
  if (!check->cancel || !atomic_load (check->cancel))
    return false;
  errno = ECANCELED;
  return true;
}

void
check_pin (struct store *store, uint32_t number)
{
  atomic_fetch_add (&store_segment (store, number)->control, CONTROL_PIN);
}

const struct object *
check_object_at (struct store *store, uint64_t place, uint32_t units)
{
  return (const struct object *) (arena_frame (&store->arena,
                                               (uint32_t) place_number (place))
                                  + (uint64_t) units * OBJECT_UNIT);
}

/* ---- every slot word points at a live object of its slot ---- */

/* What is wrong with an object word whose segment is pinned, or NULL. */
static const char *
judge_object (struct store *store, uint64_t slot, slot_word word)
{
  const struct segment *segment
      = store_segment (store, (uint32_t) slot_segment (word));
  uint64_t control = atomic_load (&segment->control);
  uint64_t place = atomic_load (&segment->place);
  const struct object *object;

  if (control_state (control) == SEGMENT_FREE)
    return "a free segment, in slot";
  if (slot_units (word) + word_units (word) * slot_pages (word)
      > control_tail (control))
    return "an object past the tail, in slot";
  if (control_live (control) < word_units (word))
    return "an object that is not counted as live, in slot";
  if (!place_is_frame (place))
    return NULL;
  if (place_number (place) >= arena_high_water (&store->arena))
    return "a frame that never was, in slot";
  object = check_object_at (store, place, slot_units (word));
  if (!word_is_of (word, slot, object))
    return "another slot's object, in slot";
  if (!object_unharmed (object))
    return "an object with a wrong checksum, in slot";
  return NULL;
}

/* A wide pattern is two words: whoever changes them may be between the two. */
static int
check_same (struct checking *c, uint64_t slot, slot_word word)
{
  uint64_t began = check_milliseconds (), pattern;

  while (!slots_read_pattern (&c->store->slots, slot, word, &pattern)) {
    if (atomic_load (&c->store->slots.words[slot]) != word)
      return 1;
    if (check_milliseconds () - began >= c->check->patience * UINT64_C (1000))
      return check_wrong (c->check, "a pattern that is not its word's, in slot",
                          slot);
    check_pause ();
  }
  c->check->pages_same++;
  return 0;
}

/* 1: it has changed, look again. */
static int
check_word (struct checking *c, uint64_t slot, slot_word word)
{
  struct store *store = c->store;
  uint32_t number = (uint32_t) slot_segment (word);
  const char *what;

  if (slot_is_same (word))
    return check_same (c, slot, word);
  if (slot_segment (word) >= segments_high_water (&store->segments))
    return slot_same_object (atomic_load (&store->slots.words[slot]), word)
               ? check_wrong (c->check, "a segment that never was, in slot",
                              slot)
               : 1;
  check_pin (store, number);
  if (!slot_same_object (atomic_load (&store->slots.words[slot]), word)) {
    segment_unpin (store, number);
    return 1;
  }
  what = judge_object (store, slot, word);
  /* What it is judged by holds as long as the word stands. */
  if (what
      && !slot_same_object (atomic_load (&store->slots.words[slot]), word)) {
    segment_unpin (store, number);
    return 1;
  }
  segment_unpin (store, number);
  if (what)
    return check_wrong (c->check, what, slot);
  c->check->pages++;
  c->check->pages_lost += slot_is_lost (word);
  if (number < c->segments) {
    c->found[number].units += word_units (word);
    c->found[number].contents += word_contents (word);
  }
  return 0;
}

static int
check_slots (struct checking *c)
{
  const struct slots *slots = &c->store->slots;

  for (uint64_t slot = 0; slot < slots->count; ++slot) {
    slot_word word;
    int r = 1;

    if (slot % SLOTS_GROUP == 0) {
      atomic_store (&c->check->looked, slot);
      if (check_cancelled (c->check))
        return -1;
    }
    if (!slots_touched (slots, slot)) {
      slot |= SLOTS_GROUP - 1;
      continue;
    }
    while (r == 1 && (word = atomic_load (&slots->words[slot])) != 0)
      r = check_word (c, slot, word);
    if (r == -1)
      return -1;
  }
  atomic_store (&c->check->looked, slots->count);
  return 0;
}

/* ---- no extent has two owners ---- */

static int
compare_places (const void *a, const void *b)
{
  uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

  return x < y ? -1 : x > y;
}

/* Do two segments that are not free have this place now? */
static bool
has_two_owners (struct checking *c, uint64_t place)
{
  unsigned owners = 0;
  uint32_t first = 0;

  for (uint32_t i = 0; i < c->segments && owners < 2; ++i) {
    struct segment *segment = store_segment (c->store, i);

    if (atomic_load (&segment->place) != place)
      continue;
    check_pin (c->store, i);
    if (control_state (atomic_load (&segment->control)) != SEGMENT_FREE
        && atomic_load (&segment->place) == place) {
      if (owners++ == 0) {
        first = i;
        continue; /* held, so that it stays there */
      }
    }
    segment_unpin (c->store, i);
  }
  if (owners > 0)
    segment_unpin (c->store, first);
  return owners > 1;
}

static int
check_places (struct checking *c)
{
  struct store *store = c->store;

  for (uint32_t i = 0; i < c->segments; ++i) {
    struct segment *segment = store_segment (store, i);
    uint64_t place;
    bool used = true;

    if (control_state (atomic_load (&segment->control)) == SEGMENT_FREE
        || place_is_frame (atomic_load (&segment->place)))
      continue;
    check_pin (store, i);
    place = atomic_load (&segment->place);
    if (control_state (atomic_load (&segment->control)) != SEGMENT_FREE
        && !place_is_frame (place)) {
      struct backing *backing
          = place_backing (place) < STORE_BACKINGS
                ? atomic_load (&store->backings[place_backing (place)].backing)
                : NULL;

      used = backing && backing_extent_is_used (backing, place_number (place));
      c->places[c->places_count++] = place;
    }
    segment_unpin (store, i);
    if (!used)
      return check_wrong (c->check, "an extent that is not in use, of segment",
                          i);
  }
  qsort (c->places, c->places_count, sizeof *c->places, compare_places);
  for (uint32_t i = 1; i < c->places_count; ++i)
    if (c->places[i] == c->places[i - 1] && has_two_owners (c, c->places[i]))
      return check_wrong (c->check, "two segments have extent",
                          place_number (c->places[i]));
  return 0;
}

int
store_check_live (struct store *store, struct store_check *check)
{
  uint32_t segments = segments_high_water (&store->segments);
  struct checking c = {
    .store = store,
    .check = check,
    .segments = segments,
    .found = calloc (segments + 1, sizeof *c.found),
    .backed = calloc (segments + 1, sizeof *c.backed),
    .places = calloc (segments + 1, sizeof *c.places),
  };
  int r = -1;

  atomic_store (&check->looked, 0);
  atomic_store (&check->slots, store->slots.count);
  check->pages = check->pages_same = check->pages_lost = 0;
  check->segments = check->unsettled = 0;
  check->wrong[0] = '\0';
  for (uint32_t i = 0; c.found && i < segments; ++i) {
    const struct segment *segment = store_segment (store, i);

    c.found[i].control = atomic_load (&segment->control) & CONTROL_COUNTS;
    c.found[i].before = atomic_load (&segment->contents);
  }
  if (c.found && c.backed && c.places && check_slots (&c) == 0
      && check_segments (&c) == 0 && check_places (&c) == 0)
    r = 0;
  free (c.found);
  free (c.backed);
  free (c.places);
  return r;
}

/* ---- at rest ---- */

/* The segments of each cgroup, and those of them in memory. */
static int
check_cgroups (struct store *store, struct store_check *check)
{
  uint32_t cgroups = atomic_load (&store->cgroups);
  struct {
    uint32_t segments, frames;
  } *found = calloc (SLOT_CGROUPS, sizeof *found);
  int r = 0;

  if (!found)
    return -1;
  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i) {
    const struct segment *segment = store_segment (store, i);
    uint32_t cgroup = owner_cgroup (atomic_load (&segment->owner));

    if (control_state (atomic_load (&segment->control)) == SEGMENT_FREE)
      continue;
    found[cgroup].segments++;
    found[cgroup].frames += place_is_frame (atomic_load (&segment->place));
  }
  for (uint32_t i = 0; r == 0 && i < cgroups; ++i)
    if (atomic_load (&store->cgroup[i].segments) != found[i].segments
        || atomic_load (&store->cgroup[i].frames) != found[i].frames)
      r = check_wrong (check, "segments do not add up in cgroup", i);
  free (found);
  return r;
}

/* What changes all the time otherwise. */
static int
check_rest (struct store *store, struct store_check *check)
{
  uint32_t frames = 0;

  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i) {
    const struct segment *segment = store_segment (store, i);
    uint64_t control = atomic_load (&segment->control);

    if (control_state (control) == SEGMENT_FREE)
      continue;
    if (control_pins (control) || control_holds (control)
        || control & (CONTROL_BUSY | CONTROL_LEFT))
      return check_wrong (check, "a pin, hold or claim was left on segment", i);
    frames += place_is_frame (atomic_load (&segment->place));
  }
  if (frames != atomic_load (&store->frames))
    return check_wrong (check, "frames in use do not add up:", frames);
  return 0;
}

static int
check_same_pages (struct store *store, struct store_check *check)
{
  uint64_t *same = calloc (SLOT_CGROUPS, sizeof *same);
  uint32_t cgroups = atomic_load (&store->cgroups);
  int r = 0;

  if (!same)
    return -1;
  for (uint64_t slot = 0; slot < store->slots.count; ++slot) {
    slot_word word;

    if (!slots_touched (&store->slots, slot)) {
      slot |= SLOTS_GROUP - 1;
      continue;
    }
    word = atomic_load (&store->slots.words[slot]);
    if (slot_is_same (word))
      same[slot_cgroup (word)]++;
  }
  for (uint32_t i = 0; r == 0 && i < cgroups; ++i)
    if (atomic_load (&store->same[i]) != same[i])
      r = check_wrong (check, "same-filled pages do not add up in cgroup", i);
  free (same);
  return r;
}

int
store_check (struct store *store)
{
  struct store_check check = { .patience = 0 };
  int r;

  /* The cleaner's thread is the one that works when nobody else does. */
  pthread_mutex_lock (&store->cleaner.round);
  damage_look (store, true);
  r = store_check_live (store, &check);
  if (r == 0)
    r = check_rest (store, &check);
  if (r == 0)
    r = check_cgroups (store, &check);
  if (r == 0)
    r = check_same_pages (store, &check);
  pthread_mutex_unlock (&store->cleaner.round);
  return r;
}
