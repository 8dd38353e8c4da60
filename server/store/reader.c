/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>

#include "store/damage.h"
#include "store/group.h"
#include "store/page.h"
#include "store/reader.h"

/* Of a segment with so many holds a worker takes no second one: its 13 bits
 * (segment.h) are enough for one each, and one more of who looked before.
 */
#define HOLDS_MANY (CONTROL_HOLDS / 4)

/* Remember that the page was read since it was stored.  Mostly it was. */
static void
mark_referenced (struct store *store, struct segment *segment, uint64_t slot,
                 slot_word word)
{
  if (!(word & SLOT_REFERENCED)
      && atomic_compare_exchange_strong (&store->slots.words[slot], &word,
                                         word | SLOT_REFERENCED))
    atomic_fetch_add_explicit (&segment->referenced, 1, memory_order_relaxed);
}

/* Is an object in memory the one that its word says, at least by its checksum;
 * and as it was stored, where that is asked for?
 */
static bool
unharmed (struct store *store, const struct segment *segment,
          const struct object *object, uint64_t slot, slot_word word)
{
  if (word_is_of (word, slot, object)
      && (!atomic_load_explicit (&store->verify, memory_order_relaxed)
          || object_unharmed (object, segment->stamp)))
    return true;
  if (damage_is_mendable (object, slot, word, segment->stamp))
    return true;
  errno = EIO;
  return false;
}

/* Read a page that is in memory, or hold the segment of one that is not.
 * Returns 1 for the latter: ONE then says what to read; or 2 if what the worker
 * has listed must be read before.  An object in memory stays pinned if KEEP.
 * Otherwise a group does, until the worker forgets it.
 */
static int
look (struct store *store, struct worker *worker, uint64_t slot, void *page,
      struct reading *reading, bool keep, struct backed *one)
{
  for (;;) {
    slot_word word = slots_load (&store->slots, slot);
    uint64_t pattern = 0, place, control;
    struct segment *segment;
    const struct object *object;
    uint32_t number;
    int r;

    if (slot_kind (word) != SLOT_OBJECT) {
      if (slot_is_same (word)
          && !slots_read_pattern (&store->slots, slot, word, &pattern))
        continue;
      page_fill (page, pattern);
      *reading = (struct reading){ word, pattern, 0 };
      return 0;
    }

    number = (uint32_t) slot_segment (word);
    segment = store_segment (store, number);
    control = atomic_fetch_add (&segment->control, CONTROL_PIN);
    if (!slot_same_object (atomic_load (&store->slots.words[slot]), word)) {
      segment_unpin (store, number);
      continue;
    }
    place = atomic_load (&segment->place);
    if (!place_is_frame (place)) {
      if (control_holds (control) >= HOLDS_MANY && worker->backed.count > 0) {
        segment_unpin (store, number);
        return 2;
      }
      segment_drop (store, number, CONTROL_PIN - CONTROL_HOLD);
      one->slot = slot;
      one->word = word;
      one->place = place;
      *reading = (struct reading){ word, 0, CONTROL_HOLD };
      return 1;
    }

    object
        = (const struct object *) (arena_frame (&store->arena,
                                                (uint32_t) place_number (place))
                                   + (uint64_t) slot_units (word)
                                         * OBJECT_UNIT);
    if (unharmed (store, segment, object, slot, word))
      r = worker_unpack (worker, segment->codec, object, slot, word, page);
    else
      r = -1;
    if (r == 0)
      mark_referenced (store, segment, slot, word);
    else
      damage_tell (store, slot);
    *reading = (struct reading){ word, 0, CONTROL_PIN };
    if (r == 0 && !keep && slot_pages (word) > 1)
      group_keep (worker, number);
    else if (r == -1 || !keep)
      segment_unpin (store, number);
    return r;
  }
}

int
reader_page (struct store *store, struct worker *worker, uint64_t slot,
             void *page, struct reading *reading)
{
  struct backed one = { .to = page, .length = PAGE_BYTES };
  int r = look (store, worker, slot, page, reading, true, &one);

  group_forget (worker);
  return r == 1 ? backed_read_one (store, worker, &one) : r;
}

void
reader_let_go (struct store *store, const struct reading *reading)
{
  if (reading->held)
    segment_drop (store, (uint32_t) slot_segment (reading->word),
                  reading->held);
}

int
store_read (struct store *store, void *buffer, size_t count, uint64_t offset)
{
  struct worker *worker = worker_get (store);
  unsigned char *to = buffer;
  uint64_t pages = 0;
  int r = 0;

  if (!worker)
    return -1;
  if (offset > store->size || count > store->size - offset) {
    errno = EINVAL;
    return -1;
  }
  while (count > 0) {
    struct page_part part = page_part (offset, count);
    bool whole = page_part_is_whole (&part);
    struct backed_reads *backed = &worker->backed;
    struct backed one
        = { .to = to, .start = part.start, .length = part.length };
    struct reading reading;

    switch (look (store, worker, part.slot, whole ? to : worker->page, &reading,
                  false, &one)) {
    case 2:
      if (backed_read (store, worker) == -1)
        r = -1;
      continue;
    case 1:
      backed->list[backed->count++] = one;
      if (backed->count == BACKED_READS && backed_read (store, worker) == -1)
        r = -1;
      break;
    case 0:
      if (!whole)
        memcpy (to, worker->page + part.start, part.length);
      break;
    default:
      r = -1;
    }
    to += part.length;
    offset += part.length;
    count -= part.length;
    pages++;
  }
  if (worker->backed.count > 0 && backed_read (store, worker) == -1)
    r = -1;
  group_forget (worker);
  worker_count (&worker->counters.reads, pages);
  if (r == -1) {
    worker_count (&worker->counters.read_errors, 1);
    errno = EIO;
  }
  return r;
}
