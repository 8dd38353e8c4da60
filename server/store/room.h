/* SPDX-License-Identifier: BSD-3-Clause */
/* Room in the pool, when there is none: cleaning makes some, then writeback;
 * writers wait for it, slowed down before that in proportion to what they
 * write, and never for ever.
 */
#ifndef TIERSWAP_ROOM_H
#define TIERSWAP_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct store;
struct wake;
struct worker;

/* A request waits for room at most this long in all, in seconds.  It must be
 * answered before the client gives its connection up: a supervised disk does
 * that after 20 seconds, nbd-client's after 30.  What waits on would never be
 * told that there is no room, for it is sent again each time.
 *
 * A backing that hangs is late after a second, and the others take what it
 * should.  Where there is none a full pool refuses some writes until it has
 * failed or goes on; the kernel keeps those pages in memory, and tries again.
 */
#define ROOM_WAIT_SECONDS 15

/* Make room by cleaning: in TIER if it is the tier that is full, anywhere
 * otherwise.  False if there is nothing left to clean.
 */
extern bool room_clean (struct store *store, unsigned tier, int full);

/* A count of the frames given back so far.  Take it before trying to get one:
 * then none that comes back is missed.
 */
extern uint32_t room_freed (struct store *store);

/* A frame was given back. */
extern void room_tell_waiters (struct store *store);

/* Ask for writeback and wait until more frames than FREED were given back.
 * False if nothing can be written back, or the request has waited long
 * enough.
 */
extern bool room_wait (struct store *store, struct worker *worker,
                       uint32_t freed);

/* After COUNT pages of CGROUP were stored: wait a little if it fills the pool
 * faster than writeback empties it, or its cap.
 */
extern void room_throttle (struct store *store, uint32_t cgroup,
                           uint64_t count);

/* Does CGROUP write at least its share of what is written now? */
extern bool room_is_heavy (struct store *store, uint32_t cgroup);

/* After a segment was opened: wake writeback when the pool is above the mark
 * that it was told of.
 */
extern void room_watch (struct store *store);

/* The same for the cap that CGROUP is under. */
extern void room_watch_cap (struct store *store, uint32_t cgroup);

/* Of who writes back.  WRITER is woken when there is something to do; NULL:
 * nobody writes back any more.
 */
extern void room_serve (struct store *store, struct wake *writer);

/* Do writers wait for room now, and was none made since they looked for it? */
extern bool room_waited_for (struct store *store);

/* Requests for writeback so far; and the answer that up to ASKED nothing can be
 * written back, upon which those writers give up.
 */
extern uint64_t room_asked (struct store *store);
extern void room_in_vain (struct store *store, uint64_t asked);

/* Wake the writer when more than HIGH bytes are used, and from there on slow
 * writers down by what writing back a page takes; 0: not at all.
 */
extern void room_set_pace (struct store *store, uint64_t high,
                           uint64_t page_nanoseconds);

/* The same for what is under a cap. */
extern void room_set_cap_pace (struct store *store, uint32_t cap,
                               uint64_t page_nanoseconds);

/* Find out who causes the pressure: only they are slowed down from then on, and
 * the last frames are not theirs.
 */
extern void room_judge (struct store *store);

/* Nobody is told apart any more, and all frames are everybody's.  True if that
 * gives room to somebody who waits.
 */
extern bool room_acquit (struct store *store);

#endif /* TIERSWAP_ROOM_H */
