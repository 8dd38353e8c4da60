/* SPDX-License-Identifier: BSD-3-Clause */
/* Room in the pool, when there is none: cleaning makes some, then writeback;
 * writers wait for it, slowed down before that in proportion to what they
 * write, and never for ever.
 */
#ifndef TIERSWAP_ROOM_H
#define TIERSWAP_ROOM_H

#include "store/worker.h"

/* A request waits for room at most this long in all, in seconds. */
#define ROOM_WAIT_SECONDS 20

/* Make room by cleaning: in TIER if it is the tier that is full, anywhere
 * otherwise.  False if there is nothing left to clean.
 */
extern bool room_clean (struct store *store, unsigned tier, int full);

/* Ask for writeback and wait until a frame is free.  False if nothing can be
 * written back, or the request has waited long enough.
 */
extern bool room_wait (struct store *store, struct worker *worker);

/* After COUNT pages were stored: wait a little if the pool fills faster than
 * writeback empties it.
 */
extern void room_throttle (struct store *store, uint64_t count);

/* After a segment was opened: wake writeback when the pool is above the mark
 * that it was told of.
 */
extern void room_watch (struct store *store);

#endif /* TIERSWAP_ROOM_H */
