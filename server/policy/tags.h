/* SPDX-License-Identifier: BSD-3-Clause */
/* Tags on their way: which cgroup the write requests are of that are about to
 * arrive.  A tag is put in by the kernel's ring, by the FUSE control file or
 * by a call of the library, and taken by the write it belongs to.
 *
 * Promises:
 * - A write takes the newest tag of its pages, or none: never an older one.
 *   What may have been overtaken by a tag that got lost elsewhere is forgotten
 *   by tags_forget; what is lost here for want of room is the oldest, and
 *   never uncovers an older one.
 * - Nothing is allocated, and nothing waits for more than a few instructions
 *   of another thread.
 * - There is room for a bounded number of tags: where they come faster than
 *   writes, some are lost and counted, and their pages are of "/".
 */
#ifndef TIERSWAP_TAGS_H
#define TIERSWAP_TAGS_H

#include <stdint.h>

#include "tierswap_ioctl.h"

struct tags;

/* NULL with errno ENOMEM. */
extern struct tags *tags_create (void);
extern void tags_free (struct tags *tags);

/* Put one tag.  -1 with errno EINVAL if it is not one (see struct
 * tierswap_tag).
 */
extern int tags_put (struct tags *tags, const struct tierswap_tag *tag);

/* Take what is known of the write of COUNT bytes at OFFSET (of any alignment):
 * *CGROUP is the id of the cgroup, or 0 if it is not known, of the first
 * *COVERED bytes (1 to COUNT); ask again for the rest.  Each tag of a page is
 * taken by one write: by the one that reaches the page's end, so that a page
 * may come in several parts, in order.
 */
extern void tags_take (struct tags *tags, uint64_t offset, uint64_t count,
                       uint64_t *cgroup, uint64_t *covered);

/* Forget all tags there are.  A thread that calls this, or learns by acquiring
 * something of the one that did, takes none of them.
 */
extern void tags_forget (struct tags *tags);

/* In pages.  A page of a tag that was put is in one of the first four; they
 * are cumulative but the last.
 */
struct tags_counts {
  uint64_t taken;
  uint64_t replaced; /* by a newer tag of the same page */
  uint64_t lost;     /* for want of room, or forgotten */
  uint64_t waiting;  /* for their writes, now */
  uint64_t untagged; /* pages of writes that found no tag; cumulative */
};
extern void tags_count (struct tags *tags, struct tags_counts *counts);

#endif /* TIERSWAP_TAGS_H */
