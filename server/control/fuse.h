/* SPDX-License-Identifier: BSD-3-Clause */
/* The FUSE tree: the device and its attributes as files.
 *
 *     disk                                 the device
 *     cgroup/PATH/zram.prio ...            attributes of the registry
 *     tiers/NAME/limit ...
 *     backings/NAME/state ...
 *     pool/limit ..., writeback_high ...
 *     writeback, compact                   commands: what is written is done
 *     control                              takes tags, see tierswap_ioctl.h
 *     stats.json, mm_stat, io_stat, bd_stat
 *
 * Several threads take requests from the kernel.  They serve those on the disk
 * themselves, straight from and into the store, with memory that was there
 * before; all others are handed to one more thread, the clerk, who may look at
 * anything, allocate and wait.  So no request on the disk waits for one on
 * another file.
 */
#ifndef TIERSWAP_FUSE_TREE_H
#define TIERSWAP_FUSE_TREE_H

#include <stdbool.h>

#include "policy/device.h"

struct tree;

/* Can the tree be mounted at DIRECTORY?  It must be an absolute path of an
 * empty folder.  What a dead server left mounted there is unmounted first, and
 * a notice tells so.  -1 with errno, and *ERROR is one line to free().
 */
extern int tree_check (const char *directory, char **error);

/* Mount it and serve a device that was started.  OTHERS_READ: everybody may
 * read what root may read, but for the disk.  -1 likewise.
 */
extern int tree_start (struct device *device, const char *directory,
                       bool others_read, struct tree **tree, char **error);

/* Unmount it.  While the disk is open (by a loop device, say) it is served
 * on, after a message that tells what to do.  NULL is fine.
 */
extern void tree_stop (struct tree *tree);

#endif /* TIERSWAP_FUSE_TREE_H */
