/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's side of tags: a source in the kernel (the module tierswap_shim,
 * or a BPF program) puts a tag into a ring before a write request of a watched
 * disk is dispatched, and the server moves what is in the rings to the table of
 * tags (see tags.h) before it handles a write.
 *
 * Promises:
 * - After shim_drain the tag of a write that had arrived before is in the
 *   table, whichever thread moved it, or is lost and counted.
 * - When the kernel's side lost tags, so do we lose all that are older: a page
 *   falls to "/", and never to a wrong cgroup.
 * - Draining takes no system call, and one load when there is nothing new.
 * - The source is held open only while a disk is watched, so that the module
 *   can be unloaded and loaded again meanwhile.
 */
#ifndef TIERSWAP_SHIM_H
#define TIERSWAP_SHIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/tags.h"

#define SHIM_DEVICE "/dev/tierswap-shim"

struct shim;

/* Tags go to TAGS, which must outlive it.  SOURCE is the path of the module's
 * device, "bpf", or NULL for SHIM_DEVICE; it is opened by the first shim_watch.
 * NULL with errno ENOMEM.
 */
extern struct shim *shim_create (struct tags *tags, const char *source);
extern void shim_free (struct shim *shim);

/* Is the source there, and may we use it?  -1 with errno if not, and *ERROR,
 * one line to free(), names the cause and the remedy.
 */
extern int shim_check (struct shim *shim, char **error);

/* Have the writes to DISK (of a block device, such as the st_rdev of /dev/nbd0;
 * it need not exist yet) tagged, or no more.  Any thread may call it at any
 * time.  -1 with errno and *ERROR as above: EEXIST, it is watched already;
 * EBUSY, by another server; ENOENT, it is not watched; ENOSPC, too many are;
 * EINVAL, not a disk's number; or why the source cannot be opened.
 */
extern int shim_watch (struct shim *shim, dev_t disk, char **error);
extern int shim_unwatch (struct shim *shim, dev_t disk, char **error);

/* Move the tags that the kernel has made so far.  By any number of threads at
 * once; SHIM may be NULL.
 */
extern void shim_drain (struct shim *shim);

/* Cumulative but the last; see struct tags_counts for what became of them. */
struct shim_counts {
  uint64_t made;
  uint64_t dropped;    /* the ring was full */
  uint64_t high_water; /* the most tags that waited in one ring */
  unsigned disks;      /* watched */
};
extern void shim_count (struct shim *shim, struct shim_counts *counts);

#endif /* TIERSWAP_SHIM_H */
