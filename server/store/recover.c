/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "common/message.h"
#include "common/refuse.h"
#include "store/append.h"
#include "store/recover.h"
#include "store/region.h"
#include "store/state.h"

/* The smallest and the largest object of one page, in units. */
#define UNITS_LEAST (object_share_units (1, 1))
#define UNITS_MOST PAGE_UNITS_MOST

#define TELL_AFTER 2 /* seconds, and again after as many */
#define BATCH 32

/* What the slot words say of a segment. */
struct found {
  uint64_t contents;
  uint32_t units;
  uint32_t referenced;
  uint32_t tail; /* of one in memory: where its last object ends */
  bool repair;   /* its headers do not lead from one object to the next */
};

/* An object of a segment to repair. */
struct piece {
  uint32_t segment, units, slot;
  slot_word word;
};

/* A segment that goes into an owner's list. */
struct listed {
  uint64_t owner_and_stream;
  uint32_t time, number;
};

struct recovery {
  struct store *store;
  struct found *found;  /* by number of segment */
  uint32_t mark;        /* segments from here on were never used */
  uint32_t frames_mark; /* frames likewise */
  uint64_t *same;       /* by cgroup */
  uint64_t pages;       /* that have an object */
  uint64_t all_same;    /* same-filled pages */
  uint32_t on_backings; /* segments */
  uint32_t cgroups;
  struct piece *pieces; /* of segments to repair, by segment and place */
  uint64_t pieces_count, to_repair;
  char **error;
  time_t started, told;
};

static int
damaged (struct recovery *r, const char *what, uint64_t number)
{
  return refuse (r->error, EUCLEAN,
                 "pool.state: %s is damaged: %s %llu; remove the file to start "
                 "without the pages in it",
                 r->store->state->path, what, (unsigned long long) number);
}

static time_t
seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

/* A line for who waits. */
static void
tell_progress (struct recovery *r, const char *what, uint64_t done,
               uint64_t all)
{
  time_t now = seconds ();

  if (now - r->told < TELL_AFTER)
    return;
  r->told = now;
  message (MESSAGE_NOTICE,
           "pool.state: recovering %s for %lld seconds: %s %llu of %llu",
           r->store->state->path, (long long) (now - r->started), what,
           (unsigned long long) done, (unsigned long long) all);
}

/* ---- the slot words ---- */

static int
find_object (struct recovery *r, uint64_t slot, slot_word word)
{
  uint64_t number = slot_segment (word);
  uint32_t units = word_units (word), end;
  struct found *found;

  if (number >= r->mark)
    return damaged (r, "a segment that never was, in slot", slot);
  found = &r->found[number];
  found->units += units;
  found->contents += word_contents (word);
  found->referenced += (word & SLOT_REFERENCED) != 0;
  end = slot_units (word) + units * slot_pages (word);
  if (end > found->tail)
    found->tail = end;
  if (slot_pages (word) > 1)
    atomic_store (
        &r->store
             ->tiers[owner_tier (atomic_load (
                 &store_segment (r->store, (uint32_t) number)->owner))]
             .grouped,
        true);
  if (found->units > SEGMENT_UNITS || found->tail > SEGMENT_UNITS)
    return damaged (r, "a segment that is too full, in slot", slot);
  r->pages++;
  return 0;
}

/* The pattern of a wide one is written before its word: if they do not go
 * together, the process was killed between the two, and the pattern is that of
 * the write that was under way.
 */
static void
find_same (struct recovery *r, uint64_t slot, slot_word word)
{
  struct slots *slots = &r->store->slots;
  uint32_t cgroup = slot_cgroup (word);
  uint64_t pattern;

  r->same[cgroup]++;
  r->all_same++;
  if (cgroup >= r->cgroups)
    r->cgroups = cgroup + 1;
  if (slot_kind (word) != SLOT_SAME_WIDE)
    return;
  pattern = atomic_load (&slots->wide[slot]);
  if (word != slot_same (pattern, cgroup))
    atomic_store (&slots->words[slot], slot_same (pattern, cgroup));
}

static int
find_in_group (struct recovery *r, uint64_t group)
{
  struct slots *slots = &r->store->slots;
  uint64_t slot = group << SLOTS_GROUP_SHIFT, end = slot + SLOTS_GROUP;

  if (end > slots->count)
    end = slots->count;
  for (; slot < end; ++slot) {
    slot_word word
        = atomic_load_explicit (&slots->words[slot], memory_order_relaxed);

    if (word == 0)
      continue;
    if (slot_is_same (word))
      find_same (r, slot, word);
    else if (!slot_is_object (word))
      return damaged (r, "a word that means nothing, in slot", slot);
    else if (find_object (r, slot, word) == -1)
      return -1;
  }
  return 0;
}

/* A group that was never touched has no words, even where it was given memory
 * ahead.  RESIDENT: for each from FIRST on, whether it has any.
 */
static int
check_untouched (struct recovery *r, uint64_t first,
                 const unsigned char *resident, uint64_t count)
{
  struct slots *slots = &r->store->slots;

  for (uint64_t i = 0; i < count; ++i) {
    uint64_t slot = (first + i) << SLOTS_GROUP_SHIFT;
    uint64_t end = slot + SLOTS_GROUP;

    if (!(resident[i] & 1) || atomic_load (&slots->touched[first + i]))
      continue;
    for (; slot < end && slot < slots->count; ++slot)
      if (atomic_load_explicit (&slots->words[slot], memory_order_relaxed))
        return damaged (r, "a word where none was ever, in slot", slot);
  }
  return 0;
}

static int
look_at_untouched (struct recovery *r, uint64_t groups)
{
  unsigned char resident[4096];

  for (uint64_t first = 0; first < groups; first += sizeof resident) {
    uint64_t count = groups - first;

    if (count > sizeof resident)
      count = sizeof resident;
    if (mincore ((void *) &r->store->slots.words[first << SLOTS_GROUP_SHIFT],
                 count * SLOTS_GROUP * sizeof (slot_word), resident)
        == -1)
      return refuse (r->error, errno, "pool.state: cannot look at %s: %s",
                     r->store->state->path, strerror (errno));
    if (check_untouched (r, first, resident, count) == -1)
      return -1;
  }
  return 0;
}

static int
find_all (struct recovery *r)
{
  struct slots *slots = &r->store->slots;
  uint64_t groups = (slots->count + SLOTS_GROUP - 1) >> SLOTS_GROUP_SHIFT;

  if (look_at_untouched (r, groups) == -1)
    return -1;
  for (uint64_t group = 0; group < groups; ++group) {
    uint8_t touched = atomic_load (&slots->touched[group]);

    if (!touched)
      continue;
    if (touched & SLOTS_WORDS)
      atomic_fetch_add (&slots->meta_pages, 1);
    if (touched & SLOTS_WIDE)
      atomic_fetch_add (&slots->meta_pages, 1);
    if (find_in_group (r, group) == -1)
      return -1;
    tell_progress (r, "slots", group * SLOTS_GROUP, slots->count);
  }
  return 0;
}

/* ---- the segments ---- */

static const unsigned char *
frame_of (struct store *store, uint32_t number)
{
  return arena_frame (&store->arena,
                      (uint32_t) place_number (
                          atomic_load (&store_segment (store, number)->place)));
}

/* Which of COUNT objects that stand at OFFSETS are live: their units. */
static uint32_t
live_units (struct store *store, uint32_t number,
            const struct object *const objects[BATCH],
            const uint32_t offsets[BATCH], unsigned count)
{
  uint32_t units = 0;

  for (unsigned i = 0; i < count; ++i) {
    const slot_word here = word_of (objects[i], number, offsets[i]);
    unsigned members = object_members (objects[i]);

    for (; members; members &= members - 1) {
      uint64_t slot
          = group_first (objects[i]->slot) + (unsigned) __builtin_ctz (members);

      if (slot < store->slots.count
          && slot_same_object (atomic_load_explicit (&store->slots.words[slot],
                                                     memory_order_relaxed),
                               here))
        units += word_units (here);
    }
  }
  return units;
}

/* Do the headers of a segment in memory lead up to the tail, past all that the
 * slot words say is live?
 */
static bool
headers_lead (struct recovery *r, uint32_t number, uint32_t tail)
{
  struct store *store = r->store;
  const unsigned char *base = frame_of (store, number);
  const struct object *objects[BATCH];
  uint32_t offsets[BATCH], offset = 0, live = 0;
  unsigned count = 0;

  while (offset < tail) {
    const struct object *object
        = (const struct object *) (base + (uint64_t) offset * OBJECT_UNIT);

    if (tail - offset < UNITS_LEAST || object_length (object) == 0
        || object_share (object) > PAGE_BYTES
        || object_units (object) > tail - offset)
      return false;
    if (object->slot < store->slots.count
        && slots_touched (&store->slots, object->slot)) {
      __builtin_prefetch (&store->slots.words[object->slot]);
      objects[count] = object;
      offsets[count++] = offset;
    }
    if (count == BATCH) {
      live += live_units (store, number, objects, offsets, count);
      count = 0;
    }
    offset += object_units (object);
  }
  live += live_units (store, number, objects, offsets, count);
  return live == r->found[number].units;
}

static int
check_frame (struct recovery *r, uint32_t number, uint64_t frame, uint32_t tail)
{
  struct arena *arena = &r->store->arena;

  if (frame >= r->frames_mark)
    return damaged (r, "a frame that never was, of segment", number);
  if (atomic_load (&arena->segments[frame]))
    return damaged (r, "a frame that has two owners, of segment", number);
  atomic_store (&arena->segments[frame], number + 1);
  region_populate_read (arena_frame (arena, (uint32_t) frame),
                        (size_t) tail * OBJECT_UNIT);
  r->found[number].repair = !headers_lead (r, number, tail);
  r->to_repair += r->found[number].repair;
  return 0;
}

static int
check_extent (struct recovery *r, uint32_t number, uint64_t place)
{
  const struct state_backing *backing = NULL;

  if (place_backing (place) < STORE_BACKINGS)
    backing = state_backing (r->store->state, place_backing (place));
  if (!backing
      || place_number (place) >= atomic_load (&backing->size) / EXTENT_BYTES
      || place_number (place) >= atomic_load (&backing->mark))
    return damaged (r, "an extent that never was, of segment", number);
  return 0;
}

/* LZ4 and LZ4HC are read alike. */
static bool
codec_agrees (enum codec_kind a, enum codec_kind b)
{
  return a == b
         || ((a == CODEC_LZ4 || a == CODEC_LZ4HC)
             && (b == CODEC_LZ4 || b == CODEC_LZ4HC));
}

static int
check_owner (struct recovery *r, uint32_t number)
{
  struct store *store = r->store;
  struct segment *segment = store_segment (store, number);
  uint32_t owner = atomic_load (&segment->owner);
  unsigned tier = owner_tier (owner);

  if (owner >= STORE_OWNERS || segment->codec >= CODEC_KINDS)
    return damaged (r, "an owner that cannot be, of segment", number);
  if (owner_cgroup (owner) >= r->cgroups)
    r->cgroups = owner_cgroup (owner) + 1;
  if (tier_present (store, tier)
      && codec_agrees (store->tiers[tier].kind, segment->codec))
    return 0;
  return refuse (r->error, EINVAL,
                 "pool.state: %s holds pages of a tier with prio %u and codec "
                 "%s, which is not in the configuration any more: put it back, "
                 "and add another tier for another codec",
                 store->state->path, tier + 1, codec_name (segment->codec));
}

static int
check_segment (struct recovery *r, uint32_t number)
{
  struct segment *segment = store_segment (r->store, number);
  uint64_t control = atomic_load (&segment->control);
  uint64_t place = atomic_load (&segment->place);

  if (control_state (control) != SEGMENT_OPEN
      && control_state (control) != SEGMENT_SEALED)
    return damaged (r, "pages in a free segment,", number);
  if (control_tail (control) < r->found[number].tail)
    return damaged (r, "an object past the tail, in segment", number);
  if (check_owner (r, number) == -1)
    return -1;
  if (place_is_frame (place))
    return check_frame (r, number, place_number (place),
                        control_tail (control));
  return check_extent (r, number, place);
}

static int
check_all (struct recovery *r)
{
  for (uint32_t number = 0; number < r->mark; ++number) {
    if (r->found[number].units == 0)
      continue;
    if (check_segment (r, number) == -1)
      return -1;
    tell_progress (r, "segments", number, r->mark);
  }
  return 0;
}

/* ---- segments that were being written to ---- */

static int
compare_pieces (const void *a, const void *b)
{
  const struct piece *x = a, *y = b;

  if (x->segment != y->segment)
    return x->segment < y->segment ? -1 : 1;
  return x->units < y->units ? -1 : x->units > y->units;
}

/* Look up the objects of the segments to repair. */
static int
gather_pieces (struct recovery *r)
{
  struct slots *slots = &r->store->slots;
  uint64_t room = 0;

  for (uint64_t slot = 0; slot < slots->count; ++slot) {
    slot_word word;

    if (!slots_touched (slots, slot)) {
      slot |= SLOTS_GROUP - 1;
      continue;
    }
    word = atomic_load_explicit (&slots->words[slot], memory_order_relaxed);
    if (!slot_is_object (word) || !r->found[slot_segment (word)].repair)
      continue;
    if (r->pieces_count == room) {
      struct piece *more
          = realloc (r->pieces, (2 * room + 1024) * sizeof *more);

      if (!more)
        return refuse (r->error, ENOMEM, "pool.state: out of memory");
      r->pieces = more;
      room = 2 * room + 1024;
    }
    r->pieces[r->pieces_count++]
        = (struct piece){ (uint32_t) slot_segment (word), slot_units (word),
                          (uint32_t) slot, word };
  }
  if (r->pieces_count)
    qsort (r->pieces, r->pieces_count, sizeof *r->pieces, compare_pieces);
  return 0;
}

/* Where the object of a piece ends, in units. */
static uint32_t
piece_end (const struct piece *piece)
{
  return piece->units + word_units (piece->word) * slot_pages (piece->word);
}

/* The pages of a group are pieces at the same place. */
static bool
with_previous (const struct recovery *r, uint64_t i)
{
  return i > 0 && slot_same_object (r->pieces[i].word, r->pieces[i - 1].word);
}

/* Each of them is where its word says, and what lies between can be filled.
 */
static int
check_pieces (struct recovery *r)
{
  uint32_t end = 0;

  for (uint64_t i = 0; i < r->pieces_count; ++i) {
    const struct piece *piece = &r->pieces[i];
    const struct object *object
        = (const struct object *) (frame_of (r->store, piece->segment)
                                   + (uint64_t) piece->units * OBJECT_UNIT);

    if (i == 0 || piece->segment != r->pieces[i - 1].segment)
      end = 0;
    if (!with_previous (r, i)
        && (piece->units < end
            || (piece->units > end && piece->units - end < UNITS_LEAST)))
      return damaged (r, "objects that overlap, in slot", piece->slot);
    if (!word_is_of (piece->word, piece->slot, object))
      return damaged (r, "another slot's object, in slot", piece->slot);
    end = piece_end (piece);
  }
  return 0;
}

/* Fillers from START to END, in units; each is UNITS_LEAST at least. */
static void
fill (unsigned char *base, uint32_t start, uint32_t end)
{
  while (start < end) {
    struct object *filler
        = (struct object *) (base + (uint64_t) start * OBJECT_UNIT);
    uint32_t units = end - start;

    if (units > UNITS_MOST)
      units = units - UNITS_MOST < UNITS_LEAST ? UNITS_MOST - UNITS_LEAST
                                               : UNITS_MOST;
    filler->slot = UINT32_MAX;
    filler->checksum = 0;
    filler->size = object_size (units * OBJECT_UNIT - OBJECT_HEADER, 1);
    if (filler->size > PAGE_BYTES)
      filler->size = PAGE_BYTES;
    start += units;
  }
}

static void
repair (struct recovery *r)
{
  uint32_t end = 0;

  for (uint64_t i = 0; i < r->pieces_count; ++i) {
    const struct piece *piece = &r->pieces[i];

    if (i == 0 || piece->segment != r->pieces[i - 1].segment)
      end = 0;
    if (with_previous (r, i))
      continue;
    fill ((unsigned char *) frame_of (r->store, piece->segment), end,
          piece->units);
    end = piece_end (piece);
  }
}

/* ---- what follows ---- */

/* Nothing points at it. */
static void
free_segment (struct store *store, uint32_t number)
{
  struct segment *segment = store_segment (store, number);

  atomic_store (&segment->control, 0);
  segment->listed = false;
  segments_give (&store->segments, number);
}

static void
restore_segment (struct recovery *r, uint32_t number)
{
  struct store *store = r->store;
  struct segment *segment = store_segment (store, number);
  const struct found *found = &r->found[number];
  uint32_t owner = atomic_load (&segment->owner);
  uint64_t control = atomic_load (&segment->control);
  uint32_t tail = found->repair ? found->tail : control_tail (control);
  uint32_t now = store_seconds ();

  atomic_store (&segment->contents, found->contents);
  atomic_store (&segment->referenced, (int32_t) found->referenced);
  if (atomic_load (&segment->time) > now)
    atomic_store (&segment->time, now);
  if (segment->stream >= STREAMS)
    segment->stream = STREAM_FRESH;
  segment->listed = false;
  /* Those that were open are sealed, and nobody is at work on any. */
  control = ((uint64_t) SEGMENT_SEALED << CONTROL_STATE_SHIFT)
            | ((uint64_t) tail << CONTROL_TAIL_SHIFT)
            | ((uint64_t) found->units << CONTROL_LIVE_SHIFT);
  atomic_store (&segment->control, control);
  atomic_fetch_add (&store->cgroup[owner_cgroup (owner)].segments, 1);
  if (place_is_frame (atomic_load (&segment->place))) {
    cgroup_count_frame (store, owner_cgroup (owner), 1);
    atomic_fetch_add (&store->tiers[owner_tier (owner)].frames, 1);
    atomic_fetch_add (&store->frames, 1);
  }
  else
    r->on_backings++;
}

static int
compare_listed (const void *a, const void *b)
{
  const struct listed *x = a, *y = b;

  if (x->owner_and_stream != y->owner_and_stream)
    return x->owner_and_stream < y->owner_and_stream ? -1 : 1;
  if (x->time != y->time)
    return x->time < y->time ? -1 : 1;
  return x->number < y->number ? -1 : x->number > y->number;
}

static void
list_segments (struct recovery *r, struct listed *list)
{
  struct store *store = r->store;
  uint32_t count = 0;

  for (uint32_t number = 0; number < r->mark; ++number) {
    struct segment *segment = store_segment (store, number);

    if (r->found[number].units == 0
        || !place_is_frame (atomic_load (&segment->place)))
      continue;
    list[count++]
        = (struct listed){ (uint64_t) atomic_load (&segment->owner) * STREAMS
                               + segment->stream,
                           atomic_load (&segment->time), number };
  }
  qsort (list, count, sizeof *list, compare_listed);
  for (uint32_t i = 0; i < count; ++i) {
    struct segment *segment = store_segment (store, list[i].number);

    segment_list (store, atomic_load (&segment->owner), list[i].number,
                  segment->stream);
  }
}

/* A server that wipes frames may have been killed before it did; those that
 * went back to the kernel are zeros.
 */
static void
wipe_frames (struct store *store, uint32_t frames_mark)
{
  if (!atomic_load (&store->wipe) || store->state->can_release)
    return;
  for (uint32_t frame = 0; frame < frames_mark; ++frame)
    if (atomic_load (&store->arena.segments[frame]) == 0)
      memset (arena_frame (&store->arena, frame), 0, FRAME_BYTES);
}

/* From here on the state is changed, and nothing fails. */
static void
rebuild (struct recovery *r, struct listed *list)
{
  struct store *store = r->store;

  repair (r);
  atomic_store (&store->state->header->segments_mark, r->mark);
  atomic_store (&store->state->header->frames_mark, r->frames_mark);
  atomic_store (&store->segments.fresh, r->mark);
  /* The lowest on top of the free ones. */
  for (uint32_t number = r->mark; number-- > 0;)
    if (r->found[number].units > 0)
      restore_segment (r, number);
    else
      free_segment (store, number);
  list_segments (r, list);
  arena_restore (&store->arena, r->frames_mark);
  wipe_frames (store, r->frames_mark);
  for (uint32_t i = 0; i < r->cgroups; ++i)
    if (r->same[i])
      atomic_store (&store->same[i], r->same[i]);
  atomic_store (&store->cgroups, r->cgroups);
  /* Limits may be lower now than what is in use. */
  atomic_store (&store->lowered, atomic_load (&store->frames) + 2);
  for (unsigned i = 0; i < STORE_TIERS; ++i)
    atomic_store (&store->tiers[i].lowered,
                  atomic_load (&store->tiers[i].frames) + 2);
}

static int
recover (struct recovery *r)
{
  struct listed *list;

  if (find_all (r) == -1 || check_all (r) == -1)
    return -1;
  if (r->to_repair > 0 && (gather_pieces (r) == -1 || check_pieces (r) == -1))
    return -1;
  list = malloc (((size_t) r->frames_mark + 1) * sizeof *list);
  if (!list)
    return refuse (r->error, ENOMEM, "pool.state: out of memory");
  rebuild (r, list);
  free (list);
  return 0;
}

/* MARK, of parts of so many BYTES from START on, or less: none can ever have
 * been used that has no memory.  What is above is not looked at, since that
 * alone would give it memory.
 */
static int
lower_mark (struct recovery *r, void *start, uint64_t bytes, uint32_t *mark)
{
  size_t end;

  if (region_resident_end (start, *mark * bytes, &end) == -1)
    return refuse (r->error, errno, "pool.state: cannot look at %s: %s",
                   r->store->state->path, strerror (errno));
  if (*mark > (end + bytes - 1) / bytes)
    *mark = (uint32_t) ((end + bytes - 1) / bytes);
  return 0;
}

static int
check_marks (struct recovery *r)
{
  const struct state_header *header = r->store->state->header;
  uint64_t segments = atomic_load (&header->segments_mark);
  uint64_t frames = atomic_load (&header->frames_mark);
  uint64_t cgroups = atomic_load (&header->cgroups_mark);

  if (segments > SEGMENTS_MOST)
    return damaged (r, "a number of segments that cannot be,", segments);
  if (frames > r->store->arena.frames)
    return damaged (r, "a number of frames that cannot be,", frames);
  if (cgroups > STORE_CGROUPS)
    return damaged (r, "a number of cgroups that cannot be,", cgroups);
  r->mark = (uint32_t) segments;
  r->frames_mark = (uint32_t) frames;
  if (lower_mark (r, r->store->state->table, sizeof (struct segment), &r->mark)
      == -1)
    return -1;
  return lower_mark (r, r->store->state->arena, FRAME_BYTES, &r->frames_mark);
}

/* Is TEXT, in so much ROOM, one that ends? */
static bool
is_text (const char *text, size_t room)
{
  return text[0] != '\0' && memchr (text, '\0', room) != NULL;
}

/* What is said of the backings can be. */
static int
check_backings (struct recovery *r)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    const struct state_backing *record = state_backing (r->store->state, i);

    if (!record)
      continue;
    if (!is_text (record->name, sizeof record->name)
        || !is_text (record->place, sizeof record->place)
        || record->kind > BACKING_NBD || record->encrypted > 1
        || atomic_load (&record->size) % EXTENT_BYTES != 0
        || atomic_load (&record->size) > INT64_MAX
        || atomic_load (&record->mark) > 2 * SEGMENTS_MOST)
      return damaged (r, "what is said of backing", i);
    for (unsigned j = 0; j < i; ++j) {
      const struct state_backing *other = state_backing (r->store->state, j);

      if (other && strcmp (other->name, record->name) == 0)
        return damaged (r, "the name of two backings, one of them", i);
    }
  }
  return 0;
}

int
store_recover (struct store *store, char **error)
{
  struct recovery r = { .store = store, .error = error };
  size_t found_bytes;
  int result;

  *error = NULL;
  if (!store->state || !store->state->found)
    return 0;
  r.started = r.told = seconds ();
  if (check_marks (&r) == -1 || check_backings (&r) == -1)
    return -1;
  found_bytes = ((size_t) r.mark + 1) * sizeof *r.found;
  r.found = region_reserve (found_bytes);
  r.same = calloc (SLOT_CGROUPS, sizeof *r.same);
  result = r.found && r.same
               ? recover (&r)
               : refuse (r.error, ENOMEM, "pool.state: out of memory");
  if (result == 0)
    message (
        MESSAGE_NOTICE,
        "pool.state: %s is taken over: %llu pages in %u segments in memory "
        "and %u on backings, and %llu same-filled pages",
        store->state->path, (unsigned long long) r.pages,
        atomic_load (&store->frames), r.on_backings,
        (unsigned long long) r.all_same);
  {
    int saved_errno = errno;

    free (r.pieces);
    free (r.same);
    region_free (r.found, found_bytes);
    errno = saved_errno;
  }
  return result;
}

int
store_recover_backing (struct store *store, unsigned index,
                       struct backing *backing, char **error)
{
  struct recovery r = { .store = store, .error = error };
  uint64_t mark;

  *error = NULL;
  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i) {
    struct segment *segment = store_segment (store, i);
    uint64_t place = atomic_load (&segment->place);

    if (control_state (atomic_load (&segment->control)) == SEGMENT_FREE
        || place_is_frame (place) || place_backing (place) != index)
      continue;
    if (backing_restore_extent (backing, place_number (place)) == -1)
      return damaged (&r, "an extent that has two owners, of segment", i);
  }
  mark = atomic_load (&store->state->header->backings[index].mark);
  if (mark > backing_extents (backing))
    mark = backing_extents (backing);
  return backing_restored (backing, mark);
}

uint64_t
store_extents_end (struct store *store, unsigned index)
{
  uint64_t end = 0;

  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i) {
    struct segment *segment = store_segment (store, i);
    uint64_t place = atomic_load (&segment->place);

    if (control_state (atomic_load (&segment->control)) != SEGMENT_FREE
        && !place_is_frame (place) && place_backing (place) == index
        && place_number (place) >= end)
      end = place_number (place) + 1;
  }
  return end;
}
