/* SPDX-License-Identifier: BSD-3-Clause */
/* The cleaner: live objects are copied out of sparse segments, which are then
 * free.
 *
 * Victims are found by looking at the control words of all segments in memory
 * once for many of them, and taken the emptiest first.  Anybody may clean: the
 * cleaner's thread in the background, writers when it falls behind, and
 * whoever needs room when the pool is at its limit.  A segment is cleaned by
 * one at a time (it is busy); nobody waits for it.
 */
#ifndef TIERSWAP_CLEANER_H
#define TIERSWAP_CLEANER_H

#include "store/append.h"
#include "store/internal.h"

#define ANY_TIER UINT32_MAX

/* -1 with errno ENOMEM. */
extern int cleaner_create (struct store *store);
extern void cleaner_free (struct store *store);

/* The thread's function; the argument is the store. */
extern void *cleaner_run (void *store);

/* Clean one segment of TIER (or ANY_TIER) of which at least DEAD_UNITS units
 * are dead.  Returns the units that became free, 0 if there was no such
 * segment, or -1 if there was no frame to move its objects to.
 */
extern int cleaner_clean_one (struct store *store, uint32_t tier,
                              uint32_t dead_units);

/* What of a segment is packed for writeback. */
struct outgoing {
  uint32_t least; /* stored bytes: shorter objects stay */
};

/* Copy the live objects out of a claimed segment in memory, and end the
 * claim; it is free then, unless readers keep it a moment.  They go to the
 * owner's survivors; or, if OUTGOING is not NULL, to the segments packed for
 * writeback, but for those that stay: the short ones, which keep their age, and
 * those read since, which are young again.
 * -1 if there was no frame to move them to; those not moved are where they
 * were.  Also -1 if some were not found and must be looked for (damage.h), but
 * too many segments wait for that already.
 */
extern int cleaner_empty (struct store *store, uint32_t number,
                          const struct outgoing *outgoing);

/* After a writer opened a segment: wake the cleaner, and help if it is
 * behind.
 */
extern void cleaner_pace (struct store *store, uint64_t opened_before);

/* A request changed something: a cleaner at rest looks again, soon. */
static inline void
cleaner_disturb (struct store *store)
{
  if (atomic_load_explicit (&store->cleaner.asleep, memory_order_relaxed)
      && atomic_exchange (&store->cleaner.asleep, false))
    wake_ring (&store->cleaner.wake);
}

/* Dead space from which on a segment is worth cleaning when the pool is at its
 * limit, or when everything shall be compacted: 1/32.
 */
#define CLEANER_WORTH (SEGMENT_UNITS / 32)

#endif /* TIERSWAP_CLEANER_H */
