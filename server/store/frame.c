/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>

#include "store/frame.h"
#include "store/region.h"
#include "store/state.h"

int
arena_create (struct arena *arena, uint32_t frames, uint32_t reserve,
              struct state *state)
{
  arena->frames = frames;
  arena->state = state;
  arena->base
      = state ? state->arena : region_reserve ((uint64_t) frames * FRAME_BYTES);
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
  if (!arena->state)
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
  if (arena->state)
    state_raise (&arena->state->header->frames_mark, frame);
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
  if (index_stack_count (&arena->ready) > 2 * atomic_load (&arena->reserve)
      && !atomic_load_explicit (&arena->cannot_release, memory_order_relaxed))
    wake_ring (&arena->keeper);
}

/* Give COUNT frames from FRAME on back to the kernel. */
static int
release (struct arena *arena, uint32_t frame, uint32_t count)
{
  void *start = arena_frame (arena, frame);
  size_t length = (size_t) count * FRAME_BYTES;

  if (!arena->state)
    return region_release (start, length);
  if (state_release (arena->state, start, length) == 0)
    return 0;
  atomic_store (&arena->cannot_release, !arena->state->can_release);
  return -1;
}

void
arena_restore (struct arena *arena, uint32_t mark)
{
  uint32_t frame = 0, end;

  atomic_store (&arena->fresh, mark);
  while (frame < mark) {
    struct index_stack *stack = &arena->bare;

    if (atomic_load (&arena->segments[frame])) {
      frame++;
      continue;
    }
    for (end = frame + 1;
         end < mark && atomic_load (&arena->segments[end]) == 0; ++end)
      ;
    if (release (arena, frame, end - frame) == -1)
      stack = &arena->ready;
    /* The lowest on top. */
    for (uint32_t i = end; i-- > frame;)
      index_stack_push (stack, arena->links, i);
    frame = end;
  }
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
  while (index_stack_count (&arena->ready) > 2 * reserve
         && !atomic_load (&arena->cannot_release)) {
    frame = index_stack_pop (&arena->ready, arena->links);
    if (frame == INDEX_NONE)
      break;
    if (release (arena, frame, 1) == -1) {
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
