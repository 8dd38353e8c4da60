/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <sys/mman.h>

#include "backing/bounce.h"

/* Not in core dumps, for pages pass through it. */
static char *
map (size_t bytes)
{
  char *p = mmap (NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (p == MAP_FAILED) {
    errno = ENOMEM;
    return NULL;
  }
  madvise (p, bytes, MADV_DONTDUMP);
  return p;
}

/* So that using it faults nothing in; being locked (mlockall) on fault does not
 * do that.
 */
static void
populate (char *p, size_t bytes)
{
  size_t i;

  if (madvise (p, bytes, MADV_POPULATE_WRITE) == -1)
    for (i = 0; i < bytes; i += BACKING_ALIGNMENT)
      ((volatile char *) p)[i] = 0;
}

int
bounce_create (struct bounce *bounce, unsigned requests, unsigned depth)
{
  bounce->small_bytes = (size_t) requests * SMALL_BOUNCE;
  bounce->small = map (bounce->small_bytes);
  if (bounce->small == NULL)
    return -1;
  populate (bounce->small, bounce->small_bytes);
  bounce->count = depth < LARGE_BOUNCES ? (int) depth : LARGE_BOUNCES;
  /* The first is the last to be put, and so the first to be taken. */
  while (bounce->free_count < bounce->count) {
    bounce->free[bounce->free_count] = bounce->count - 1 - bounce->free_count;
    bounce->free_count++;
  }
  return 0;
}

void
bounce_destroy (struct bounce *bounce)
{
  if (bounce->small)
    munmap (bounce->small, bounce->small_bytes);
  if (bounce->large)
    munmap (bounce->large, (size_t) bounce->count * EXTENT_BYTES);
}

int
bounce_map (struct bounce *bounce)
{
  if (bounce->large == NULL)
    bounce->large = map ((size_t) bounce->count * EXTENT_BYTES);
  return bounce->large ? 0 : -1;
}

int
bounce_reserve (struct bounce *bounce)
{
  if (bounce_map (bounce) == -1)
    return -1;
  populate (bounce->large, (size_t) bounce->count * EXTENT_BYTES);
  return 0;
}
