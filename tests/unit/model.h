/* SPDX-License-Identifier: BSD-3-Clause */
/* The model: threads do random writes, reads, trims and zeros of random sizes
 * and alignments on a store, and a plain array is the oracle.
 *
 * A lock a page in the test makes overlapping requests take turns, so that
 * the oracle is exact; the store is not told of them.
 */
#ifndef TIERSWAP_TEST_MODEL_H
#define TIERSWAP_TEST_MODEL_H

#include <stdint.h>

#include "store/store.h"

#define MODEL_PAGES 6000
#define MODEL_SIZE ((uint64_t) MODEL_PAGES * PAGE_BYTES)

/* How requests get to the store that belong to somebody.  CHOICE is a number at
 * random, of whose they are.
 */
struct model_front {
  int (*write) (const void *buffer, size_t count, uint64_t offset,
                uint64_t choice);
  int (*zero) (uint64_t count, uint64_t offset, bool punch, uint64_t choice);
};

/* Start the threads on a store of at least MODEL_SIZE bytes without content.
 * FRONT is NULL: as requests of a few cgroups with fixed policies.
 */
extern void model_start (struct store *store, const struct model_front *front);

/* Demote a few segments out of TIER, of any age and also such as were tried
 * before, in groups of up to so many pages.  The pages that were.
 */
extern int64_t model_demote (struct store *store, unsigned tier,
                             unsigned group);

/* Look at every page while nobody writes to it. */
extern void model_look (void (*look) (unsigned page));

/* Answers so far that were wrong, and requests refused for want of space. */
extern uint64_t model_wrong (void);
extern uint64_t model_refused (void);

/* Stop the threads, and compare the whole store with the oracle. */
extern void model_stop (void);

#endif /* TIERSWAP_TEST_MODEL_H */
