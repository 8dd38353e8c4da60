/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>

#include "store/codec.h"
#include "store/region.h"
#include "store/slots.h"
#include "store/state.h"

int
slots_create (struct slots *slots, uint64_t count, struct wake *keeper,
              struct state *state)
{
  uint64_t groups = (count + SLOTS_GROUP - 1) >> SLOTS_GROUP_SHIFT;

  slots->count = count;
  slots->keeper = keeper;
  slots->shared = state != NULL;
  if (state) {
    slots->words = state->words;
    slots->wide = state->wide;
    slots->touched = state->touched;
  }
  else {
    slots->words = region_reserve (count * sizeof *slots->words);
    slots->wide = region_reserve (count * sizeof *slots->wide);
    slots->touched = region_reserve (groups);
  }
  atomic_init (&slots->meta_pages, 0);
  for (unsigned i = 0; i < SLOTS_STRIPES; ++i)
    pthread_mutex_init (&slots->stripes[i], NULL);
  if (!slots->words || !slots->wide || !slots->touched) {
    slots_free (slots);
    errno = ENOMEM;
    return -1;
  }
  return 0;
}

void
slots_free (struct slots *slots)
{
  uint64_t groups = (slots->count + SLOTS_GROUP - 1) >> SLOTS_GROUP_SHIFT;

  if (!slots->shared) {
    region_free (slots->words, slots->count * sizeof *slots->words);
    region_free (slots->wide, slots->count * sizeof *slots->wide);
    region_free (slots->touched, groups);
  }
  for (unsigned i = 0; i < SLOTS_STRIPES; ++i)
    pthread_mutex_destroy (&slots->stripes[i]);
}

void
slots_touch_slow (struct slots *slots, uint64_t group, uint8_t part)
{
  uint8_t old = atomic_fetch_or (&slots->touched[group], part);
  if (!(old & part))
    atomic_fetch_add (&slots->meta_pages, 1);
  if (part == SLOTS_WORDS) {
    atomic_store (&slots->newest, group);
    if (group + SLOTS_AHEAD / 2 >= atomic_load (&slots->ahead)
        && group < atomic_load (&slots->ahead) + SLOTS_AHEAD)
      wake_ring (slots->keeper);
  }
}

/* A group's first word may be written when the machine has no memory left but
 * what this very write will free: so it shall have its memory before.  A
 * client that jumps about is not followed, it would cost too much.
 */
void
slots_keep (struct slots *slots)
{
  uint64_t groups = (slots->count + SLOTS_GROUP - 1) >> SLOTS_GROUP_SHIFT;
  uint64_t newest = atomic_load (&slots->newest);
  uint64_t ahead = atomic_load (&slots->ahead), to = newest + SLOTS_AHEAD;

  if (newest + SLOTS_AHEAD / 2 < ahead || newest >= ahead + SLOTS_AHEAD)
    return;
  if (to > groups)
    to = groups;
  if (to <= ahead
      || region_populate ((void *) &slots->words[ahead << SLOTS_GROUP_SHIFT],
                          (to - ahead) * SLOTS_GROUP * sizeof (slot_word))
             == -1)
    return;
  atomic_store (&slots->ahead, to);
}

static pthread_mutex_t *
stripe (struct slots *slots, uint64_t slot)
{
  return &slots->stripes[slot % SLOTS_STRIPES];
}

static void
touch_wide (struct slots *slots, uint64_t slot)
{
  uint64_t group = slot >> SLOTS_GROUP_SHIFT;
  if (!(atomic_load_explicit (&slots->touched[group], memory_order_relaxed)
        & SLOTS_WIDE))
    slots_touch_slow (slots, group, SLOTS_WIDE);
}

slot_word
slots_publish_same (struct slots *slots, uint64_t slot, uint64_t pattern,
                    uint32_t cgroup)
{
  slot_word word = slot_same (pattern, cgroup), old;

  if (slot_kind (word) == SLOT_SAME)
    return atomic_exchange (&slots->words[slot], word);

  touch_wide (slots, slot);
  pthread_mutex_lock (stripe (slots, slot));
  atomic_store (&slots->wide[slot], pattern);
  old = atomic_exchange (&slots->words[slot], word);
  pthread_mutex_unlock (stripe (slots, slot));
  return old;
}

/* The pattern and the word are two loads.  If the low bits agree, the pattern
 * is either of the word, or of a writer that is still at work and whose pattern
 * has the same low bits: reading its content already is as right.
 */
bool
slots_read_pattern (const struct slots *slots, uint64_t slot, slot_word word,
                    uint64_t *pattern)
{
  if (slot_kind (word) == SLOT_SAME) {
    *pattern = slot_pattern (word);
    return true;
  }
  *pattern = atomic_load (&slots->wide[slot]);
  return ((*pattern ^ word) & SLOT_PATTERN_MASK) == 0
         && atomic_load (&slots->words[slot]) == word;
}

/* Wide patterns appear and change only under their stripe's lock.  So once the
 * word is seen to be the expected one, nobody but us makes it wide, and the
 * side table may be set before the word: if the exchange then fails, the word
 * is not wide any more and the side table means nothing.
 */
bool
slots_replace (struct slots *slots, uint64_t slot, slot_word word,
               uint64_t pattern, slot_word replacement, uint64_t new_pattern)
{
  bool old_wide = slot_kind (word) == SLOT_SAME_WIDE;
  bool new_wide = slot_kind (replacement) == SLOT_SAME_WIDE;
  slot_word current;
  bool done = false;

  if (new_wide)
    touch_wide (slots, slot);
  if (old_wide || new_wide)
    pthread_mutex_lock (stripe (slots, slot));

  current = atomic_load (&slots->words[slot]);
  if (slot_same_object (current, word) &&
      /* Equal words of two wide patterns may differ in the high bits. */
      (!old_wide || atomic_load (&slots->wide[slot]) == pattern)) {
    if (new_wide)
      atomic_store (&slots->wide[slot], new_pattern);
    do {
      done = atomic_compare_exchange_strong (&slots->words[slot], &current,
                                             replacement);
    } while (!done && slot_same_object (current, word));
    /* Two wide patterns with the same word: ours was there already. */
    done = done || (old_wide && word == replacement);
  }

  if (old_wide || new_wide)
    pthread_mutex_unlock (stripe (slots, slot));
  return done;
}
