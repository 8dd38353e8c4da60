/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/refuse.h"
#include "store/recovery.h"
#include "store/region.h"

/* Objects whose words are looked up together. */
#define BATCH 32

/* ---- the slot words ---- */

static int
find_object (struct recovery *r, uint64_t slot, slot_word word)
{
  uint64_t number = slot_segment (word);
  uint32_t units = word_units (word), end;
  struct found *found;

  if (number >= r->mark)
    return recovery_damaged (r, "a segment that never was, in slot", slot);
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
    return recovery_damaged (r, "a segment that is too full, in slot", slot);
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
      return recovery_damaged (r, "a word that means nothing, in slot", slot);
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
        return recovery_damaged (r, "a word where none was ever, in slot",
                                 slot);
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

int
survey_slots (struct recovery *r)
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
    recovery_tell (r, "slots", group * SLOTS_GROUP, slots->count);
  }
  return 0;
}

/* ---- the segments ---- */

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
  const unsigned char *base = recovery_frame (store, number);
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
    return recovery_damaged (r, "a frame that never was, of segment", number);
  if (atomic_load (&arena->segments[frame]))
    return recovery_damaged (r, "a frame that has two owners, of segment",
                             number);
  atomic_store (&arena->segments[frame], number + 1);
  region_populate_read (arena_frame (arena, (uint32_t) frame),
                        (size_t) tail * OBJECT_UNIT);
  /* Held: a writer may have been killed between an object's header and the
   * rest of it.  Nothing points there, and the headers lead past it, but as an
   * object it is not sound.
   */
  r->found[number].repair
      = control_holds (atomic_load (&store_segment (r->store, number)->control))
            != 0
        || !headers_lead (r, number, tail);
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
    return recovery_damaged (r, "an extent that never was, of segment", number);
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
    return recovery_damaged (r, "an owner that cannot be, of segment", number);
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
    return recovery_damaged (r, "pages in a free segment,", number);
  if (control_tail (control) < r->found[number].tail)
    return recovery_damaged (r, "an object past the tail, in segment", number);
  if (check_owner (r, number) == -1)
    return -1;
  if (place_is_frame (place))
    return check_frame (r, number, place_number (place),
                        control_tail (control));
  return check_extent (r, number, place);
}

int
survey_segments (struct recovery *r)
{
  for (uint32_t number = 0; number < r->mark; ++number) {
    if (r->found[number].units == 0)
      continue;
    if (check_segment (r, number) == -1)
      return -1;
    recovery_tell (r, "segments", number, r->mark);
  }
  return 0;
}
