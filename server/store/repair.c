/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "common/refuse.h"
#include "store/recovery.h"

/* The largest object of one page, in units. */
#define UNITS_MOST PAGE_UNITS_MOST

static int
compare_pieces (const void *a, const void *b)
{
  const struct piece *x = a, *y = b;

  if (x->segment != y->segment)
    return x->segment < y->segment ? -1 : 1;
  return x->units < y->units ? -1 : x->units > y->units;
}

int
repair_gather (struct recovery *r)
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

int
repair_check (struct recovery *r)
{
  uint32_t end = 0;

  for (uint64_t i = 0; i < r->pieces_count; ++i) {
    const struct piece *piece = &r->pieces[i];
    const struct object *object
        = (const struct object *) (recovery_frame (r->store, piece->segment)
                                   + (uint64_t) piece->units * OBJECT_UNIT);

    if (i == 0 || piece->segment != r->pieces[i - 1].segment)
      end = 0;
    if (!with_previous (r, i)
        && (piece->units < end
            || (piece->units > end && piece->units - end < UNITS_LEAST)))
      return recovery_damaged (r, "objects that overlap, in slot", piece->slot);
    if (!word_is_of (piece->word, piece->slot, object))
      return recovery_damaged (r, "another slot's object, in slot",
                               piece->slot);
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

void
repair_all (struct recovery *r)
{
  uint32_t end = 0;

  for (uint64_t i = 0; i < r->pieces_count; ++i) {
    const struct piece *piece = &r->pieces[i];

    if (i == 0 || piece->segment != r->pieces[i - 1].segment)
      end = 0;
    if (with_previous (r, i))
      continue;
    fill ((unsigned char *) recovery_frame (r->store, piece->segment), end,
          piece->units);
    end = piece_end (piece);
  }
}
