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

/* Start the threads on a store of MODEL_SIZE bytes without content. */
extern void model_start (struct store *store);

/* Answers so far that were wrong, and requests refused for want of space. */
extern uint64_t model_wrong (void);
extern uint64_t model_refused (void);

/* Stop the threads, and compare the whole store with the oracle. */
extern void model_stop (void);

#endif /* TIERSWAP_TEST_MODEL_H */
