/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes back from backings to go elsewhere: everything, from one that is
 * drained; what is left in sparse extents, where free ones run low.  Each does
 * a part of it, and tells whether it did anything.
 *
 * A backing is drained by a thread of its own: when it does not answer, that
 * thread waits for it, and nothing else does.  It also waits for one that it
 * passes segments on to, if that hangs before it is known to be late.  Merging
 * is the writeback thread's, and is left where it stands when a backing is
 * late.
 */
#ifndef TIERSWAP_DRAIN_H
#define TIERSWAP_DRAIN_H

#include <stdbool.h>

/* Milliseconds after which is looked whether there is something to do. */
#define DRAIN_POLL_MILLISECONDS 1000

struct writeback;

extern void drain_create (struct writeback *writeback);

/* Wait for all drainers to end; they were told to. */
extern void drain_free (struct writeback *writeback);

/* They look at once, by any thread. */
extern void drain_kick (struct writeback *writeback);

/* Start those that are needed.  ROOM: there may be more room than before.  By
 * the writeback thread, as all that follows.
 */
extern void drain_wake (struct writeback *writeback, bool room);

/* Is anything being drained at this moment?  By any thread. */
extern bool drain_at_work (struct writeback *writeback);

/* A part of merging; whether it did anything. */
extern bool drain_merge (struct writeback *writeback);

/* Those that shall leave are closed when they are empty. */
extern void drain_close_empty (struct writeback *writeback);

#endif /* TIERSWAP_DRAIN_H */
