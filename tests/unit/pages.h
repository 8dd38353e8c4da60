/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages of known kinds for tests: the same kind and seed give the same page. */
#ifndef TIERSWAP_TEST_PAGES_H
#define TIERSWAP_TEST_PAGES_H

#include <stdint.h>

/* Nanoseconds until a backing is late where that is not what is tested: no test
 * depends on how long a disk rests.
 */
#define PAGES_PATIENCE (UINT64_C (600) * 1000000000)

enum page_kind {
  PAGE_ZERO,     /* same-filled with 0 */
  PAGE_SMALL,    /* same-filled with a small number */
  PAGE_WIDE,     /* same-filled with a random 8-byte pattern */
  PAGE_TEXT,     /* words of English */
  PAGE_POINTERS, /* 8-byte addresses near each other, and nulls */
  PAGE_HALF,     /* half random, half zeros */
  PAGE_RANDOM,   /* incompressible */
  PAGE_KINDS
};

/* splitmix64 (Steele, Lea and Flood, 2014): the next number of STATE. */
extern uint64_t random_next (uint64_t *state);

extern void page_make (unsigned char page[4096], enum page_kind kind,
                       uint64_t seed);

#endif /* TIERSWAP_TEST_PAGES_H */
