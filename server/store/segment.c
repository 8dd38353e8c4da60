/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "store/region.h"
#include "store/segment.h"
#include "store/state.h"

int
segments_create (struct segments *segments, uint32_t capacity,
                 struct state *state)
{
  segments->capacity = capacity;
  segments->mark = state ? &state->header->segments_mark : NULL;
  segments->table
      = state ? state->table
              : region_reserve ((uint64_t) capacity * sizeof *segments->table);
  segments->links
      = region_reserve ((uint64_t) capacity * sizeof *segments->links);
  atomic_init (&segments->fresh, 0);
  atomic_init (&segments->own_stamps, segments_first_stamp ());
  segments->stamps = state ? state_stamps (state) : &segments->own_stamps;
  if (!segments->table || !segments->links) {
    segments_free (segments);
    errno = ENOMEM;
    return -1;
  }
  return 0;
}

void
segments_free (struct segments *segments)
{
  if (!segments->mark)
    region_free (segments->table,
                 (uint64_t) segments->capacity * sizeof *segments->table);
  region_free ((void *) segments->links,
               (uint64_t) segments->capacity * sizeof *segments->links);
}

uint32_t
segments_take (struct segments *segments)
{
  uint32_t number = index_stack_pop (&segments->free, segments->links);

  if (number != INDEX_NONE)
    return number;
  number = atomic_load (&segments->fresh);
  do {
    if (number >= segments->capacity)
      return SEGMENT_NONE;
  } while (
      !atomic_compare_exchange_weak (&segments->fresh, &number, number + 1));
  if (segments->mark)
    state_raise (segments->mark, number);
  return number;
}

void
segments_give (struct segments *segments, uint32_t number)
{
  index_stack_push (&segments->free, segments->links, number);
}

uint32_t
segments_stamp (struct segments *segments)
{
  return segments->stamps ? atomic_fetch_add (segments->stamps, 1) : 0;
}

uint32_t
segments_first_stamp (void)
{
  struct timespec now;
  uint32_t stamp;

  if (getrandom (&stamp, sizeof stamp, GRND_NONBLOCK) == sizeof stamp)
    return stamp;
  clock_gettime (CLOCK_REALTIME, &now);
  return (uint32_t) now.tv_nsec * UINT32_C (2654435761) ^ (uint32_t) now.tv_sec;
}
