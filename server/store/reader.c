/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>

#include "store/page.h"
#include "store/reader.h"

/* Remember that the page was read since it was stored.  Mostly it was. */
static void
mark_referenced (struct store *store, uint64_t slot, slot_word word)
{
  if (!(word & SLOT_REFERENCED))
    atomic_compare_exchange_strong (&store->slots.words[slot], &word,
                                    word | SLOT_REFERENCED);
}

static int
decompress (struct store *store, struct worker *worker,
            const struct segment *segment, const struct object *object,
            slot_word word, void *page)
{
  (void) store;
  if (slot_length (word) == PAGE_BYTES) {
    memcpy (page, object->bytes, PAGE_BYTES);
    return 0;
  }
  return codec_decompress (worker->codec, segment->codec, object->bytes,
                           slot_length (word), page);
}

int
reader_page (struct store *store, struct worker *worker, uint64_t slot,
             void *page, struct reading *reading)
{
  for (;;) {
    slot_word word = slots_load (&store->slots, slot);
    uint64_t pattern = 0;
    uint32_t number;
    struct segment *segment;
    uint64_t place;
    int r;

    if (slot_kind (word) != SLOT_OBJECT) {
      if (slot_is_same (word) &&
          !slots_read_pattern (&store->slots, slot, word, &pattern))
        continue;
      page_fill (page, pattern);
      if (reading)
        *reading = (struct reading){ word, pattern };
      return 0;
    }

    number = (uint32_t) slot_segment (word);
    segment = store_segment (store, number);
    atomic_fetch_add (&segment->control, CONTROL_PIN);
    if (!slot_same_object (atomic_load (&store->slots.words[slot]), word)) {
      segment_unpin (store, number);
      continue;
    }
    place = atomic_load (&segment->place);
    r = decompress (store, worker, segment,
                    (const struct object *) (arena_frame (
                                                 &store->arena,
                                                 (uint32_t) place_number (
                                                     place)) +
                                             (uint64_t) slot_units (word) *
                                                 OBJECT_UNIT),
                    word, page);
    if (r == 0)
      mark_referenced (store, slot, word);
    if (reading && r == 0)
      *reading = (struct reading){ word, 0 };
    else
      segment_unpin (store, number);
    return r;
  }
}

void
reader_let_go (struct store *store, const struct reading *reading)
{
  if (slot_is_object (reading->word))
    segment_unpin (store, (uint32_t) slot_segment (reading->word));
}

int
store_read (struct store *store, void *buffer, size_t count, uint64_t offset)
{
  struct worker *worker = worker_get (store);
  unsigned char *to = buffer;
  uint64_t pages = 0;

  if (!worker)
    return -1;
  if (offset > store->size || count > store->size - offset) {
    errno = EINVAL;
    return -1;
  }
  while (count > 0) {
    struct page_part part = page_part (offset, count);
    bool whole = page_part_is_whole (&part);

    if (reader_page (store, worker, part.slot, whole ? to : worker->page,
                     NULL) == -1) {
      worker_count (&worker->counters.read_errors, 1);
      errno = EIO;
      return -1;
    }
    if (!whole)
      memcpy (to, worker->page + part.start, part.length);
    to += part.length;
    offset += part.length;
    count -= part.length;
    pages++;
  }
  worker_count (&worker->counters.reads, pages);
  return 0;
}
