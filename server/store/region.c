/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "store/region.h"

#define MEMORY_PAGE 4096

void *
region_reserve (size_t length)
{
  void *region;

  region = mmap (NULL, length, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED)
    return NULL;
  madvise (region, length, MADV_NOHUGEPAGE);
  madvise (region, length, MADV_DONTDUMP);
  return region;
}

void
region_free (void *region, size_t length)
{
  if (region)
    munmap (region, length);
}

int
region_release (void *start, size_t length)
{
  if (madvise (start, length, MADV_DONTNEED_LOCKED) == 0)
    return 0;
  if (errno != EINVAL)
    return -1;
  /* An older kernel: MADV_DONTNEED refuses locked memory, so unlock it and
   * lock it again for what will be touched later.
   */
  if (madvise (start, length, MADV_DONTNEED) == 0)
    return 0;
  if (errno != EINVAL || munlock (start, length) == -1
      || madvise (start, length, MADV_DONTNEED) == -1)
    return -1;
  mlock2 (start, length, MLOCK_ONFAULT);
  return 0;
}

void
region_populate_read (void *start, size_t length)
{
  size_t before = (uintptr_t) start % MEMORY_PAGE;

  /* An older kernel does it by itself, page by page. */
  madvise ((char *) start - before, length + before, MADV_POPULATE_READ);
}

int
region_resident_end (void *start, size_t length, size_t *end)
{
  unsigned char resident[4096];
  size_t pages = (length + MEMORY_PAGE - 1) / MEMORY_PAGE;

  while (pages > 0) {
    size_t count = (pages - 1) % sizeof resident + 1;

    if (mincore ((char *) start + (pages - count) * MEMORY_PAGE,
                 count * MEMORY_PAGE, resident)
        == -1)
      return -1;
    for (; count > 0; --count, --pages)
      if (resident[count - 1] & 1) {
        *end = pages * MEMORY_PAGE;
        return 0;
      }
  }
  *end = 0;
  return 0;
}

int
region_populate (void *start, size_t length)
{
  if (madvise (start, length, MADV_POPULATE_WRITE) == 0)
    return 0;
  if (errno != EINVAL) {
    errno = ENOMEM;
    return -1;
  }
  /* An older kernel: by writing what is there, which others may be writing to:
   * slot words of a state that was taken over, for one.
   */
  for (char *p = start; p < (char *) start + length; p += MEMORY_PAGE) {
    _Atomic unsigned char *byte = (_Atomic unsigned char *) p;
    unsigned char now = atomic_load_explicit (byte, memory_order_relaxed);

    while (!atomic_compare_exchange_weak (byte, &now, now))
      ;
  }
  return 0;
}
