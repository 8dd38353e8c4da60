/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine for where io_uring is not permitted: a pool of threads, shared
 * by all queues, that read and write one request at a time.
 *
 * It lives from the first queue that needs it to the last.  A backing occupies
 * at most WORKERS_A_BACKING of the threads, so one that hangs leaves others
 * their share.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "backing/internal.h"

#define WORKERS 32
#define WORKERS_A_BACKING 8
#define STACK_BYTES (256 * 1024)

struct list {
  struct request *first, *last;
};

static struct {
  pthread_mutex_t users_lock; /* creating and destroying */
  unsigned users;             /* queues */
  pthread_t threads[WORKERS];
  unsigned threads_count;

  pthread_mutex_t lock;
  pthread_cond_t work;
  struct list waiting;
  struct request *running[WORKERS]; /* by worker, NULL: idle */
  bool stop;
} pool = {
  .users_lock = PTHREAD_MUTEX_INITIALIZER,
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .work = PTHREAD_COND_INITIALIZER,
};

static void
append (struct list *list, struct request *request)
{
  request->next = NULL;
  request->previous = list->last;
  if (list->last)
    list->last->next = request;
  else
    list->first = request;
  list->last = request;
}

static void
take_out (struct list *list, struct request *request)
{
  if (request->previous)
    request->previous->next = request->next;
  else
    list->first = request->next;
  if (request->next)
    request->next->previous = request->previous;
  else
    list->last = request->previous;
}

/* The lock is held.  The first request whose backing may have a worker more. */
static struct request *
pick (void)
{
  struct request *request;
  unsigned i, busy;

  for (request = pool.waiting.first; request; request = request->next) {
    busy = 0;
    for (i = 0; i < WORKERS; ++i)
      if (pool.running[i] && pool.running[i]->backing == request->backing)
        busy++;
    if (busy < WORKERS_A_BACKING)
      return request;
  }
  return NULL;
}

/* All of it, or an errno. */
static int
transfer (struct request *request)
{
  int fd = request->backing->fd;
  ssize_t r;

  while (!atomic_load (&request->abandoned)) {
    char *memory = request->memory + request->done;
    size_t length = request->length - request->done;
    off_t offset = request->offset + request->done;

    if (request->op == BACKING_WRITE)
      r = pwrite (fd, memory, length, offset);
    else
      r = pread (fd, memory, length, offset);
    if (r == -1 && errno == EINTR)
      continue;
    if (r == -1)
      return errno;
    request->done += r;
    if (request->done >= request->length)
      return 0;
    if (r < BACKING_ALIGNMENT)
      return EIO; /* the end of a file that somebody truncated */
    /* Go on behind what was done, at a block of the device. */
    request->done -= request->done % BACKING_ALIGNMENT;
  }
  return ECANCELED;
}

static void *
work (void *index)
{
  struct request **mine = &pool.running[(uintptr_t) index];
  struct request *request;

  pthread_mutex_lock (&pool.lock);
  for (;;) {
    while ((request = pick ()) == NULL && !pool.stop)
      pthread_cond_wait (&pool.work, &pool.lock);
    if (request == NULL)
      break;
    take_out (&pool.waiting, request);
    *mine = request;
    pthread_mutex_unlock (&pool.lock);

    request->error = transfer (request);

    pthread_mutex_lock (&pool.lock);
    *mine = NULL;
    /* Another of the same backing may have waited for this one to end. */
    if (pool.waiting.first)
      pthread_cond_signal (&pool.work);
    pthread_mutex_unlock (&pool.lock);
    queue_post (request);
    pthread_mutex_lock (&pool.lock);
  }
  pthread_mutex_unlock (&pool.lock);
  return NULL;
}

static void
stop_workers (void)
{
  pthread_mutex_lock (&pool.lock);
  pool.stop = true;
  pthread_cond_broadcast (&pool.work);
  pthread_mutex_unlock (&pool.lock);
  while (pool.threads_count > 0)
    pthread_join (pool.threads[--pool.threads_count], NULL);
}

/* With signals blocked: they belong to the front end's threads. */
static int
start_workers (void)
{
  pthread_attr_t attributes;
  sigset_t all, before;
  uintptr_t i;
  int r = 0;

  pool.stop = false;
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  pthread_attr_init (&attributes);
  pthread_attr_setstacksize (&attributes, STACK_BYTES);
  for (i = 0; r == 0 && i < WORKERS; ++i) {
    r = pthread_create (&pool.threads[i], &attributes, work, (void *) i);
    if (r == 0)
      pool.threads_count++;
  }
  pthread_attr_destroy (&attributes);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (pool.threads_count == 0) {
    errno = r;
    return -1;
  }
  return 0; /* fewer than wanted do as well */
}

static int
threads_create (struct backing_queue *queue)
{
  int r = 0;

  (void) queue;
  pthread_mutex_lock (&pool.users_lock);
  if (pool.users == 0)
    r = start_workers ();
  if (r == 0)
    pool.users++;
  pthread_mutex_unlock (&pool.users_lock);
  return r;
}

/* A queue with orphans is never destroyed, so no worker is stuck. */
static void
threads_destroy (struct backing_queue *queue)
{
  (void) queue;
  pthread_mutex_lock (&pool.users_lock);
  if (--pool.users == 0)
    stop_workers ();
  pthread_mutex_unlock (&pool.users_lock);
}

static void
threads_start (struct backing_queue *queue, struct request *request)
{
  (void) queue;
  pthread_mutex_lock (&pool.lock);
  append (&pool.waiting, request);
  pthread_cond_signal (&pool.work);
  pthread_mutex_unlock (&pool.lock);
}

/* What completes is posted, which the queue looks for itself. */
static void
threads_enter (struct backing_queue *queue, uint64_t wait)
{
  if (wait > 0)
    queue_sleep (queue, -1, wait);
}

/* One that no worker has yet ends at once.  A system call under way cannot be
 * interrupted without a signal, and not surely with one.
 */
static void
threads_cancel (struct backing_queue *queue, struct request *request)
{
  struct request *r;

  (void) queue;
  atomic_store (&request->abandoned, true);
  pthread_mutex_lock (&pool.lock);
  for (r = pool.waiting.first; r && r != request; r = r->next)
    ;
  if (r)
    take_out (&pool.waiting, r);
  pthread_mutex_unlock (&pool.lock);
  if (r)
    queue_complete (r, ECANCELED);
}

const struct engine threads_engine = {
  .name = "threads",
  .create = threads_create,
  .destroy = threads_destroy,
  .start = threads_start,
  .enter = threads_enter,
  .cancel = threads_cancel,
};
