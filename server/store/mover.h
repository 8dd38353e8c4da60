/* SPDX-License-Identifier: BSD-3-Clause */
/* The mover: whole segments between memory and backings.
 *
 * A segment goes to a backing by one large write of its frame, up to its tail,
 * and one store of its place; it comes back by one large read, whose objects
 * are all checked first.  Many moves are in flight at once.  A mover belongs
 * to one thread.
 *
 * A backing may hang: then its moves end only by their deadline, half a minute
 * later.  So that they do not take all that a mover has, who uses it for
 * several backings starts no more than MOVER_SHARE moves on each; and it can
 * tell which are late, to wait only for the others.
 */
#ifndef TIERSWAP_MOVER_H
#define TIERSWAP_MOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

#define MOVER_DEPTH 32
/* Of it for each backing, so that one that hangs leaves the others theirs: 2
 * MiB under way keep disks and servers at work.
 */
#define MOVER_SHARE (MOVER_DEPTH / STORE_BACKINGS)

struct mover;

/* How a move ended. */
struct moved {
  uint32_t segment;
  unsigned backing;
  bool to_memory;
  int error; /* 0, or why it stays where it was; EBADMSG: damaged there */
  uint64_t bytes, pages;
  uint64_t tag; /* as it was set when it began */
};

/* NULL with errno. */
extern struct mover *mover_create (struct store *store);
extern void mover_free (struct mover *mover);

extern unsigned mover_in_flight (const struct mover *mover);
extern unsigned mover_in_flight_on (const struct mover *mover,
                                    unsigned backing);

/* Moves that begin from now on carry a TAG, which is 0 at first. */
extern void mover_set_tag (struct mover *mover, uint64_t tag);

/* Pages of the segments that are being written by moves with this tag. */
extern uint64_t mover_pages_in_flight (const struct mover *mover, uint64_t tag);

/* A backing is late when moves are in flight on it and none of them has ended,
 * as far as they were waited for, for so many nanoseconds: it may hang.  Disks
 * and servers that work end one of MOVER_SHARE moves in far less time, and it
 * is not yet much for a program that waits meanwhile.
 */
#define MOVER_PATIENCE UINT64_C (1000000000)

/* A bit for each backing that is late. */
extern unsigned mover_late (const struct mover *mover);

/* Nanoseconds until all on which moves are in flight are late, 0: they are. */
extern uint64_t mover_late_in (const struct mover *mover);

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

/* The same, but no longer than so many nanoseconds: false also when none has
 * ended.  0: one that has ended already.
 */
extern bool mover_wait_for (struct mover *mover, struct moved *moved,
                            uint64_t nanoseconds);

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
