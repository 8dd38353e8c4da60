/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <sys/mman.h>

#include "backing/bounce.h"

/* Memory behind it from now on, so that using it faults nothing in; and not in
 * core dumps, for pages pass through it.
 */
static char *
map_populated (size_t bytes)
{
  char *p = mmap (NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  size_t i;

  if (p == MAP_FAILED) {
    errno = ENOMEM;
    return NULL;
  }
  madvise (p, bytes, MADV_DONTDUMP);
  /* Where it is locked (mlockall) on fault only, this still has to be said. */
  if (madvise (p, bytes, MADV_POPULATE_WRITE) == -1)
    for (i = 0; i < bytes; i += BACKING_ALIGNMENT)
      ((volatile char *)p)[i] = 0;
  return p;
}

int
bounce_create (struct bounce *bounce, unsigned requests, unsigned depth)
{
  bounce->small_bytes = (size_t)requests * SMALL_BOUNCE;
  bounce->small = map_populated (bounce->small_bytes);
  if (bounce->small == NULL)
    return -1;
  while (bounce->count < LARGE_BOUNCES && bounce->count < (int)depth) {
    bounce->free[bounce->count] = bounce->count;
    bounce->count++;
  }
  bounce->free_count = bounce->count;
  return 0;
}

void
bounce_destroy (struct bounce *bounce)
{
  if (bounce->small)
    munmap (bounce->small, bounce->small_bytes);
  if (bounce->large)
    munmap (bounce->large, (size_t)bounce->count * EXTENT_BYTES);
}

int
bounce_reserve (struct bounce *bounce)
{
  if (bounce->large == NULL)
    bounce->large = map_populated ((size_t)bounce->count * EXTENT_BYTES);
  return bounce->large ? 0 : -1;
}
