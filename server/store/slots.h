/* SPDX-License-Identifier: BSD-3-Clause */
/* The slot table: one word a page of the device, 8 bytes where a page was
 * ever written and nothing elsewhere.
 *
 * The table is one sparse mapping.  A group is what one memory page of it
 * holds, 512 slots (2 MiB of the device); a byte a group says whether it was
 * ever touched, so that walks over a range skip what never existed without
 * reading, and thereby allocating, the table itself.
 */
#ifndef TIERSWAP_SLOTS_H
#define TIERSWAP_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/wake.h"
#include "store/slot.h"

#define SLOTS_GROUP_SHIFT 9
#define SLOTS_GROUP (1u << SLOTS_GROUP_SHIFT)
#define SLOTS_STRIPES 64

struct slots {
  uint64_t count;
  _Atomic slot_word *words;
  _Atomic uint64_t *wide;      /* whole patterns of SLOT_SAME_WIDE words */
  _Atomic uint8_t *touched;    /* a byte a group: SLOTS_WORDS, SLOTS_WIDE */
  _Atomic uint64_t meta_pages; /* memory pages touched of words and wide */
  _Atomic uint64_t newest;     /* the group touched last */
  _Atomic uint64_t ahead;      /* groups below this one need no memory more */
  struct wake *keeper;         /* to be woken to go ahead */
  bool shared;                 /* the tables are a state's */
  /* A wide pattern is two words; its stripe keeps their writers apart. */
  pthread_mutex_t stripes[SLOTS_STRIPES];
};

/* Groups that are given memory ahead of a client that writes one after the
 * other, as swap does: 256 KiB of the table.
 */
#define SLOTS_AHEAD 64

/* With the tables of STATE, if it is not NULL.  -1 with errno. */
struct state;
extern int slots_create (struct slots *slots, uint64_t count,
                         struct wake *keeper, struct state *state);

/* The keeper's part: go ahead, if anybody follows. */
extern void slots_keep (struct slots *slots);
extern void slots_free (struct slots *slots);

extern void slots_touch_slow (struct slots *slots, uint64_t group,
                              uint8_t part);

#define SLOTS_WORDS 1
#define SLOTS_WIDE 2

/* Account for the memory of SLOT's word before it is first written. */
static inline void
slots_touch (struct slots *slots, uint64_t slot)
{
  uint64_t group = slot >> SLOTS_GROUP_SHIFT;
  if (!(atomic_load_explicit (&slots->touched[group], memory_order_relaxed)
        & SLOTS_WORDS))
    slots_touch_slow (slots, group, SLOTS_WORDS);
}

static inline bool
slots_touched (const struct slots *slots, uint64_t slot)
{
  return atomic_load_explicit (&slots->touched[slot >> SLOTS_GROUP_SHIFT],
                               memory_order_relaxed)
         != 0;
}

/* The word of SLOT, 0 if it was never written. */
static inline slot_word
slots_load (const struct slots *slots, uint64_t slot)
{
  return slots_touched (slots, slot) ? atomic_load (&slots->words[slot]) : 0;
}

/* The same-filled word of PATTERN, made current; returns the old word. */
extern slot_word slots_publish_same (struct slots *slots, uint64_t slot,
                                     uint64_t pattern, uint32_t cgroup);

/* Read the whole pattern of a same-filled WORD that was just loaded.  False
 * if the slot has moved on: load it again.
 */
extern bool slots_read_pattern (const struct slots *slots, uint64_t slot,
                                slot_word word, uint64_t *pattern);

/* Replace WORD, whose content the caller has read (and, for an object, still
 * holds; for a same-filled page PATTERN is its pattern), by REPLACEMENT (for
 * a same-filled one, of NEW_PATTERN).  False if the slot has moved on.
 */
extern bool slots_replace (struct slots *slots, uint64_t slot, slot_word word,
                           uint64_t pattern, slot_word replacement,
                           uint64_t new_pattern);

#endif /* TIERSWAP_SLOTS_H */
