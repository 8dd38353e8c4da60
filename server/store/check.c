/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/message.h"
#include "store/append.h"
#include "store/check.h"

/* Segments on backings that are held during one walk over the slots. */
#define HELD_MOST 1024

/* Milliseconds after which a segment in memory that changes is let be. */
#define CHANGES_MOST 500

/* What of the control word says that nothing came or went. */
#define CONTROL_COUNTS                                                         \
  (CONTROL_STATE | CONTROL_UNITS << CONTROL_LIVE_SHIFT                         \
   | CONTROL_UNITS << CONTROL_TAIL_SHIFT | CONTROL_HOLDS * CONTROL_HOLD)

/* Of a segment: as it was, and what was found to point at it. */
struct found {
  uint64_t control, before;
  uint64_t contents; /* found */
  uint32_t units;    /* found */
  bool counting;
};

struct checking {
  struct store *store;
  struct store_check *check;
  struct found *found;
  uint32_t segments; /* how many of them */
  uint32_t *backed;  /* segments on backings that did not add up at once */
  uint32_t backed_count;
  uint64_t *places; /* of all segments on backings */
  uint32_t places_count;
};

static uint64_t
milliseconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static void
pause_a_moment (void)
{
  nanosleep (&(struct timespec){ 0, 1000000 }, NULL);
}

static int
wrong (struct store_check *check, const char *what, uint64_t number)
{
  snprintf (check->wrong, sizeof check->wrong, "%s %llu", what,
            (unsigned long long) number);
  message (MESSAGE_ERROR, "check: %s", check->wrong);
  errno = EUCLEAN;
  return -1;
}

static bool
cancelled (const struct store_check *check)
{
  if (!check->cancel || !atomic_load (check->cancel))
    return false;
  errno = ECANCELED;
  return true;
}

static void
pin (struct store *store, uint32_t number)
{
  atomic_fetch_add (&store_segment (store, number)->control, CONTROL_PIN);
}

static const struct object *
object_at (struct store *store, uint64_t place, uint32_t units)
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
  object = object_at (store, place, slot_units (word));
  if (!word_is_of (word, slot, object))
    return "another slot's object, in slot";
  if (!object_unharmed (object, segment->stamp))
    return "an object with a wrong checksum, in slot";
  return NULL;
}

/* A wide pattern is two words: whoever changes them may be between the two. */
static int
check_same (struct checking *c, uint64_t slot, slot_word word)
{
  uint64_t began = milliseconds (), pattern;

  while (!slots_read_pattern (&c->store->slots, slot, word, &pattern)) {
    if (atomic_load (&c->store->slots.words[slot]) != word)
      return 1;
    if (milliseconds () - began >= c->check->patience * UINT64_C (1000))
      return wrong (c->check, "a pattern that is not its word's, in slot",
                    slot);
    pause_a_moment ();
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
               ? wrong (c->check, "a segment that never was, in slot", slot)
               : 1;
  pin (store, number);
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
    return wrong (c->check, what, slot);
  c->check->pages++;
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
      if (cancelled (c->check))
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

/* ---- live counts add up ---- */

static bool
adds_up (const struct found *f, uint64_t control, uint64_t contents)
{
  return control_live (control) == f->units && contents == f->contents;
}

/* The same for a segment on a backing: did it not change while it was counted?
 * A hold of a sealed one is a reader of the extent.
 */
static bool
backed_adds_up (const struct found *f, const struct segment *segment,
                uint64_t control)
{
  return ((control ^ f->control) & CONTROL_COUNTS
          & ~(CONTROL_HOLDS * CONTROL_HOLD))
             == 0
         && atomic_load (&segment->contents) == f->before
         && adds_up (f, control, f->before);
}

/* Count the pages of OBJECT that are live: those whose word is HERE. */
static void
count_pages (struct store *store, const struct object *object, slot_word here,
             struct found *f)
{
  if (object->slot == OBJECT_FILLER)
    return;
  for (unsigned members = object_members (object); members;
       members &= members - 1) {
    uint64_t slot
        = group_first (object->slot) + (unsigned) __builtin_ctz (members);

    if (slot < store->slots.count
        && slot_same_object (atomic_load (&store->slots.words[slot]), here)) {
      f->units += word_units (here);
      f->contents += word_contents (here);
    }
  }
}

/* Count a segment again by the headers of its objects in memory.  False: they
 * do not lead to its tail.
 */
static bool
count_by_headers (struct store *store, uint32_t number, uint64_t place,
                  uint32_t tail, struct found *f)
{
  uint32_t offset = 0;

  f->units = 0;
  f->contents = 0;
  while (offset < tail) {
    const struct object *object = object_at (store, place, offset);

    if (!object_header_valid (object, tail - offset))
      return false;
    count_pages (store, object, word_of (object, number, offset), f);
    offset += object_units (object);
  }
  return true;
}

enum look {
  LOOK_RIGHT,
  LOOK_GONE,   /* the segment was freed */
  LOOK_BACKED, /* it is on a backing */
  LOOK_WRONG_FRAME,
  LOOK_WRONG_HEADERS,
  LOOK_DIFFERS, /* or was at work on meanwhile */
  LOOK_HELD,    /* objects are being written to it */
};

/* Look at a pinned segment.  *COUNTS and *CONTENTS: what was counted with. */
static enum look
look (struct checking *c, uint32_t number, uint64_t *counts, uint64_t *contents)
{
  struct store *store = c->store;
  struct segment *segment = store_segment (store, number);
  struct found *f = &c->found[number];
  uint64_t control = atomic_load (&segment->control);
  uint64_t place = atomic_load (&segment->place);

  *counts = control & CONTROL_COUNTS;
  *contents = atomic_load (&segment->contents);
  if (control_state (control) == SEGMENT_FREE)
    return LOOK_GONE;
  if (!place_is_frame (place))
    return LOOK_BACKED;
  /* Both change together only while nobody has it pinned. */
  if (atomic_load (&store->arena.segments[place_number (place)]) != number + 1
      && atomic_load (&segment->place) == place)
    return LOOK_WRONG_FRAME;
  if (control_holds (control))
    return LOOK_HELD;
  if (!count_by_headers (store, number, place, control_tail (control), f))
    return LOOK_WRONG_HEADERS;
  if ((atomic_load (&segment->control) & CONTROL_COUNTS) == *counts
      && atomic_load (&segment->contents) == *contents
      && adds_up (f, control, *contents))
    return LOOK_RIGHT;
  return LOOK_DIFFERS;
}

/* A segment in memory: until it adds up, or it is sure that it does not. */
static int
settle (struct checking *c, uint32_t number)
{
  struct store_check *check = c->check;
  uint64_t began = milliseconds (), same_since = began, now;
  uint64_t counts, contents, last_counts = 0, last_contents = 0;

  for (;;) {
    enum look l;

    pin (c->store, number);
    l = look (c, number, &counts, &contents);
    segment_unpin (c->store, number);
    now = milliseconds ();
    if (counts != last_counts || contents != last_contents) {
      same_since = now;
      last_counts = counts;
      last_contents = contents;
    }
    switch (l) {
    case LOOK_RIGHT:
      check->segments++;
      return 0;
    case LOOK_GONE:
      return 0;
    case LOOK_BACKED:
      c->backed[c->backed_count++] = number;
      return 0;
    case LOOK_WRONG_FRAME:
      return wrong (check, "a frame with another owner, of segment", number);
    case LOOK_WRONG_HEADERS:
      return wrong (check, "headers do not lead to the tail of segment",
                    number);
    case LOOK_HELD:
      if (now - same_since >= check->patience * UINT64_C (1000))
        return wrong (check, "a hold was left on segment", number);
      break;
    case LOOK_DIFFERS:
      if (now - same_since >= check->patience * UINT64_C (1000))
        return wrong (check, "live counts do not add up in segment", number);
      break;
    }
    if (now - began >= CHANGES_MOST && now - same_since < CHANGES_MOST / 2) {
      check->unsettled++;
      return 0;
    }
    if (cancelled (check))
      return -1;
    pause_a_moment ();
  }
}

/* Count, over the slots, those segments that are COUNTING. */
static int
count_by_slots (struct checking *c)
{
  const struct slots *slots = &c->store->slots;

  for (uint64_t slot = 0; slot < slots->count; ++slot) {
    slot_word word;

    if (slot % SLOTS_GROUP == 0 && cancelled (c->check))
      return -1;
    if (!slots_touched (slots, slot)) {
      slot |= SLOTS_GROUP - 1;
      continue;
    }
    word = atomic_load (&slots->words[slot]);
    if (slot_is_object (word) && slot_segment (word) < c->segments) {
      struct found *f = &c->found[slot_segment (word)];

      if (f->counting) {
        f->units += word_units (word);
        f->contents += word_contents (word);
      }
    }
  }
  return 0;
}

/* One walk for COUNT segments on backings, which are held meanwhile.  Those
 * that did not add up are kept at the start of LIST; returns how many, or -1.
 */
static int
settle_some (struct checking *c, uint32_t *list, uint32_t count,
             bool *any_changed)
{
  uint32_t left = 0;
  int r;

  for (uint32_t i = 0; i < count; ++i) {
    struct segment *segment = store_segment (c->store, list[i]);
    struct found *f = &c->found[list[i]];
    uint64_t control, contents;

    pin (c->store, list[i]);
    control = atomic_load (&segment->control) & CONTROL_COUNTS;
    contents = atomic_load (&segment->contents);
    if (control != f->control || contents != f->before)
      *any_changed = true;
    *f = (struct found){ .control = control,
                         .before = contents,
                         .counting = true };
  }
  r = count_by_slots (c);
  for (uint32_t i = 0; i < count; ++i) {
    const struct segment *segment = store_segment (c->store, list[i]);
    struct found *f = &c->found[list[i]];
    uint64_t control = atomic_load (&segment->control);

    f->counting = false;
    if (control_state (control) == SEGMENT_FREE)
      ;
    else if (backed_adds_up (f, segment, control))
      c->check->segments++;
    else
      list[left++] = list[i];
    segment_unpin (c->store, list[i]);
  }
  return r == -1 ? -1 : (int) left;
}

static int
settle_backed (struct checking *c)
{
  uint64_t patience = c->check->patience * UINT64_C (1000);

  for (uint32_t next = 0; next < c->backed_count;) {
    uint32_t *list = c->backed + next, count = c->backed_count - next;
    uint64_t same_since = milliseconds (), began = same_since;
    int left;

    if (count > HELD_MOST)
      count = HELD_MOST;
    next += count;
    for (left = (int) count; left > 0;) {
      bool changed = false;

      left = settle_some (c, list, (uint32_t) left, &changed);
      if (left <= 0)
        break;
      if (changed)
        same_since = milliseconds ();
      if (milliseconds () - same_since >= patience)
        return wrong (c->check, "live counts do not add up in segment",
                      list[0]);
      /* Never for ever, where something changes each time. */
      if (milliseconds () - began >= 2 * patience) {
        c->check->unsettled += (unsigned) left;
        break;
      }
      pause_a_moment ();
    }
    if (left == -1)
      return -1;
  }
  return 0;
}

static int
check_segments (struct checking *c)
{
  for (uint32_t i = 0; i < c->segments; ++i) {
    struct segment *segment = store_segment (c->store, i);
    struct found *f = &c->found[i];
    uint64_t control = atomic_load (&segment->control);

    if (control_state (control) == SEGMENT_FREE)
      continue;
    /* In memory its frame and its headers are looked at, too. */
    if (place_is_frame (atomic_load (&segment->place))) {
      if (settle (c, i) == -1)
        return -1;
      continue;
    }
    if (backed_adds_up (f, segment, control))
      c->check->segments++;
    else
      c->backed[c->backed_count++] = i;
  }
  return settle_backed (c);
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
    pin (c->store, i);
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
    pin (store, i);
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
      return wrong (c->check, "an extent that is not in use, of segment", i);
  }
  qsort (c->places, c->places_count, sizeof *c->places, compare_places);
  for (uint32_t i = 1; i < c->places_count; ++i)
    if (c->places[i] == c->places[i - 1] && has_two_owners (c, c->places[i]))
      return wrong (c->check, "two segments have extent",
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
  check->pages = check->pages_same = check->segments = check->unsettled = 0;
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
      r = wrong (check, "segments do not add up in cgroup", i);
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
      return wrong (check, "a pin, hold or claim was left on segment", i);
    frames += place_is_frame (atomic_load (&segment->place));
  }
  if (frames != atomic_load (&store->frames))
    return wrong (check, "frames in use do not add up:", frames);
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
      r = wrong (check, "same-filled pages do not add up in cgroup", i);
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
