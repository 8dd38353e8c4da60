/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/message.h"
#include "common/refuse.h"
#include "store/recover.h"
#include "store/recovery.h"
#include "store/region.h"

#define TELL_AFTER 2 /* seconds, and again after as many */

/* A segment that goes into an owner's list. */
struct listed {
  uint64_t owner_and_stream;
  uint32_t time, number;
};

int
recovery_damaged (struct recovery *r, const char *what, uint64_t number)
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

void
recovery_tell (struct recovery *r, const char *what, uint64_t done,
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

const unsigned char *
recovery_frame (struct store *store, uint32_t number)
{
  return arena_frame (&store->arena,
                      (uint32_t) place_number (
                          atomic_load (&store_segment (store, number)->place)));
}

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
  atomic_store (&segment->opened, 0);
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

  repair_all (r);
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

/* What was never used is as nothing was ever written there. */
static int
clear_unused (struct recovery *r)
{
  struct segment *table = r->store->state->table;
  size_t end;

  if (region_resident_end (table, SEGMENTS_MOST * sizeof *table, &end) == -1)
    return refuse (r->error, errno, "pool.state: cannot look at %s: %s",
                   r->store->state->path, strerror (errno));
  if (end > r->mark * sizeof *table)
    memset (&table[r->mark], 0, end - r->mark * sizeof *table);
  return 0;
}

static int
recover (struct recovery *r)
{
  struct listed *list;

  if (survey_slots (r) == -1 || survey_segments (r) == -1)
    return -1;
  if (r->to_repair > 0 && (repair_gather (r) == -1 || repair_check (r) == -1))
    return -1;
  list = malloc (((size_t) r->frames_mark + 1) * sizeof *list);
  if (!list)
    return refuse (r->error, ENOMEM, "pool.state: out of memory");
  if (clear_unused (r) == -1) {
    free (list);
    return -1;
  }
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
    return recovery_damaged (r, "a number of segments that cannot be,",
                             segments);
  if (frames > r->store->arena.frames)
    return recovery_damaged (r, "a number of frames that cannot be,", frames);
  if (cgroups > STORE_CGROUPS)
    return recovery_damaged (r, "a number of cgroups that cannot be,", cgroups);
  r->mark = (uint32_t) segments;
  r->frames_mark = (uint32_t) frames;
  if (lower_mark (r, r->store->state->table, sizeof (struct segment), &r->mark)
      == -1)
    return -1;
  return lower_mark (r, r->store->state->arena, FRAME_BYTES, &r->frames_mark);
}

/* Is TEXT, in so much ROOM, one that ends, and such as a configuration may have
 * (config-text.c)?  It is said to people as it is.
 */
static bool
is_text (const char *text, size_t room)
{
  size_t length = strnlen (text, room);

  for (size_t i = 0; i < length; ++i)
    if (iscntrl ((unsigned char) text[i]))
      return false;
  return length > 0 && length < room;
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
      return recovery_damaged (r, "what is said of backing", i);
    for (unsigned j = 0; j < i; ++j) {
      const struct state_backing *other = state_backing (r->store->state, j);

      if (other && strcmp (other->name, record->name) == 0)
        return recovery_damaged (r, "the name of two backings, one of them", i);
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

/* Is a segment in use, and on the backing with INDEX?  Then *PLACE is where.
 * The control word is looked at first: whoever opens a segment stores its place
 * before that, and one that was free may have been on a backing in a former
 * life.  The cleaner opens some already.
 */
static bool
is_on_backing (struct store *store, uint32_t number, unsigned index,
               uint64_t *place)
{
  struct segment *segment = store_segment (store, number);

  if (control_state (atomic_load (&segment->control)) == SEGMENT_FREE)
    return false;
  *place = atomic_load (&segment->place);
  return !place_is_frame (*place) && place_backing (*place) == index;
}

int
store_recover_backing (struct store *store, unsigned index,
                       struct backing *backing, char **error)
{
  struct recovery r = { .store = store, .error = error };
  uint64_t mark, place;

  *error = NULL;
  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i)
    if (is_on_backing (store, i, index, &place)
        && backing_restore_extent (backing, place_number (place)) == -1)
      return recovery_damaged (&r, "an extent that has two owners, of segment",
                               i);
  mark = atomic_load (&store->state->header->backings[index].mark);
  if (mark > backing_extents (backing))
    mark = backing_extents (backing);
  return backing_restored (backing, mark);
}

uint64_t
store_extents_end (struct store *store, unsigned index)
{
  uint64_t end = 0, place;

  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i)
    if (is_on_backing (store, i, index, &place) && place_number (place) >= end)
      end = place_number (place) + 1;
  return end;
}
