/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>

#include "store/checking.h"

/* Segments on backings that are held during one walk over the slots. */
#define HELD_MOST 1024

/* Milliseconds after which a segment in memory that changes is let be. */
#define CHANGES_MOST 500

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
    const struct object *object = check_object_at (store, place, offset);

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
  uint64_t began = check_milliseconds (), same_since = began, now;
  uint64_t counts, contents, last_counts = 0, last_contents = 0;

  for (;;) {
    enum look l;

    check_pin (c->store, number);
    l = look (c, number, &counts, &contents);
    segment_unpin (c->store, number);
    now = check_milliseconds ();
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
      return check_wrong (check, "a frame with another owner, of segment",
                          number);
    case LOOK_WRONG_HEADERS:
      return check_wrong (check, "headers do not lead to the tail of segment",
                          number);
    case LOOK_HELD:
      if (now - same_since >= check->patience * UINT64_C (1000))
        return check_wrong (check, "a hold was left on segment", number);
      break;
    case LOOK_DIFFERS:
      if (now - same_since >= check->patience * UINT64_C (1000))
        return check_wrong (check, "live counts do not add up in segment",
                            number);
      break;
    }
    if (now - began >= CHANGES_MOST && now - same_since < CHANGES_MOST / 2) {
      check->unsettled++;
      return 0;
    }
    if (check_cancelled (check))
      return -1;
    check_pause ();
  }
}

/* Count, over the slots, those segments that are COUNTING. */
static int
count_by_slots (struct checking *c)
{
  const struct slots *slots = &c->store->slots;

  for (uint64_t slot = 0; slot < slots->count; ++slot) {
    slot_word word;

    if (slot % SLOTS_GROUP == 0 && check_cancelled (c->check))
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

    check_pin (c->store, list[i]);
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
    uint64_t same_since = check_milliseconds (), began = same_since;
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
        same_since = check_milliseconds ();
      if (check_milliseconds () - same_since >= patience)
        return check_wrong (c->check, "live counts do not add up in segment",
                            list[0]);
      /* Never for ever, where something changes each time. */
      if (check_milliseconds () - began >= 2 * patience) {
        c->check->unsettled += (unsigned) left;
        break;
      }
      check_pause ();
    }
    if (left == -1)
      return -1;
  }
  return 0;
}

int
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
