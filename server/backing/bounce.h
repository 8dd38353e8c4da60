/* SPDX-License-Identifier: BSD-3-Clause */
/* The bounce buffers of a queue: memory for what may not go straight to or
 * from the caller's.  A small one for each request, in memory from the start
 * and in one piece, so that it can be registered with the kernel; and a few
 * large ones, that take memory as far as they are used, the same ones first,
 * unless they are reserved.
 */
#ifndef TIERSWAP_BACKING_BOUNCE_H
#define TIERSWAP_BACKING_BOUNCE_H

#include <stddef.h>

#include "backing/backing.h"

#define SMALL_BOUNCE 8192 /* bytes; what holds any one page as stored */
#define LARGE_BOUNCES 32  /* of EXTENT_BYTES each */

struct bounce {
  char *small, *large;
  size_t small_bytes;
  int free[LARGE_BOUNCES], free_count, count; /* of the large ones */
};

/* For REQUESTS requests of which at most DEPTH use large buffers.  -1 with
 * errno ENOMEM.  BOUNCE is all zeros before.
 */
extern int bounce_create (struct bounce *bounce, unsigned requests,
                          unsigned depth);
extern void bounce_destroy (struct bounce *bounce);

/* Map the large ones; have memory behind all of them.  -1 with errno ENOMEM.
 */
extern int bounce_map (struct bounce *bounce);
extern int bounce_reserve (struct bounce *bounce);

static inline char *
bounce_small (const struct bounce *bounce, size_t request)
{
  return bounce->small + request * SMALL_BOUNCE;
}

static inline char *
bounce_large (const struct bounce *bounce, int large)
{
  return bounce->large + (size_t) large * EXTENT_BYTES;
}

/* One must be free. */
static inline int
bounce_take_large (struct bounce *bounce)
{
  return bounce->free[--bounce->free_count];
}

static inline void
bounce_put_large (struct bounce *bounce, int large)
{
  bounce->free[bounce->free_count++] = large;
}

#endif /* TIERSWAP_BACKING_BOUNCE_H */
