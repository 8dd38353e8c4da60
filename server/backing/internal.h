/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share; nobody else includes it.
 *
 * A backing_io that was submitted becomes a request when it is started.  The
 * request belongs to the queue, so it can outlive the io: when the deadline
 * has passed and the kernel cannot be made to let go, the caller gets
 * ETIMEDOUT and the request stays behind as an orphan until the kernel is done
 * with it.  So nothing below ever touches the caller's memory after the io
 * was completed:
 *
 * - Reads from files and devices go to memory of the queue and are copied (or
 *   decrypted) to the caller's when they are complete.  For 4 KiB that costs
 *   about what registering the queue's memory with the kernel saves.
 * - Writes are done from the caller's memory, or from the queue's when they
 *   are encrypted.  An orphaned write can at worst put other bytes into its
 *   extent later, so that extent is not handed out before (extents_hold).
 * - Remote requests use the caller's memory; when one is overdue its
 *   connection is closed before it is completed.
 */
#ifndef TIERSWAP_BACKING_INTERNAL_H
#define TIERSWAP_BACKING_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "backing/backing.h"
#include "backing/bounce.h"
#include "backing/extents.h"

#define SECOND UINT64_C (1000000000) /* in nanoseconds */
#define DEFAULT_DEADLINE 30          /* seconds */

#define FAILURES_IN_A_ROW 3 /* of writes, then nothing new is written */

/* Beside BACKING_READ and BACKING_WRITE; remote only, of whole extents. */
#define BACKING_TRIM 2

struct cipher;
struct janitor;
struct remote;
struct threads;

struct backing {
  char *name, *place;
  enum backing_kind kind;
  int fd;                /* of a file or block device, else -1 */
  bool may_block;        /* the thread that submits to it */
  struct remote *remote; /* else NULL */
  struct cipher *cipher; /* NULL: not encrypted */
  struct extents *extents;
  struct janitor *janitor;
  uint64_t deadline; /* nanoseconds */
  pthread_mutex_t resize;

  atomic_uint references; /* one for being open, one an orphan, ... */
  atomic_bool draining;
  /* Why it counts as failed; the janitor probes until it clears both.  A
   * remote one is failed also while it is not connected.
   */
  atomic_bool hung;     /* a request was overdue: all requests fail at once */
  atomic_bool refusing; /* writes fail: nothing is allocated, reads go on */
  /* It was to be reattached and is not there: FD is not open yet, and all
   * requests fail at once.
   */
  atomic_bool missing;
  struct backing_identity identity;
  uint64_t least;       /* bytes of a file that is missing */
  bool keep;            /* its content, at closing */
  atomic_uint failures; /* of writes, in a row */

  atomic_ullong written_bytes, write_ios, read_bytes, read_ios, io_errors;
};

/* The last one closes the file and frees it. */
extern void backing_reference (struct backing *backing);
extern void backing_unreference (struct backing *backing);

/* Count what became of a request, and judge the backing by it. */
extern void backing_account (struct backing *backing, enum backing_op op,
                             size_t length, int error);

/* Try again to open one that is missing.  -1 with errno, and *ERROR to free().
 */
extern int backing_reopen (struct backing *backing, char **error);

/* Requests can be sent to it. */
extern bool backing_reachable (const struct backing *backing);

static inline uint64_t
now_nanoseconds (void)
{
  struct timespec t;

  /* A tick of some milliseconds is fine enough for deadlines. */
  clock_gettime (CLOCK_MONOTONIC_COARSE, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

/* ---- queues ---- */

enum request_state {
  REQUEST_FREE,
  REQUEST_STARTED,   /* the engine has it */
  REQUEST_CANCELLED, /* overdue, and the engine was told to let go of it */
  REQUEST_ORPHAN,    /* its io is completed, the engine still has it */
};

struct request {
  struct backing_queue *queue;
  struct backing *backing;
  struct backing_io *io; /* NULL for an orphan */
  int op;
  char *memory; /* the engine's target or source */
  size_t length;
  uint64_t offset;
  uint64_t deadline;
  enum request_state state; /* only the queue's thread looks at it */
  int large;                /* index of its large bounce buffer, or -1 */
  struct extents_hold hold; /* of an orphaned write */

  /* Of the engine that has it; ERROR is its answer, 0 or an errno. */
  int error;
  size_t done;           /* bytes so far */
  unsigned parts;        /* remote: outstanding pieces */
  unsigned connection;   /* remote: the index of its connection */
  atomic_bool abandoned; /* threads: do no more for it */
  struct request *next, *previous;
};

/* How a queue does the I/O of files and devices. */
struct engine {
  const char *name;
  int (*create) (struct backing_queue *queue);
  void (*destroy) (struct backing_queue *queue);

  /* Take REQUEST.  It may be left until enter is called. */
  void (*start) (struct backing_queue *queue, struct request *request);

  /* See that all that was taken is under way, and complete what is done, by
   * queue_complete.  If WAIT (nanoseconds) is not 0, wait so long for
   * anything to complete or to be posted.
   */
  void (*enter) (struct backing_queue *queue, uint64_t wait);

  /* Try to make an overdue request end soon. */
  void (*cancel) (struct backing_queue *queue, struct request *request);
};

extern const struct engine uring_engine, threads_engine;

#define SPARE_REQUESTS 8 /* a queue, for when orphans hold the others */

struct backing_queue {
  unsigned depth, in_flight; /* in_flight: submitted and not taken off */
  struct backing_io *pending, **pending_end; /* submitted, not started */
  unsigned submitted; /* since all that could be was started */
  struct backing_io *completed, **completed_end;

  struct request *requests;
  unsigned requests_count, orphans;
  struct request *free;
  unsigned started;    /* requests that the engine or a remote has */
  uint64_t next_check; /* when the earliest deadline may have passed */

  struct bounce bounce;
  const struct engine *engine;
  void *engine_data;
  unsigned remote; /* started requests that remotes have */

  /* What other threads completed.  SLEEPING says that the queue's thread
   * waits for EVENT (an eventfd); POSTERS counts those who attend, so that
   * the queue is not freed under them.
   */
  _Atomic (struct request *) posted;
  atomic_bool sleeping;
  atomic_uint posters;
  int event;

  struct backing_queue *next_left; /* of those freed with orphans */
};

/* From any thread: REQUEST is done, its ERROR says how. */
extern void queue_post (struct request *request);

/* The same for several at once: between attending to their queue and leaving
 * it any number may be pushed, and its thread is woken when it is left.
 */
extern void queue_attend (struct backing_queue *queue);
extern void queue_push (struct request *request);
extern void queue_leave (struct backing_queue *queue);

/* For engines: complete REQUEST. */
extern void queue_complete (struct request *request, int error);

/* For engines: sleep until something is posted, FD (or -1) is readable, or
 * WAIT nanoseconds have passed.
 */
extern void queue_sleep (struct backing_queue *queue, int fd, uint64_t wait);

/* Submit an io of this layer itself: it is sent to a failed backing too, is
 * not counted and not encrypted.
 */
extern int queue_submit_internal (struct backing_queue *queue,
                                  struct backing_io *io);

#endif /* TIERSWAP_BACKING_INTERNAL_H */
