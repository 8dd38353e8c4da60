/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR BSD-3-Clause */
/*
 * Whose page it is: the interface between the kernel's side (the module
 * tierswap_shim, or whoever else knows) and the server.
 *
 * A tag says that the write request at OFFSET, LENGTH bytes long, is of the
 * cgroup CGROUP.  It is given before the request itself reaches the server.
 *
 * With the module: open /dev/tierswap-shim, ask TIERSWAP_IOC_VERSION and
 * TIERSWAP_IOC_GEOMETRY, map the rings, TIERSWAP_IOC_WATCH a disk.  Each open
 * file has rings and watched disks of its own; all ends with its last close.
 *
 * Where there is no module the same tags are given by user space: by
 * TIERSWAP_IOC_TAG on the file "control" of the server's FUSE tree, or by
 * tierswap_tag() of the library.
 *
 * Everything is of fixed width and of the same layout for programs of 32 and
 * 64 bits.  Reserved fields are 0, or the call fails with EINVAL.
 */
#ifndef TIERSWAP_IOCTL_H
#define TIERSWAP_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Goes up when something here changes its meaning. */
#define TIERSWAP_IOC_INTERFACE 1

/* The longest write that one tag is of, in bytes. */
#define TIERSWAP_TAG_LENGTH_MAX (64U << 20)

/* One write request's owner. */
struct tierswap_tag {
	__u64 offset;	/* bytes, a multiple of 4096 */
	__u64 cgroup;	/* inode number of the cgroup2 directory, not 0 */
	__u32 length;	/* bytes, a multiple of 4096, not 0, at most 64 MiB */
	__u32 reserved;	/* 0 */
};

/*
 * The rings, as they are mapped: one for each CPU, so that each has one
 * producer.  All counts go up for ever, from 0 when the device is opened.
 *
 *   0                             struct tierswap_rings
 *   first_ring                    struct tierswap_ring, and its records behind
 *   first_ring + ring_bytes       the next
 *   ...
 *
 * The kernel, for each write request, before it is dispatched: adds 1 to
 * `sequence`; then, if the ring of this CPU has no room, adds 1 to `dropped`,
 * else fills record number `head` and adds 1 to `head`, with release
 * semantics.
 *
 * The reader, before it handles a write, if `sequence` is not the number of
 * tags that it has taken and knows to be dropped: reads all `dropped`, then
 * `sequence`, then all `head`, each with acquire semantics; takes the records
 * up to that sequence, in its order over all rings; and adds what it took to
 * `tail`, with release semantics.  When a `dropped` has changed, every tag
 * taken so far may have been overtaken by a lost one, and must be forgotten.
 */
struct tierswap_rings {
	__u64 sequence;	/* of the newest tag, made or dropped */
	__u64 reserved[15];
};

struct tierswap_ring {
	/* Written by the kernel. */
	__u64 head;		/* records made */
	__u64 dropped;		/* tags lost for want of room */
	__u64 high_water;	/* the most records that waited at once */
	__u64 reserved[13];
	/* Written by the reader.  The kernel looks at it only for room. */
	__u64 tail;		/* records taken */
	__u64 reserved_tail[15];
};

/* Record number N is at N modulo `records`, behind struct tierswap_ring. */
struct tierswap_record {
	__u64 sequence;
	struct tierswap_tag tag;
};

/* How to map them: map_bytes, at offset 0, shared. */
struct tierswap_geometry {
	__u64 map_bytes;
	__u32 rings;
	__u32 records;		/* of each ring, a power of two */
	__u32 first_ring;	/* bytes */
	__u32 ring_bytes;	/* from one ring to the next */
	__u64 reserved[5];
};

/* A whole disk, not a partition: major and minor of its device number. */
struct tierswap_watch {
	__u32 major;
	__u32 minor;
	__u64 reserved;
};

/* At most so many disks for one open file. */
#define TIERSWAP_WATCH_MAX 8

/* Since the device was opened. */
struct tierswap_shim_stats {
	__u64 made;
	__u64 dropped;		/* the ring was full */
	__u64 high_water;	/* the most records that waited in one ring */
	__u32 disks;		/* watched now */
	__u32 records;		/* that a ring has room for */
	__u64 reserved[4];
};

#define TIERSWAP_IOC_MAGIC 0xE7

/*
 * All: ENOTTY, no such call; EFAULT, the argument cannot be read or written.
 *
 * VERSION	TIERSWAP_IOC_INTERFACE as the other side was built with.
 * GEOMETRY	No other error.
 * STATS	No other error.
 * WATCH	Have the writes to a disk tagged.  It need not exist yet, and may
 *		vanish and come back.
 *		EINVAL	a reserved field is not 0, major is 0 or above 4095, or
 *			minor is above 1048575
 *		EEXIST	this file watches it already
 *		EBUSY	another open file does
 *		ENOSPC	TIERSWAP_WATCH_MAX are watched
 *		ENOMEM	no memory to attach to it
 * UNWATCH	When it returns, no tag of the disk will be made any more.
 *		EINVAL	as for WATCH
 *		ENOENT	this file does not watch it
 * TAG		Give one tag; for the FUSE tree's control file only.
 *		EINVAL	not a tag, see struct tierswap_tag
 *
 * open: EPERM without CAP_SYS_ADMIN; ENOMEM.
 * mmap: EINVAL if it is not shared, not at offset 0, or longer than map_bytes.
 */
#define TIERSWAP_IOC_VERSION _IOR(TIERSWAP_IOC_MAGIC, 0, __u32)
#define TIERSWAP_IOC_GEOMETRY \
	_IOR(TIERSWAP_IOC_MAGIC, 1, struct tierswap_geometry)
#define TIERSWAP_IOC_STATS \
	_IOR(TIERSWAP_IOC_MAGIC, 2, struct tierswap_shim_stats)
#define TIERSWAP_IOC_WATCH _IOW(TIERSWAP_IOC_MAGIC, 3, struct tierswap_watch)
#define TIERSWAP_IOC_UNWATCH _IOW(TIERSWAP_IOC_MAGIC, 4, struct tierswap_watch)
#define TIERSWAP_IOC_TAG _IOW(TIERSWAP_IOC_MAGIC, 5, struct tierswap_tag)

#endif /* TIERSWAP_IOCTL_H */
