/* SPDX-License-Identifier: BSD-3-Clause */
/* What one page can be: same-filled, a part of a request, an object. */
#ifndef TIERSWAP_PAGE_H
#define TIERSWAP_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "store/codec.h"

/* Does the page repeat its first 8 bytes?  Most pages are told by their first
 * and last words.
 */
static inline bool
page_is_same (const void *page, uint64_t *pattern)
{
  const char *bytes = page;
  uint64_t first, last;

  memcpy (&first, bytes, sizeof first);
  memcpy (&last, bytes + PAGE_BYTES - sizeof last, sizeof last);
  *pattern = first;
  return first == last
         && memcmp (bytes, bytes + sizeof first, PAGE_BYTES - sizeof first)
                == 0;
}

static inline void
page_fill (void *page, uint64_t pattern)
{
  char *bytes = page;

  for (unsigned i = 0; i < PAGE_BYTES; i += sizeof pattern)
    memcpy (bytes + i, &pattern, sizeof pattern);
}

/* The part of a request that falls on one page. */
struct page_part {
  uint64_t slot;
  uint32_t start, length; /* bytes in the page */
};

static inline struct page_part
page_part (uint64_t offset, uint64_t count)
{
  struct page_part part;

  part.slot = offset / PAGE_BYTES;
  part.start = offset % PAGE_BYTES;
  part.length = PAGE_BYTES - part.start;
  if (part.length > count)
    part.length = (uint32_t) count;
  return part;
}

static inline bool
page_part_is_whole (const struct page_part *part)
{
  return part->length == PAGE_BYTES;
}

#endif /* TIERSWAP_PAGE_H */
