/* SPDX-License-Identifier: BSD-3-Clause */
/* Backing tiers: where segments go when they leave memory.
 *
 * A backing is a file, a block device or a remote NBD export, cut into
 * extents of one segment (256 KiB) each.  The extents are handed out whole.
 * This layer moves bytes and knows nothing of pages, slots or cgroups.
 *
 * I/O is asynchronous: a thread owns one backing_queue, submits requests to
 * it and takes completed ones from it.  No request is ever waited for without
 * a deadline.  Submitting and waiting allocate nothing and take no lock that
 * another thread holds across I/O.
 */
#ifndef TIERSWAP_BACKING_H
#define TIERSWAP_BACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXTENT_BYTES (256 * 1024)
#define BACKING_ALIGNMENT 4096 /* of every buffer, offset and length */

enum backing_kind { BACKING_FILE, BACKING_BLOCK, BACKING_NBD };

enum backing_state {
  BACKING_ONLINE,   /* takes new segments */
  BACKING_DRAINING, /* readable; takes no new segments */
  BACKING_FAILED,   /* a server or device is gone; it is retried */
};

#define BACKING_KEY_BYTES 64

/* Which file or device a backing is: what must be the same again where extents
 * of an earlier process are to be found.
 */
struct backing_identity {
  uint64_t device; /* a block device's number, 0 for a file */
  uint64_t inode;  /* a file's, 0 for a device */
};

/* Bytes of a path or URI, at most. */
#define BACKING_PLACE_MOST 4096

struct backing_options {
  const char *name;
  const char *path; /* a file or block device; NULL with a URI */
  const char *uri;  /* an NBD URI; NULL with a path */
  uint64_t size;    /* bytes, rounded down to whole extents; 0: all there is
                       (not for a file that does not exist yet) */
  bool encrypt;     /* with a key made now that never leaves memory */
  const unsigned char *key; /* or with this one, BACKING_KEY_BYTES */
  /* Extents of an earlier process are there: nothing is created, it
   * waits some seconds for who still has it locked, and where it cannot be
   * opened that is no failure: it counts as failed and is tried again every
   * second.  SIZE and KIND must be given, and the IDENTITY that it had; a
   * file of at least LEAST bytes will do.
   */
  bool reattach;
  uint64_t least;
  enum backing_kind kind;
  struct backing_identity identity;
  unsigned deadline; /* seconds a request may take, 0: the default, 30 */
};

struct backing;

/* Cumulative since the backing was opened. */
struct backing_counters {
  uint64_t written_bytes, write_ios, read_bytes, read_ios, io_errors;
};

/* Open or create a backing.  A file is created sparse at its size with mode
 * 0600 and locked (flock), so that two servers never share it; a block device
 * is opened exclusively.  On failure -1 with errno, and *ERROR is one sentence
 * to free() that names the cause and the remedy.
 * A remote export that cannot be reached now is not a failure when SIZE was
 * given: it starts as failed and is retried.
 */
extern int backing_open (const struct backing_options *options,
                         struct backing **backing, char **error);

/* No I/O may be in flight.  A regular file loses its content (its extents
 * are punched out) but is kept; unless its content shall be kept.
 */
extern void backing_close (struct backing *backing);

/* At closing, leave what is there: a later process reattaches it. */
extern void backing_set_keep (struct backing *backing, bool keep);

/* After opening it to reattach, and before anything else: say which extents
 * hold something, each once (-1 with errno EEXIST if not, EINVAL if it has no
 * such extent); then that those were all, and that from MARK on none was ever
 * used.  What is left below is given back.
 */
extern int backing_restore_extent (struct backing *backing, uint64_t extent);
extern int backing_restored (struct backing *backing, uint64_t mark);

extern struct backing_identity backing_identity (const struct backing *backing);

/* The key, or NULL if it is not encrypted. */
extern const unsigned char *backing_key (const struct backing *backing);

extern const char *backing_name (const struct backing *backing);

/* The path or the URI that it was opened with. */
extern const char *backing_place (const struct backing *backing);

extern enum backing_kind backing_kind (const struct backing *backing);
extern enum backing_state backing_state (const struct backing *backing);
extern void backing_set_draining (struct backing *backing, bool draining);
extern void backing_get_counters (const struct backing *backing,
                                  struct backing_counters *counters);

/* Capacity in extents, and how many are allocated. */
extern uint64_t backing_extents (const struct backing *backing);
extern uint64_t backing_extents_used (const struct backing *backing);

/* Is this extent handed out now? */
extern bool backing_extent_is_used (struct backing *backing, uint64_t extent);

/* Change the capacity live.  Growing is at once.  Shrinking below extents in
 * use is -1 with errno EBUSY and a sentence; nothing is changed then.
 */
extern int backing_resize (struct backing *backing, uint64_t size,
                           char **error);

/* Allocate an extent: its number, or -1 with errno ENOSPC when there is none
 * (those being punched out just now do not count) or EAGAIN when the backing
 * is not online.
 */
extern int64_t backing_extent_allocate (struct backing *backing);

/* Give an extent back.  Its space is punched out or discarded in the
 * background soon after, unless it is handed out again before.
 */
extern void backing_extent_free (struct backing *backing, uint64_t extent);

enum backing_op { BACKING_READ, BACKING_WRITE };

struct backing_io {
  /* Set by the submitter: */
  struct backing *backing;
  enum backing_op op;
  void *buffer;    /* aligned to BACKING_ALIGNMENT, locked in memory */
  size_t length;   /* bytes, a multiple of BACKING_ALIGNMENT */
  uint64_t offset; /* bytes from the start of the backing, aligned likewise;
                      the whole request lies within one extent */
  void *user;      /* not touched */
  /* Set when it completes: */
  int error; /* 0, or an errno: EIO, ENOSPC, ETIMEDOUT, ENODEV, ... */
  /* Of this layer: */
  struct backing_io *next;
  uint64_t deadline; /* when it is overdue, CLOCK_MONOTONIC nanoseconds */
  bool internal;     /* submitted by this layer itself */
};

struct backing_queue;

/* Make a queue with room for DEPTH requests in flight, at most 1024.  One
 * thread uses it at a time; it may be handed on while nothing is in flight.
 * If io_uring is not permitted (kernel.io_uring_disabled, seccomp) a shared
 * thread pool does the same work, and one notice says so.  A forced choice for
 * tests: TIERSWAP_IO=threads in the environment.
 * NULL with errno.
 */
extern struct backing_queue *backing_queue_create (unsigned depth);
extern void backing_queue_free (struct backing_queue *queue);

/* Take now all memory (DEPTH, at most 16, times EXTENT_BYTES) that writes to an
 * encrypted backing and reads of more than 8 KiB from a file or device pass
 * through; otherwise they take it as far as they need it, the first time.  A
 * thread that will write when memory is short should call this at its start.
 * -1 with errno ENOMEM.
 */
extern int backing_queue_reserve (struct backing_queue *queue);

/* Queue a request.  At most DEPTH may be in flight, or -1 with errno EAGAIN.
 * Whether it works out is told by io->error when it completes.
 *
 * When a read is complete nothing writes to its buffer any more, not even if
 * it was overdue (ETIMEDOUT) and the device may still be at work on it.  A
 * write that was overdue may still reach the device, with what its buffer has
 * then.  So an extent whose write failed is given back, and not written again;
 * it is not handed out before that is over.
 */
extern int backing_queue_submit (struct backing_queue *queue,
                                 struct backing_io *io);

/* Start what was queued and not started yet, wait until at least one request
 * is complete, and take it off the queue.  NULL when nothing is in flight.
 */
extern struct backing_io *backing_queue_wait (struct backing_queue *queue);

/* The same, but wait no longer than so many nanoseconds, give or take a tick of
 * the coarse clock; 0: only take what is complete already.  NULL also when
 * nothing was in that time.
 */
#define BACKING_FOREVER UINT64_MAX
extern struct backing_io *backing_queue_wait_for (struct backing_queue *queue,
                                                  uint64_t nanoseconds);

#endif /* TIERSWAP_BACKING_H */
