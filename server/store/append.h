/* SPDX-License-Identifier: BSD-3-Clause */
/* Appending objects to an owner's open segment, and what ends a segment.
 *
 * One append is: reserve space for as many objects as fit by moving the tail,
 * copy them, publish their slot words, drop the hold.  Nothing is waited for
 * but the owner's lock when a segment is full, once in 256 KiB.
 */
#ifndef TIERSWAP_APPEND_H
#define TIERSWAP_APPEND_H

#include "store/internal.h"

/* A page to append.  The pages of a group follow one another and have the same
 * object; all are there but in a group that is copied with dead members.
 */
struct append {
  const struct object *object; /* complete with its header */
  uint32_t slot;
  uint32_t stamp; /* of the segment that the object is in; 0: it is in none */
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

enum room {
  ROOM_TIER_FULL = -1, /* the tier is at its limit */
  ROOM_POOL_FULL = -2, /* the pool is, or there is no frame */
};

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

/* Release what WORD stood for, after it was taken out of the table. */
extern void store_release (struct store *store, slot_word word);

/* Seconds on the monotonic clock, which is how segments tell their age. */
extern uint32_t store_seconds (void);

/* Take back a pin or a hold; the last one may free the segment or the place
 * that it left.
 */
extern void segment_unpin (struct store *store, uint32_t number);
extern void segment_drop (struct store *store, uint32_t number,
                          uint64_t control_units);

/* Free a segment if nothing keeps it. */
extern void segment_try_free (struct store *store, uint32_t number);

/* Put a segment at the new end of its list.  Under the owner's lock. */
extern void segment_list (struct store *store, uint32_t owner, uint32_t number,
                          enum stream stream);

/* Claim a segment: nobody else moves or cleans it, and it is not freed.  False
 * if it is not sealed, not all written, empty, or claimed.
 */
extern bool segment_claim (struct store *store, uint32_t number);

/* A claimed segment has been copied to PLACE: readers go there from now on,
 * the old place is given back when the last of them has left it, and the
 * claim ends.
 */
extern void segment_move (struct store *store, uint32_t number, uint64_t place);

/* Count a frame for a segment of OWNER that comes back to memory, and take
 * it.  FRAME_NONE if there is no room.
 */
extern uint32_t segment_take_frame (struct store *store, uint32_t owner);
extern void segment_give_frame (struct store *store, uint32_t owner,
                                uint32_t frame);

/* Seal OWNER's open segment of STREAM, if it has one that was written to, not
 * later than BEFORE.
 */
extern bool owner_seal (struct store *store, uint32_t owner, enum stream stream,
                        uint32_t before);

#endif /* TIERSWAP_APPEND_H */
