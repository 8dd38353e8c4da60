/* SPDX-License-Identifier: BSD-3-Clause */
/* Damage: live objects in memory that are not reached by the headers of their
 * segment any more, since a bit of one has flipped.
 *
 * Whoever empties a segment and still finds something live in it hands it over
 * here, claimed: nobody else comes upon it again.  The cleaner's thread looks
 * at it a moment later.  Mostly somebody had taken a word out of the table and
 * not yet subtracted its object, and the segment is free by then.  If not, it
 * looks up in the slot table what is in the segment, object by object:
 *   - one that is as its word has it was only out of reach: it is moved;
 *   - one whose checksum is right once the header says what the word says is
 *     mended: it is moved with that header;
 *   - the pages of any other are lost.  Each becomes an object of one byte,
 *     which reads as an error until the page is written anew (slot_is_lost).
 * The segment is free then.  One in which something stays live although no word
 * points there stays claimed for good.
 */
#ifndef TIERSWAP_DAMAGE_H
#define TIERSWAP_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/slot.h"

struct object;
struct store;

/* Segments that may wait to be looked at. */
#define DAMAGE_SUSPECTS 64

extern void damage_create (struct store *store);
extern void damage_free (struct store *store);

/* All that the headers of a claimed segment lead to was moved: the claim ends,
 * or is handed over if something is left.  False if too many are waiting: then
 * the claim has ended, too, and what is left is where it was.
 */
extern bool damage_end_claim (struct store *store, uint32_t segment);

/* Is something live in a claimed segment that its headers do not lead to?  Also
 * true if somebody was just at work on it.
 */
extern bool damage_suspected (struct store *store, uint32_t segment);

/* Does any segment wait to be looked at? */
extern bool damage_waits (struct store *store);

/* Look at them.  AT_REST: nobody is at work, what does not add up now never
 * will.  By one thread at a time, the cleaner's lock of a round is held.
 */
extern void damage_look (struct store *store, bool at_rest);

/* Is the object AT right once its header says what WORD of SLOT says?  Of a
 * page alone: a group is not read by a header in doubt.
 */
extern bool damage_is_mendable (const struct object *at, uint64_t slot,
                                slot_word word, uint32_t stamp);

/* The page of SLOT, in memory, cannot be read: say so, the first time. */
extern void damage_tell (struct store *store, uint64_t slot);

#endif /* TIERSWAP_DAMAGE_H */
