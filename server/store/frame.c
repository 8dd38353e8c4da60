/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>

#include "store/frame.h"
#include "store/region.h"

int
arena_create (struct arena *arena, uint32_t frames, uint32_t reserve)
{
  arena->frames = frames;
  arena->base = region_reserve ((uint64_t) frames * FRAME_BYTES);
  arena->links = region_reserve ((uint64_t) frames * sizeof *arena->links);
  arena->segments
      = region_reserve ((uint64_t) frames * sizeof *arena->segments);
  atomic_init (&arena->fresh, 0);
  atomic_init (&arena->reserve, reserve);
  if (!arena->base || !arena->links || !arena->segments) {
    arena_free (arena);
    errno = ENOMEM;
    return -1;
  }
  return 0;
}

void
arena_free (struct arena *arena)
{
  region_free (arena->base, (uint64_t) arena->frames * FRAME_BYTES);
  region_free ((void *) arena->links,
               (uint64_t) arena->frames * sizeof *arena->links);
  region_free ((void *) arena->segments,
               (uint64_t) arena->frames * sizeof *arena->segments);
}

/* A frame without memory: one given back before, or one never used. */
static uint32_t
take_bare (struct arena *arena)
{
  uint32_t frame = index_stack_pop (&arena->bare, arena->links);

  if (frame != INDEX_NONE)
    return frame;
  frame = atomic_load (&arena->fresh);
  do {
    if (frame >= arena->frames)
      return FRAME_NONE;
  } while (!atomic_compare_exchange_weak (&arena->fresh, &frame, frame + 1));
  return frame;
}

uint32_t
arena_take (struct arena *arena)
{
  uint32_t frame = index_stack_pop (&arena->ready, arena->links);

  if (index_stack_count (&arena->ready) < atomic_load (&arena->reserve))
    wake_ring (&arena->keeper);
  return frame != INDEX_NONE ? frame : take_bare (arena);
}

void
arena_give (struct arena *arena, uint32_t frame)
{
  index_stack_push (&arena->ready, arena->links, frame);
  if (index_stack_count (&arena->ready) > 2 * atomic_load (&arena->reserve))
    wake_ring (&arena->keeper);
}

void
arena_keep (struct arena *arena)
{
  uint32_t reserve = atomic_load (&arena->reserve), frame;

  while (index_stack_count (&arena->ready) < reserve) {
    frame = take_bare (arena);
    if (frame == FRAME_NONE)
      break;
    if (region_populate (arena_frame (arena, frame), FRAME_BYTES) == -1) {
      index_stack_push (&arena->bare, arena->links, frame);
      break;
    }
    index_stack_push (&arena->ready, arena->links, frame);
  }
  while (index_stack_count (&arena->ready) > 2 * reserve) {
    frame = index_stack_pop (&arena->ready, arena->links);
    if (frame == INDEX_NONE)
      break;
    if (region_release (arena_frame (arena, frame), FRAME_BYTES) == -1) {
      index_stack_push (&arena->ready, arena->links, frame);
      break;
    }
    index_stack_push (&arena->bare, arena->links, frame);
  }
}

uint64_t
arena_ready_bytes (const struct arena *arena)
{
  return (uint64_t) index_stack_count (&arena->ready) * FRAME_BYTES;
}
