/* SPDX-License-Identifier: BSD-3-Clause */
/* The extent allocator of one backing.
 *
 * Promises:
 * - Allocating and freeing are O(1) and may be done by any thread; the lock
 *   is never held across I/O.
 * - Memory is 4 bytes an extent that was ever used.
 * - An extent that was freed is emptied ("trimmed") by whoever calls
 *   extents_take_freed, or handed out again before that; never both at once.
 * - An extent is not handed out while a write to it may still be under way
 *   below this process (see extents_hold and extents_pause).
 *
 * An extent is in one of these states:
 *
 *   fresh     never used; all from a mark upward are fresh
 *   used      allocated
 *   freed     given back, its old content is still there
 *   trimming  taken by the janitor, which is emptying or probing it
 *   parked    given back while held; freed when the hold ends
 *   clean     emptied
 */
#ifndef TIERSWAP_EXTENTS_H
#define TIERSWAP_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXTENTS_MAX (UINT32_MAX - 16)

struct extents;

/* NULL with errno ENOMEM or EFBIG. */
extern struct extents *extents_create (uint64_t capacity);
extern void extents_destroy (struct extents *extents);

extern uint64_t extents_capacity (struct extents *extents);
extern uint64_t extents_used (struct extents *extents);
extern bool extents_is_used (struct extents *extents, uint64_t extent);
/* All extents from here on were never used. */
extern uint64_t extents_fresh (struct extents *extents);

/* An extent, or -1 with errno ENOSPC. */
extern int64_t extents_allocate (struct extents *extents);
extern void extents_free (struct extents *extents, uint64_t extent);

/* Of a new allocator, before it is used: EXTENT is used.  -1 with errno EEXIST
 * if it was already, or EINVAL if there is none.  Then all others below MARK
 * (and below the used ones) are freed ones; -1 with errno EINVAL if there are
 * not so many.
 */
extern int extents_restore (struct extents *extents, uint64_t extent);
extern int extents_restored (struct extents *extents, uint64_t mark);

/* Grow, or shrink if no extent above is in use.  Waits, some seconds at most,
 * for extents above that are being trimmed.  -1 with errno EBUSY and in *BUSY
 * how many are in use above, or ENOMEM or EFBIG.
 */
extern int extents_resize (struct extents *extents, uint64_t capacity,
                           uint64_t *busy);

/* For the janitor: take up to MAX freed extents in order to empty them; how
 * many there were.  They come back by extents_put_clean.
 */
extern size_t extents_take_freed (struct extents *extents, uint32_t *batch,
                                  size_t max);
extern void extents_put_clean (struct extents *extents, const uint32_t *batch,
                               size_t count);

extern void extents_put_freed (struct extents *extents, const uint32_t *batch,
                               size_t count);

/* Whether extents_take_freed would find some. */
extern bool extents_have_freed (struct extents *extents);

/* For the probe: take an extent nobody uses, without counting it as used; -1
 * if there is none.  Without FRESH none that was never used.  It comes back by
 * extents_put_freed.
 */
extern int64_t extents_take_spare (struct extents *extents, bool fresh);

/* While a hold stands its extent is not handed out or trimmed, even when it is
 * freed.  The record belongs to the caller; there may be several for one
 * extent.  A hold must begin before the extent is freed.
 */
struct extents_hold {
  uint64_t extent;
  struct extents_hold *next;
};
extern void extents_hold (struct extents *extents, struct extents_hold *hold);
extern void extents_release (struct extents *extents,
                             struct extents_hold *hold);

/* While paused no freed extent is handed out or trimmed. */
extern void extents_pause (struct extents *extents, bool pause);

#endif /* TIERSWAP_EXTENTS_H */
