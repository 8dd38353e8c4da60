/* SPDX-License-Identifier: BSD-3-Clause */
/* The budget: frames are counted against the limits of the pool and of their
 * tier, and for their cgroup, as they are taken and given back.
 *
 * A writer leaves some to the cleaner, which needs one to move objects to
 * before it can give any back; and one that fills the pool faster than others
 * leaves them some.
 */
#ifndef TIERSWAP_BUDGET_H
#define TIERSWAP_BUDGET_H

#include "store/internal.h"

enum room {
  ROOM_TIER_FULL = -1, /* the tier is at its limit */
  ROOM_POOL_FULL = -2, /* the pool is, or there is no frame */
};

/* Count one more frame for OWNER and take it: the frame, or enum room. CLEANER:
 * it may use the last ones.
 */
extern int64_t budget_take (struct store *store, uint32_t owner, bool cleaner);

/* May a writer have one more frame of TIER, as far as the tier's own limit
 * goes?
 */
extern bool budget_tier_has_room (struct store *store, unsigned tier);

/* Count a frame for a segment of OWNER that comes back to memory, and take
 * it.  FRAME_NONE if there is no room.
 */
extern uint32_t segment_take_frame (struct store *store, uint32_t owner);
extern void segment_give_frame (struct store *store, uint32_t owner,
                                uint32_t frame);

/* More memory than ever may be in use now. */
extern void budget_note_peak (struct store *store);

#endif /* TIERSWAP_BUDGET_H */
