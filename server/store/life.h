/* SPDX-License-Identifier: BSD-3-Clause */
/* A segment's life: it is opened for an owner, sealed and listed when it is
 * full, claimed, moved, and free when nothing is left in it.
 *
 * Whoever takes the last thing away (a pin, a hold, a claim, a live object)
 * does what follows from it; the invariants are in segment.h.
 */
#ifndef TIERSWAP_LIFE_H
#define TIERSWAP_LIFE_H

#include "store/budget.h"

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

/* Take it out of its list, if it is in one. */
extern void segment_unlist (struct store *store, uint32_t owner,
                            uint32_t number);

/* Claim a segment: nobody else moves or cleans it, and it is not freed.  False
 * if it is not sealed, not all written, empty, or claimed.
 */
extern bool segment_claim (struct store *store, uint32_t number);

/* The same, false also if it is not in memory: who found it there, or loaded it
 * himself, does not know where it is until the claim is his.
 */
extern bool segment_claim_in_memory (struct store *store, uint32_t number);

/* A claimed segment has been copied to PLACE: readers go there from now on,
 * the old place is given back when the last of them has left it, and the
 * claim ends.
 */
extern void segment_move (struct store *store, uint32_t number, uint64_t place);

/* Replace OWNER's open segment of STREAM, found full as OPEN (+ 1, 0: there was
 * none), by a new one.  0, or enum room.
 */
extern int owner_advance (struct store *store, uint32_t owner,
                          enum stream stream, uint32_t open, bool cleaner);

/* Seal OWNER's open segment of STREAM, if it has one that was written to, not
 * later than BEFORE.
 */
extern bool owner_seal (struct store *store, uint32_t owner, enum stream stream,
                        uint32_t before);

#endif /* TIERSWAP_LIFE_H */
