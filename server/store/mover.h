/* SPDX-License-Identifier: BSD-3-Clause */
/* The mover: whole segments between memory and backings.
 *
 * A segment goes to a backing by one large write of its frame, up to its tail,
 * and one store of its place; it comes back by one large read, whose objects
 * are all checked first.  Many moves are in flight at once.  A mover belongs
 * to one thread.
 */
#ifndef TIERSWAP_MOVER_H
#define TIERSWAP_MOVER_H

#include <stdbool.h>
#include <stdint.h>

struct store;

#define MOVER_DEPTH 32

struct mover;

/* How a move ended. */
struct moved {
  uint32_t segment;
  unsigned backing;
  bool to_memory;
  int error; /* 0, or why it stays where it was */
  uint64_t bytes, pages;
};

/* NULL with errno. */
extern struct mover *mover_create (struct store *store);
extern void mover_free (struct mover *mover);

extern unsigned mover_in_flight (const struct mover *mover);

/* Pages of the segments that are being written. */
extern uint64_t mover_pages_in_flight (const struct mover *mover);

/* Start to move a claimed segment that is in memory to a backing.  -1 with
 * errno ENOSPC or EAGAIN (see backing_extent_allocate), or EBUSY when
 * MOVER_DEPTH moves are in flight; the claim then stays with the caller.
 */
extern int mover_write (struct mover *mover, uint32_t segment,
                        unsigned backing);

/* Start to move a claimed segment that is on a backing to memory.  -1 with
 * errno ENOSPC when memory has no room for it, or EBUSY.
 */
extern int mover_load (struct mover *mover, uint32_t segment);

/* May a claimed segment be loaded to be packed?  Then there have to be frames
 * for its pages beside the one that it takes itself.
 */
extern bool mover_may_load (struct store *store, uint32_t segment);

/* Wait for a move to end; the claim has ended with it.  False when none is in
 * flight.
 */
extern bool mover_wait (struct mover *mover, struct moved *moved);

/* Claim a segment that is known by its number alone in order to write it back,
 * or end the claim.  False also if somebody has moved it to a backing since it
 * was found in memory, or if it has become another one that is never written
 * back.
 */
extern bool mover_claim (struct store *store, uint32_t segment);
extern void mover_unclaim (struct store *store, uint32_t segment);

/* Of a claimed segment: its writeback class; the bytes that writing it takes;
 * its pages; and whether it is worth writing as it is: nearly all of it live,
 * nothing read since, nothing shorter than LEAST stored bytes to be sorted out,
 * and nothing damaged as far as headers tell.
 */
extern unsigned mover_class (struct store *store, uint32_t segment);
extern uint64_t mover_bytes (struct store *store, uint32_t segment);
extern uint64_t mover_pages (struct store *store, uint32_t segment);
extern bool mover_is_packed (struct store *store, uint32_t segment,
                             uint32_t least);

/* Pack the pages of a claimed segment together with those of others for
 * writeback, but for the ones that are shorter than LEAST stored bytes or
 * were read since: they stay in memory.  The claim ends.  -1 if there was no
 * frame for it.
 */
extern int mover_pack (struct store *store, uint32_t segment, uint32_t least);

#endif /* TIERSWAP_MOVER_H */
