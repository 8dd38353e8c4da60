/* SPDX-License-Identifier: BSD-3-Clause */
/* The arena: memory frames of one segment each.
 *
 * A frame is ready (backed by memory, at hand), bare (given back to the
 * kernel) or in use.  A keeper thread holds the number of ready frames near
 * the reserve: it populates bare ones ahead of need and gives back what is more
 * than twice the reserve, so that neither happens in the path of a request,
 * and so that a write never waits for memory that only this very write can
 * free.
 *
 * In a state on ramfs nothing can be given back to the kernel: there what was
 * once ready stays so.
 */
#ifndef TIERSWAP_FRAME_H
#define TIERSWAP_FRAME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/wake.h"
#include "store/index_stack.h"

#define FRAME_BYTES (256 * 1024)
#define FRAME_NONE INDEX_NONE

struct state;

struct arena {
  struct state *state; /* that the frames are in, or NULL */
  _Atomic bool cannot_release;
  unsigned char *base;
  uint32_t frames;            /* capacity */
  _Atomic uint32_t *links;    /* of both stacks; a frame is on one at most */
  _Atomic uint32_t *segments; /* of a frame in use: its segment + 1, else 0 */
  _Atomic uint32_t fresh;     /* frames from here on were never used */
  struct index_stack ready, bare;
  _Atomic uint32_t reserve; /* frames that shall be ready */
  struct wake keeper;       /* wakes the keeper */
};

/* With the frames of STATE, if it is not NULL; FRAMES is then how many it has.
 * -1 with errno.
 */
extern int arena_create (struct arena *arena, uint32_t frames, uint32_t reserve,
                         struct state *state);
extern void arena_free (struct arena *arena);

/* Of a new arena, in which arena->segments says what is in use: frames below
 * MARK that are not are given back to the kernel, or ready where that cannot
 * be.
 */
extern void arena_restore (struct arena *arena, uint32_t mark);

/* A frame to use, or FRAME_NONE if the arena has no more. */
extern uint32_t arena_take (struct arena *arena);

/* Give a frame back. */
extern void arena_give (struct arena *arena, uint32_t frame);

/* One round of the keeper: bring the ready frames to the reserve. */
extern void arena_keep (struct arena *arena);

/* Frames that are ready, and memory they hold in bytes. */
extern uint64_t arena_ready_bytes (const struct arena *arena);

static inline unsigned char *
arena_frame (const struct arena *arena, uint32_t frame)
{
  return arena->base + (uint64_t) frame * FRAME_BYTES;
}

/* Frames below this number may be in use. */
static inline uint32_t
arena_high_water (const struct arena *arena)
{
  return atomic_load_explicit (&arena->fresh, memory_order_relaxed);
}

#endif /* TIERSWAP_FRAME_H */
