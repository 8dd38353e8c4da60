/* SPDX-License-Identifier: BSD-3-Clause */
/* tierswap: a swap device whose pages live in tiers.
 *
 * This is the engine as a library, for front ends: the nbdkit plugin is one.
 * It knows nothing of NBD.  All functions but create, start and free may be
 * called by any number of threads at once; requests that touch different
 * pages never wait for each other's I/O.
 *
 * Errors are -1 with errno; what a person should read was given to the message
 * sink before.
 */
#ifndef TIERSWAP_H
#define TIERSWAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tierswap;

/* What is said to people: errors, warnings and notices, one sentence each.
 * NULL: standard error.  Set it first.
 */
enum tierswap_message_kind {
  TIERSWAP_ERROR,
  TIERSWAP_WARNING,
  TIERSWAP_NOTICE
};
extern void tierswap_set_message_sink (
    void (*sink) (enum tierswap_message_kind kind, const char *text));

/* Read and check the configuration FILE (NULL: the embedded default) and
 * describe a device of it; no thread is started and no memory is taken yet.
 * SIZE overrides the configuration's size: text such as "8G", or NULL.
 * -1 with EINVAL for a mistake in either, or why FILE cannot be read.
 */
extern int tierswap_create (const char *file, const char *size,
                            struct tierswap **device);

/* Could this device, which is not started, go on with the pages of *PROCESS, a
 * server that has its pool.state now (0: none does), once that has ended?
 * Nothing is changed, and nothing is taken from it.  -1 with EINVAL if there is
 * no pool.state, ENOENT if there is no such file, EPROTO if its format is not
 * one of this version, EINVAL or EUCLEAN if it is no state of such a device.
 */
extern int tierswap_could_follow (const struct tierswap *device, long *process);

/* Do the pages of the device outlive the process, in pool.state? */
extern bool tierswap_has_state (const struct tierswap *device);

/* Have the device listen for tierswapctl(8) on the Unix socket PATH from
 * tierswap_start to tierswap_free.  Call it before tierswap_start.  -1 with
 * EINVAL if PATH cannot be that of a socket, ENOENT if its folder does not
 * exist, EADDRINUSE if a server listens there already, EEXIST if it is
 * something else than a socket.
 */
extern int tierswap_set_control (struct tierswap *device, const char *path);

/* Have the device show itself and its attributes as files in DIRECTORY, by
 * FUSE, from tierswap_start to tierswap_free; see nbdkit-tierswap-plugin(1)
 * for what is there.  It is an absolute path of an empty folder, and only who
 * the process runs as may look there; OTHERS_READ: everybody may read, but not
 * the disk.  Call it before tierswap_start.  While DIRECTORY/disk is open
 * tierswap_free waits.  -1 with EINVAL, ENOENT, ENOTDIR, ENOTEMPTY, EBUSY if
 * another server's is there, or why else nothing can be mounted there.
 */
extern int tierswap_set_fuse (struct tierswap *device, const char *directory,
                              bool others_read);

/* The folder where the cgroup2 hierarchy is.  Without this call it is found by
 * itself; where there is none, every page has the policy of "/".  Call it
 * before tierswap_start.  -1 with ENOMEM.
 */
extern int tierswap_set_cgroups (struct tierswap *device, const char *path);

/* Where the kernel's tags come from: the path of the module's device, or "bpf";
 * see tierswap_shim(4).  Without this call it is what the configuration says,
 * or the usual device.  Call it before tierswap_start, which then fails if it
 * cannot be used.  -1 with ENOMEM, or EINVAL for a path that is not absolute.
 */
extern int tierswap_set_shim (struct tierswap *device, const char *source);

/* Take the memory, protect the process (see tierswap_protect in
 * nbdkit-tierswap-plugin(1)), open the backings and start the threads.  Call
 * it once, in the process that will serve, after any fork.
 * -1 with ENOMEM, EAGAIN, or the error of a backing, of the control socket or
 * of the FUSE tree.
 */
extern int tierswap_start (struct tierswap *device);

/* Stop the threads and give everything back.  No call may be in progress. */
extern void tierswap_free (struct tierswap *device);

/* Bytes of the device, a multiple of 4096. */
extern uint64_t tierswap_size (const struct tierswap *device);

/* Read COUNT bytes at OFFSET, of any alignment.
 * EINVAL: beyond the device.  EIO: a page could not be read back from where it
 * was written to, or came back wrong.
 */
extern int tierswap_read (struct tierswap *device, void *buffer, size_t count,
                          uint64_t offset);

/* Write.  When it fails nothing stored earlier outside the range is harmed,
 * and each page of the range holds either its old or its new content.
 * EINVAL: beyond the device.  ENOSPC: no tier has room.  EIO: as for reading,
 * when a part of a page is written.
 */
extern int tierswap_write (struct tierswap *device, const void *buffer,
                           size_t count, uint64_t offset);

/* Tell of which cgroups the write requests are that come next: each tag is
 * taken by the write of its pages, which is placed by the policy of that
 * cgroup.  A page without a tag is of "/".  This is for who knows it from
 * elsewhere than the kernel's module, see tierswap_shim(4).
 * EINVAL: one of the COUNT tags is none (see tierswap_ioctl.h) or lies beyond
 * the device; those before it were taken.
 */
struct tierswap_tag;
extern int tierswap_tag (struct tierswap *device,
                         const struct tierswap_tag *tags, size_t count);

/* Forget whole pages of the range at once; they read as zeros.  Parts of
 * pages at the ends of the range are left as they are.  EINVAL.
 */
extern int tierswap_trim (struct tierswap *device, uint64_t count,
                          uint64_t offset);

/* Make the range zeros.  Whole pages take no memory; PUNCH says whether they
 * may become holes or stay allocated.  EINVAL, ENOSPC, EIO as for writing.
 */
extern int tierswap_zero (struct tierswap *device, uint64_t count,
                          uint64_t offset, bool punch);

/* Tell what the range holds, in order, in pieces of at least one page.  The
 * callback stops the walk by returning non-zero, which is then returned.
 */
enum tierswap_extent {
  TIERSWAP_DATA, /* stored */
  TIERSWAP_HOLE, /* never written or trimmed; reads as zeros */
  TIERSWAP_ZERO  /* written with zeros, takes no memory */
};
extern int
tierswap_extents (struct tierswap *device, uint64_t count, uint64_t offset,
                  int (*callback) (void *opaque, uint64_t offset,
                                   uint64_t length, enum tierswap_extent kind),
                  void *opaque);

/* The exports beside the device itself (""): "stats", then one a tier and
 * one a backing, by name.  INDEX counts from 0; NULL past the last.  To
 * free().  Tiers and backings may come and go at any time.
 */
extern char *tierswap_export_name (struct tierswap *device, unsigned index);

/* One line about the device (NAME ""), or about an export.  To free().  NULL
 * with ENOENT for an unknown name.
 */
extern char *tierswap_describe (struct tierswap *device, const char *name);

/* The statistics as JSON: of everything for "stats", of a tier or backing for
 * its name.  To free().  NULL with ENOENT or ENOMEM.
 */
extern char *tierswap_stats (struct tierswap *device, const char *name);

#ifdef __cplusplus
}
#endif

#endif /* TIERSWAP_H */
