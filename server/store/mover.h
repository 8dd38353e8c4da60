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

#include "store/internal.h"

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

/* Wait for a move to end; the claim has ended with it.  False when none is in
 * flight.
 */
extern bool mover_wait (struct mover *mover, struct moved *moved);

#endif /* TIERSWAP_MOVER_H */
