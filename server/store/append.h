/* SPDX-License-Identifier: BSD-3-Clause */
/* Appending objects to an owner's open segment.
 *
 * One append is: reserve space for as many objects as fit by moving the tail,
 * copy them, publish their slot words, drop the hold.  Nothing is waited for
 * but the owner's lock when a segment is full, once in 256 KiB.
 */
#ifndef TIERSWAP_APPEND_H
#define TIERSWAP_APPEND_H

#include "store/life.h"

/* A page to append.  The pages of a group follow one another and have the same
 * object; all are there but in a group that is copied with dead members.
 */
struct append {
  const struct object *object; /* complete with its header */
  uint32_t slot;
  /* The word that it replaces, for append_replace.  For a same-filled one
   * PATTERN is its pattern.
   */
  slot_word expected;
  uint64_t pattern;
  bool done; /* set by append_replace: the word was still the expected one */
};

/* Where the pages of the next object begin in a list of COUNT. */
static inline unsigned
append_next (const struct append *list, unsigned count, unsigned i)
{
  const struct object *object = list[i].object;

  while (++i < count && list[i].object == object)
    ;
  return i;
}

/* Append and publish the first of COUNT objects, as many as fit into one
 * segment, whatever their slots held before; those old objects are released.
 * Returns how many, at least one, or enum room.
 */
extern int append_overwrite (struct store *store, uint32_t owner,
                             const struct append *list, unsigned count);

/* Append and publish those whose slot word is still the expected one.  The
 * caller releases the old objects of those that are done.  Returns how many
 * of the list were dealt with, or enum room.
 * TIME is when the objects were written, 0: now.  CLEANER: it may use the
 * last frames, since it will give back more.
 */
struct append_target {
  uint32_t owner;
  enum stream stream;
  uint32_t time;
  bool cleaner;
  bool keep_referenced; /* an object read since is still one that was read */
};
extern int append_replace (struct store *store,
                           const struct append_target *target,
                           struct append *list, unsigned count);

#endif /* TIERSWAP_APPEND_H */
