/* SPDX-License-Identifier: BSD-3-Clause */
/* Proving the invariants of the live state, while it is being changed.
 *
 * What is looked at is pinned as a reader pins it, so what a slot word points
 * at is there while it is judged.  Counts are judged by what can be said in
 * spite of others at work: a segment's count is right if nothing was added to
 * it or taken from it while its objects were counted and both are the same.  If
 * they differ, somebody may have taken a word out of the table and not yet
 * subtracted its object; that takes him a moment, so it is wrong only if it
 * stays so for the whole of the patience.  A segment that changed each time it
 * was looked at is told as unsettled: it is neither right nor wrong.
 *
 * It holds one segment in memory at a time for as long as its objects are
 * counted, and some hundreds of those on backings for a walk over the slot
 * table; none of them is freed meanwhile, and nobody waits for it.
 */
#ifndef TIERSWAP_CHECK_H
#define TIERSWAP_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct store;

/* Seconds for which a count that does not add up may be somebody at work. */
#define CHECK_PATIENCE 30

struct store_check {
  /* Set by the caller: */
  const _Atomic bool *cancel; /* NULL: it cannot be called off */
  unsigned patience;          /* seconds; 0: nothing is in progress */

  /* How far it is, for other threads: slots. */
  _Atomic uint64_t looked, slots;

  /* What came of it. */
  uint64_t pages, pages_same; /* right */
  uint64_t pages_lost;        /* of PAGES: those that read as errors */
  uint64_t segments;          /* whose counts add up */
  uint64_t unsettled;         /* segments that always changed */
  char wrong[128];            /* the first thing that is wrong, or empty */
};

/* -1 with errno EUCLEAN and WRONG, also as a message; ECANCELED; ENOMEM. */
extern int store_check_live (struct store *store, struct store_check *check);

#endif /* TIERSWAP_CHECK_H */
