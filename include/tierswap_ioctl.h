/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR BSD-3-Clause */
/* Whose page it is: the interface between the kernel's side (the module
 * tierswap_shim, or whoever else knows) and the server.
 *
 * A tag says that the write request at OFFSET, LENGTH bytes long, is of the
 * cgroup CGROUP.  It is given before the request itself reaches the server.
 */
#ifndef TIERSWAP_IOCTL_H
#define TIERSWAP_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The longest write that one tag is of, in bytes. */
#define TIERSWAP_TAG_LENGTH_MAX (64U << 20)

/* One write request's owner. */
struct tierswap_tag {
  __u64 offset;   /* bytes, a multiple of 4096 */
  __u64 cgroup;   /* inode number of the cgroup2 directory, not 0 */
  __u32 length;   /* bytes, a multiple of 4096, not 0, at most 64 MiB */
  __u32 reserved; /* 0 */
};

#endif /* TIERSWAP_IOCTL_H */
