/* SPDX-License-Identifier: BSD-3-Clause */
/* A wake-up for one background thread, cheap for those who ring: one load
 * when it is already rung, one exchange and a futex call when it is not.
 */
#ifndef TIERSWAP_WAKE_H
#define TIERSWAP_WAKE_H

#include <stdatomic.h>
#include <stdint.h>

struct wake {
  _Atomic uint32_t rung; /* 0: its thread sleeps or soon will */
};

/* Make the thread run at least once after this call. */
extern void wake_ring_slow (struct wake *wake);

static inline void
wake_ring (struct wake *wake)
{
  if (atomic_load_explicit (&wake->rung, memory_order_seq_cst) == 0)
    wake_ring_slow (wake);
}

/* Sleep until rung, or for MILLISECONDS (-1: no limit); then be ready to be
 * rung again.
 */
extern void wake_wait (struct wake *wake, int milliseconds);

#endif /* TIERSWAP_WAKE_H */
