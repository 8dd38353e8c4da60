/* SPDX-License-Identifier: BSD-3-Clause */
/* When a server that has ended is started again: at once, if it had run for a
 * while; one that ends soon after each start is started ever more seldom, so
 * that what is wrong with it does not take the machine's CPU from whoever mends
 * it.
 *
 * The pauses are from one start to the next: 0.1 s, then twice as long each
 * time, up to 10 s.  Times are in milliseconds of a clock that only goes
 * forward.
 */
#ifndef TIERSWAP_BACKOFF_H
#define TIERSWAP_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define BACKOFF_LEAST 100
#define BACKOFF_MOST 10000

struct backoff {
  int64_t started; /* when it was last */
  int64_t delay;   /* from then to the next start, at least */
};

/* It is started at NOW, whether that succeeds or not. */
extern void backoff_start (struct backoff *backoff, int64_t now);

/* It has ended at NOW. */
extern void backoff_end (struct backoff *backoff, int64_t now);

/* Whether it may be started at NOW. */
extern bool backoff_is_over (const struct backoff *backoff, int64_t now);

#endif /* TIERSWAP_BACKOFF_H */
