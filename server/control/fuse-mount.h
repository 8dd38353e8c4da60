/* SPDX-License-Identifier: BSD-3-Clause */
/* The place where the FUSE tree is mounted. */
#ifndef TIERSWAP_FUSE_MOUNT_H
#define TIERSWAP_FUSE_MOUNT_H

/* See tree_check. */
extern int mount_check (const char *directory, char **error);

/* Take the tree off its place if nothing in it is in use.  -1 with errno EBUSY
 * if something is, or why else it cannot be.  0 also if somebody else has.
 */
extern int mount_end (const char *directory);

/* Take it away whatever is in use; who uses it gets errors from then on. */
extern void mount_end_by_force (const char *directory);

/* What is to be done so that the disk is not used any more, as commands to
 * type, to free(); NULL: no loop device uses it.
 */
extern char *mount_disk_users (const char *directory);

#endif /* TIERSWAP_FUSE_MOUNT_H */
