/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backing/file.h"
#include "backing/internal.h"
#include "backing/janitor.h"
#include "backing/remote.h"
#include "common/message.h"

#define LINGER (SECOND / 4) /* after a free, for neighbours to follow */
#define PROBE_EVERY SECOND
#define BATCH 64
#define FAREWELL 60 /* seconds that stopping waits for a file or device */
#define JOIN_PATIENCE SECOND
#define JOIN_PAUSE (SECOND / 1000)

/* Of a server, at the end: so much by one request, and so long in all. */
#define FINAL_TRIM_BYTES (UINT64_C (64) * 1024 * 1024)
#define FINAL_TRIM_TIME (5 * SECOND)

struct janitor {
  struct backing *backing;
  struct backing_queue *queue;
  char *zeros;   /* EXTENT_BYTES; never written to, so they cost no memory */
  char *scratch; /* BACKING_ALIGNMENT bytes behind them, to read into */
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t kicked, ended;
  bool stop, has_ended, left_behind;
  atomic_bool idle; /* sleeps until it is kicked */
  bool cannot_discard;
  uint64_t limit; /* no request takes longer than until then, 0: none */
};

/* ---- I/O ---- */

static int
request (struct janitor *janitor, int op, uint64_t offset, uint64_t length)
{
  struct backing_io io = {
    .backing = janitor->backing,
    .op = op,
    .buffer = op == BACKING_READ ? janitor->scratch : janitor->zeros,
    .offset = offset,
    .length = length,
  };

  if (queue_submit_internal (janitor->queue, &io) == -1)
    return errno;
  if (janitor->limit != 0 && janitor->limit < io.deadline)
    io.deadline = janitor->limit;
  backing_queue_wait (janitor->queue);
  return io.error;
}

/* The content of a run of extents is not needed any more.  False if the server
 * was lost meanwhile: what it was told may yet reach it.
 */
static bool
discard (struct janitor *janitor, uint64_t first, uint64_t count)
{
  struct backing *backing = janitor->backing;
  uint64_t offset = first * EXTENT_BYTES;
  uint64_t length = count * EXTENT_BYTES;
  int error = 0;

  if (janitor->cannot_discard)
    return true;
  if (backing->remote)
    error = request (janitor, BACKING_TRIM, offset, length);
  else if (file_discard (backing->fd, backing->kind, offset, length) == -1)
    error = errno;
  /* Any other error only keeps some space for longer. */
  if (error == EOPNOTSUPP || error == ENOTTY || error == ENOSYS) {
    janitor->cannot_discard = true;
    message (MESSAGE_NOTICE,
             "backing %s: freed space cannot be given back there; it is "
             "only used again",
             backing->name);
  }
  return error != ENODEV && error != ETIMEDOUT;
}

static int
compare (const void *a, const void *b)
{
  uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

  return x < y ? -1 : x > y;
}

/* Empty freed extents, neighbours together. */
static void
empty_freed (struct janitor *janitor)
{
  struct extents *extents = janitor->backing->extents;
  uint32_t batch[BATCH];
  size_t count, i, start;
  bool done = true;

  while (backing_reachable (janitor->backing)
         && (count = extents_take_freed (extents, batch, BATCH)) > 0) {
    qsort (batch, count, sizeof batch[0], compare);
    for (start = 0, i = 1; i <= count; ++i)
      if (i == count || batch[i] != batch[i - 1] + 1) {
        done = done && discard (janitor, batch[start], i - start);
        start = i;
      }
    if (!done) {
      extents_put_freed (extents, batch, count);
      break;
    }
    /* The lowest on top, so that they are handed out by rising number. */
    for (i = 0; i < count / 2; ++i) {
      uint32_t t = batch[i];

      batch[i] = batch[count - 1 - i];
      batch[count - 1 - i] = t;
    }
    extents_put_clean (extents, batch, count);
  }
}

/* A file may also have content from before, of a server that was killed. */
static void
empty_all (struct janitor *janitor)
{
  struct backing *backing = janitor->backing;
  uint64_t end = backing->kind == BACKING_FILE
                     ? extents_capacity (backing->extents)
                     : extents_fresh (backing->extents);
  uint64_t step = end, extent;

  if (backing->keep || !backing_reachable (backing))
    return;
  if (backing->remote) {
    step = FINAL_TRIM_BYTES / EXTENT_BYTES;
    janitor->limit = now_nanoseconds () + FINAL_TRIM_TIME;
  }
  for (extent = 0; extent < end; extent += step)
    if (!discard (janitor, extent, step < end - extent ? step : end - extent)
        || (janitor->limit != 0 && now_nanoseconds () >= janitor->limit))
      break;
}

/* Whether a failed backing works again.  With no extent to spare nothing can
 * be written anyway, so reading has to do.  Nor is a server probed where never
 * was written: after a kill the next process takes what is above the mark for
 * never written to, and may use it while the probe is still under way.  A file
 * or device stays locked until then.
 */
static bool
works (struct janitor *janitor)
{
  struct extents *extents = janitor->backing->extents;
  int64_t extent
      = extents_take_spare (extents, janitor->backing->remote == NULL);
  uint32_t spare = extent;
  int error;

  if (extent == -1)
    return request (janitor, BACKING_READ, 0, BACKING_ALIGNMENT) == 0;
  error = request (janitor, BACKING_WRITE, extent * EXTENT_BYTES, EXTENT_BYTES);
  extents_put_freed (extents, &spare, 1);
  return error == 0;
}

static void
probe (struct janitor *janitor)
{
  struct backing *backing = janitor->backing;
  char *error;

  if (backing->missing) {
    if (backing_reopen (backing, &error) == -1) {
      free (error);
      return;
    }
    message (MESSAGE_NOTICE, "backing %s is there again", backing->name);
    return;
  }
  if (!works (janitor))
    return;
  backing->failures = 0;
  backing->refusing = false;
  backing->hung = false;
  message (MESSAGE_NOTICE, "backing %s works again", backing->name);
}

/* ---- the thread ---- */

static bool
has_failed (const struct janitor *janitor)
{
  const struct backing *backing = janitor->backing;

  return backing->hung || backing->missing
         || (backing->refusing && backing_reachable (backing));
}

/* Nanoseconds until there is something to do, UINT64_MAX: until kicked. */
static uint64_t
idle_time (struct janitor *janitor)
{
  struct backing *backing = janitor->backing;

  if (has_failed (janitor)
      || (backing->remote && remote_settle (backing->remote)))
    return PROBE_EVERY;
  if (extents_have_freed (backing->extents) && backing_reachable (backing))
    return LINGER;
  return UINT64_MAX;
}

/* The lock is held. */
static void
sleep_until_kicked (struct janitor *janitor)
{
  /* Before looking, so that a kick after the look is not lost. */
  atomic_store (&janitor->idle, true);
  if (idle_time (janitor) == UINT64_MAX)
    while (!janitor->stop && atomic_load (&janitor->idle))
      pthread_cond_wait (&janitor->kicked, &janitor->lock);
  atomic_store (&janitor->idle, false);
}

/* The lock is held. */
static void
sleep_for (struct janitor *janitor, uint64_t nanoseconds)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  t.tv_sec += nanoseconds / SECOND;
  t.tv_nsec += nanoseconds % SECOND;
  if (t.tv_nsec >= (long) SECOND) {
    t.tv_sec++;
    t.tv_nsec -= SECOND;
  }
  while (!janitor->stop
         && pthread_cond_timedwait (&janitor->kicked, &janitor->lock, &t)
                != ETIMEDOUT)
    ;
}

static void
look_after (struct janitor *janitor)
{
  struct backing *backing = janitor->backing;

  if (backing->remote)
    remote_settle (backing->remote);
  if (has_failed (janitor))
    probe (janitor);
  empty_freed (janitor);
}

/* And its reference to the backing. */
static void
janitor_free (struct janitor *janitor)
{
  struct backing *backing = janitor->backing;

  backing_queue_free (janitor->queue);
  if (janitor->zeros)
    munmap (janitor->zeros, EXTENT_BYTES + BACKING_ALIGNMENT);
  pthread_cond_destroy (&janitor->ended);
  pthread_cond_destroy (&janitor->kicked);
  pthread_mutex_destroy (&janitor->lock);
  free (janitor);
  backing_unreference (backing);
}

static void *
run (void *opaque)
{
  struct janitor *janitor = opaque;
  bool left_behind;

  pthread_mutex_lock (&janitor->lock);
  while (!janitor->stop) {
    uint64_t nanoseconds;

    sleep_until_kicked (janitor);
    nanoseconds = idle_time (janitor);
    if (nanoseconds == UINT64_MAX)
      continue;
    sleep_for (janitor, nanoseconds);
    if (janitor->stop)
      break;
    pthread_mutex_unlock (&janitor->lock);
    look_after (janitor);
    pthread_mutex_lock (&janitor->lock);
  }
  pthread_mutex_unlock (&janitor->lock);
  empty_all (janitor);

  pthread_mutex_lock (&janitor->lock);
  janitor->has_ended = true;
  left_behind = janitor->left_behind;
  pthread_cond_signal (&janitor->ended);
  pthread_mutex_unlock (&janitor->lock);
  /* Who stops it frees it now, and may not wait for this thread. */
  if (left_behind)
    janitor_free (janitor);
  return NULL;
}

struct janitor *
janitor_start (struct backing *backing)
{
  struct janitor *janitor = calloc (1, sizeof *janitor);
  pthread_condattr_t attributes;
  sigset_t all, before;
  void *zeros;
  int r;

  if (janitor == NULL)
    return NULL;
  backing_reference (backing);
  janitor->backing = backing;
  pthread_mutex_init (&janitor->lock, NULL);
  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (&janitor->kicked, &attributes);
  pthread_cond_init (&janitor->ended, &attributes);
  pthread_condattr_destroy (&attributes);
  zeros = mmap (NULL, EXTENT_BYTES + BACKING_ALIGNMENT, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (zeros == MAP_FAILED) {
    r = errno;
    goto error;
  }
  janitor->zeros = zeros;
  janitor->scratch = janitor->zeros + EXTENT_BYTES;
  janitor->queue = backing_queue_create (1);
  if (janitor->queue == NULL) {
    r = errno;
    goto error;
  }

  /* Signals belong to the front end's threads. */
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  r = pthread_create (&janitor->thread, NULL, run, janitor);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (r == 0)
    return janitor;

error:
  janitor_free (janitor);
  errno = r;
  return NULL;
}

void
janitor_kick (struct janitor *janitor)
{
  if (!atomic_exchange (&janitor->idle, false))
    return;
  pthread_mutex_lock (&janitor->lock);
  pthread_cond_signal (&janitor->kicked);
  pthread_mutex_unlock (&janitor->lock);
}

/* Wait for a thread that touches nothing of ours any more.  In the kernel it
 * waits for the workers of its ring, one of which may be stuck in a probe that
 * it has long given up.  Then it is left there; but not while it may still be
 * in this code, which may be unloaded next.
 */
static void
join (pthread_t thread)
{
  uint64_t limit = now_nanoseconds () + JOIN_PATIENCE;

  while (pthread_tryjoin_np (thread, NULL) == EBUSY) {
    if (now_nanoseconds () >= limit) {
      pthread_detach (thread);
      return;
    }
    nanosleep (&(struct timespec){ 0, JOIN_PAUSE }, NULL);
  }
}

void
janitor_stop (struct janitor *janitor)
{
  bool is_remote = janitor->backing->remote != NULL;
  struct timespec limit;
  int r = 0;

  clock_gettime (CLOCK_MONOTONIC, &limit);
  limit.tv_sec += FAREWELL;
  pthread_mutex_lock (&janitor->lock);
  janitor->stop = true;
  pthread_cond_signal (&janitor->kicked);
  /* A server's requests have their deadlines; punching has none. */
  while (!janitor->has_ended && r == 0)
    r = is_remote
            ? pthread_cond_wait (&janitor->ended, &janitor->lock)
            : pthread_cond_timedwait (&janitor->ended, &janitor->lock, &limit);
  if (!janitor->has_ended) {
    message (MESSAGE_WARNING,
             "backing %s hangs while it is closed; it is left behind, locked",
             janitor->backing->name);
    pthread_detach (janitor->thread);
    janitor->left_behind = true;
    pthread_mutex_unlock (&janitor->lock);
    return;
  }
  pthread_mutex_unlock (&janitor->lock);
  join (janitor->thread);
  janitor_free (janitor);
}
