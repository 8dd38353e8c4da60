/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>
#include <time.h>

#include "common/message.h"
#include "store/damage.h"
#include "store/group.h"
#include "store/walk.h"

/* Who has taken a word out of the table and not yet subtracted its object is
 * waited for: a moment by who comes upon it, in tenths of a millisecond; then
 * so long, in milliseconds, before the slot table is searched.
 */
#define MOMENTS 3
#define PATIENCE 100

/* A segment in which something stays live is searched so often. */
#define SEARCHES 3

static uint64_t
milliseconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

void
damage_create (struct store *store)
{
  pthread_mutex_init (&store->damage.lock, NULL);
}

void
damage_free (struct store *store)
{
  pthread_mutex_destroy (&store->damage.lock);
}

bool
damage_waits (struct store *store)
{
  return atomic_load_explicit (&store->damage.count, memory_order_relaxed) > 0;
}

static bool
empty (struct store *store, uint32_t number)
{
  return control_live (atomic_load (&store_segment (store, number)->control))
         == 0;
}

bool
damage_suspected (struct store *store, uint32_t number)
{
  struct walk walk = walk_start (store, number);
  struct append live[WALK_OBJECTS];
  uint32_t units = 0;
  unsigned count;

  while ((count = walk_next (&walk, live)) > 0)
    for (unsigned i = 0; i < count; ++i)
      units += word_units (live[i].expected);
  return units
         < control_live (atomic_load (&store_segment (store, number)->control));
}

static bool
add (struct store *store, const struct suspect *suspect)
{
  struct damage *damage = &store->damage;
  uint32_t count;

  pthread_mutex_lock (&damage->lock);
  count = atomic_load (&damage->count);
  if (count < DAMAGE_SUSPECTS) {
    damage->suspects[count] = *suspect;
    atomic_store (&damage->count, count + 1);
  }
  pthread_mutex_unlock (&damage->lock);
  return count < DAMAGE_SUSPECTS;
}

bool
damage_end_claim (struct store *store, uint32_t number)
{
  const struct timespec moment = { 0, 100000 };

  for (unsigned i = 0; i < MOMENTS && !empty (store, number); ++i)
    nanosleep (&moment, NULL);
  if (!empty (store, number)) {
    const struct suspect suspect
        = { .segment = number, .since = milliseconds () };

    if (!add (store, &suspect)) {
      segment_drop (store, number, CONTROL_BUSY);
      return false;
    }
    wake_ring (&store->cleaner.wake);
    return true;
  }
  segment_drop (store, number, CONTROL_BUSY);
  return true;
}

void
damage_tell (struct store *store, uint64_t slot)
{
  if (!atomic_exchange (&store->damage.told_lost, true))
    message (
        MESSAGE_ERROR,
        "page %llu was damaged in memory, and reads as an error: have this "
        "machine's memory tested (further ones are only counted)",
        (unsigned long long) slot);
}

static void
tell_mended (struct store *store, uint64_t slot)
{
  if (!atomic_exchange (&store->damage.told_mended, true))
    message (
        MESSAGE_ERROR,
        "page %llu was damaged in memory, and was mended: have this machine's "
        "memory tested (further ones are only counted)",
        (unsigned long long) slot);
}

/* ---- one object ---- */

/* The header that the words of COUNT pages ask for, of so many stored bytes
 * with those members.  Whether the checksum is right then.
 */
static bool
try_header (struct object *object, const struct append *page, uint32_t length,
            unsigned members, uint32_t stamp)
{
  uint32_t pages = slot_pages (page->expected);

  object->slot = pages == 1 ? page->slot : group_first (page->slot);
  object->size = object_size (length, pages);
  if (pages > 1)
    object->bytes[0] = (unsigned char) members;
  return object_unharmed (object, stamp);
}

/* Make the object of LIST anew in ROOM, from the bytes at AT and the words that
 * point there.  The length of a group is known but for less than its pages, and
 * which those are if all are alive.
 */
static bool
mend (const struct append *list, unsigned count, const void *at, uint32_t stamp,
      unsigned char *room)
{
  struct object *object = (struct object *) room;
  uint32_t pages = slot_pages (list[0].expected);
  uint32_t most = slot_length (list[0].expected) * pages;
  unsigned known = 0;

  memcpy (room, at, OBJECT_HEADER + most);
  if (pages == 1)
    return try_header (object, &list[0], most, 0, stamp);
  for (unsigned i = 0; i < count; ++i)
    known |= group_bit (list[i].slot);
  for (uint32_t less = 0; less < pages && less + 1 < most; ++less)
    for (unsigned members = 0; members < 1u << GROUP_PAGES; ++members)
      if ((members & known) == known
          && (uint32_t) __builtin_popcount (members) == pages
          && try_header (object, &list[0], most - less, members, stamp))
        return true;
  return false;
}

bool
damage_is_mendable (const struct object *at, uint64_t slot, slot_word word,
                    uint32_t stamp)
{
  const struct append page = { .slot = slot, .expected = word };
  uint64_t end = (uint64_t) slot_units (word) * OBJECT_UNIT + OBJECT_HEADER
                 + slot_length (word);
  unsigned char room[OBJECT_ROOM] __attribute__ ((aligned (2)));

  return slot_pages (word) == 1 && slot_length (word) <= PAGE_BYTES
         && end <= FRAME_BYTES && mend (&page, 1, at, stamp, room);
}

/* In place of the pages of LIST: what says that they are lost. */
static void
give_up (struct append *list, unsigned count, unsigned char *room)
{
  for (unsigned i = 0; i < count; ++i) {
    struct object *object = (struct object *) (room + i * OBJECT_ROOM);

    object->slot = list[i].slot;
    object->size = object_size (SLOT_LENGTH_LOST, 1);
    object->bytes[0] = 0;
    object->checksum
        = object_checksum (object->slot, object->bytes, SLOT_LENGTH_LOST);
    list[i].object = object;
    list[i].stamp = 0;
  }
}

enum verdict { SOUND, MENDED, LOST };

/* Find the object of the pages of LIST, whose words are the same, and what
 * becomes of it.
 */
static enum verdict
examine (struct store *store, struct worker *worker, const struct walk *walk,
         struct append *list, unsigned count)
{
  const struct segment *segment = store_segment (store, walk->segment);
  slot_word word = list[0].expected;
  const struct object *object
      = (const struct object *) (walk->base
                                 + (uint64_t) slot_units (word) * OBJECT_UNIT);
  enum verdict verdict = LOST;

  if (slot_units (word) + word_units (word) * slot_pages (word) <= walk->tail) {
    if (word_is_of (word, list[0].slot, object))
      verdict = SOUND;
    else if (mend (list, count, object, walk->stamp, worker->room)) {
      object = (struct object *) worker->room;
      verdict = MENDED;
    }
  }
  if (verdict == LOST) {
    give_up (list, count, worker->room);
    return LOST;
  }
  for (unsigned i = 0; i < count; ++i) {
    list[i].object = object;
    list[i].stamp = walk->stamp;
  }
  /* One that cannot be read is copied as it is. */
  if (count < object_pages (object))
    group_remake (worker, segment, list, count);
  return verdict;
}

static int
move_out (struct store *store, struct worker *worker, struct append *list,
          unsigned count)
{
  uint32_t number = (uint32_t) slot_segment (list[0].expected);
  struct walk walk = walk_start (store, number);
  struct append_target target
      = walk_target_staying (store, store_segment (store, number));
  enum verdict verdict = examine (store, worker, &walk, list, count);
  int r = walk_move (&walk, &target, list, count);

  if (verdict == SOUND)
    return r;
  for (unsigned i = 0; i < count; ++i)
    if (list[i].done && verdict == MENDED) {
      atomic_fetch_add (&store->damage.pages_mended, 1);
      tell_mended (store, list[i].slot);
    }
    else if (list[i].done) {
      atomic_fetch_add (&store->damage.pages_lost, 1);
      damage_tell (store, list[i].slot);
    }
  return r;
}

/* ---- all of the slot table ---- */

struct search {
  struct store *store;
  struct worker *worker;
  struct suspect suspects[DAMAGE_SUSPECTS];
  unsigned count;
  uint64_t some; /* a bit for each of them, by the low bits of the number */
  bool room;     /* there was room for all that had to be moved */
};

static bool
searched_for (const struct search *s, slot_word word)
{
  uint32_t number = (uint32_t) slot_segment (word);

  if (!slot_is_object (word) || !(s->some & UINT64_C (1) << number % 64))
    return false;
  for (unsigned i = 0; i < s->count; ++i)
    if (s->suspects[i].segment == number)
      return true;
  return false;
}

/* The slots of one group, FIRST and up to three more. */
static void
search_four (struct search *s, uint64_t first)
{
  const struct slots *slots = &s->store->slots;
  struct append list[GROUP_PAGES];
  slot_word words[GROUP_PAGES] = { 0 };

  for (unsigned i = 0; i < GROUP_PAGES && first + i < slots->count; ++i)
    words[i]
        = atomic_load_explicit (&slots->words[first + i], memory_order_relaxed);
  for (unsigned i = 0; i < GROUP_PAGES; ++i) {
    unsigned count = 0, end = i + 1;

    if (!searched_for (s, words[i]))
      continue;
    if (slot_pages (words[i]) > 1)
      end = GROUP_PAGES;
    for (unsigned j = end; j-- > i;)
      if (slot_same_object (words[j], words[i]))
        count++;
    for (unsigned j = i, n = 0; n < count; ++j)
      if (slot_same_object (words[j], words[i])) {
        list[n++] = (struct append){ .slot = (uint32_t) first + j,
                                     .expected = words[j] };
        if (j > i)
          words[j] = 0;
      }
    if (move_out (s->store, s->worker, list, count) == -1)
      s->room = false;
  }
}

static void
search (struct search *s)
{
  const struct slots *slots = &s->store->slots;

  s->room = true;
  for (uint64_t slot = 0; slot < slots->count && !atomic_load (&s->store->stop);
       slot += GROUP_PAGES) {
    if (slots_touched (slots, slot))
      search_four (s, slot);
    else
      slot |= SLOTS_GROUP - GROUP_PAGES;
  }
}

/* After a search: what is empty is freed, the others are looked at again, but
 * not for ever.
 */
static void
judge (struct search *s)
{
  for (unsigned i = 0; i < s->count; ++i) {
    struct suspect *suspect = &s->suspects[i];

    if (empty (s->store, suspect->segment)) {
      segment_drop (s->store, suspect->segment, CONTROL_BUSY);
      continue;
    }
    suspect->searches += s->room;
    suspect->since = milliseconds ();
    if (suspect->searches < SEARCHES) {
      if (!add (s->store, suspect))
        segment_drop (s->store, suspect->segment, CONTROL_BUSY);
    }
    else {
      /* Who looks at the old end of the list does not come upon it. */
      segment_unlist (
          s->store,
          atomic_load (&store_segment (s->store, suspect->segment)->owner),
          suspect->segment);
      message (MESSAGE_ERROR,
               "segment %u has live pages that nothing points at, and is set "
               "aside: its memory is lost until the server starts anew",
               suspect->segment);
    }
  }
}

/* Take those of which the time has come from the list; what is empty is freed.
 */
static void
take_suspects (struct search *s, bool at_rest)
{
  struct damage *damage = &s->store->damage;
  uint64_t now = milliseconds ();
  uint32_t left = 0, count;

  pthread_mutex_lock (&damage->lock);
  count = atomic_load (&damage->count);
  for (uint32_t i = 0; i < count; ++i) {
    struct suspect *suspect = &damage->suspects[i];

    if (empty (s->store, suspect->segment))
      segment_drop (s->store, suspect->segment, CONTROL_BUSY);
    else if (at_rest || now - suspect->since >= PATIENCE) {
      s->suspects[s->count++] = *suspect;
      s->some |= UINT64_C (1) << suspect->segment % 64;
    }
    else
      damage->suspects[left++] = *suspect;
  }
  atomic_store (&damage->count, left);
  pthread_mutex_unlock (&damage->lock);
}

void
damage_look (struct store *store, bool at_rest)
{
  struct search s = { .store = store };

  if (!damage_waits (store))
    return;
  s.worker = worker_get (store);
  if (!s.worker)
    return;
  group_forget (s.worker);
  do {
    s.count = 0;
    s.some = 0;
    take_suspects (&s, at_rest);
    if (s.count == 0)
      break;
    search (&s);
    judge (&s);
  } while (at_rest && s.room);
}
