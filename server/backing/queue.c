/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue: from the caller's io to requests of an engine or a remote and back.
 *
 *   submit      io is pending
 *   start       a request is made of it; the engine or the remote has it
 *   complete    the io is completed, the request is free again
 *   take off    by backing_queue_wait
 *
 * An io stays pending while it needs a large bounce buffer and all are taken,
 * or while orphans hold all requests; its deadline runs already.
 *
 * When a deadline passes the engine is asked to cancel the request.  If it has
 * not ended GRACE later, the io is completed with ETIMEDOUT and the request
 * becomes an orphan.
 */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backing/cipher.h"
#include "backing/internal.h"
#include "backing/remote.h"
#include "common/message.h"

#define DEPTH_MAX 1024
#define GRACE (SECOND / 2)
#define FOREVER BACKING_FOREVER

/* So many are started without waiting for more: the device is at work on them
 * while others are submitted.
 */
#define START_EARLY 8

/* ---- making ---- */

static int
create_requests (struct backing_queue *queue)
{
  unsigned i;

  queue->requests_count = queue->depth + SPARE_REQUESTS;
  queue->requests = calloc (queue->requests_count, sizeof *queue->requests);
  if (queue->requests == NULL)
    return -1;
  for (i = queue->requests_count; i-- > 0;) {
    struct request *request = &queue->requests[i];

    request->queue = queue;
    request->next = queue->free;
    queue->free = request;
  }
  return bounce_create (&queue->bounce, queue->requests_count, queue->depth);
}

/* io_uring unless it is not to be had. */
static int
create_engine (struct backing_queue *queue)
{
  static atomic_bool told;
  const char *forced = getenv ("TIERSWAP_IO");

  if (forced == NULL || strcmp (forced, "threads") != 0) {
    queue->engine = &uring_engine;
    if (queue->engine->create (queue) == 0)
      return 0;
    if (errno != EPERM && errno != ENOSYS && errno != ENOMEM && errno != EACCES
        && errno != EINVAL)
      return -1;
    if (!atomic_exchange (&told, true))
      message (MESSAGE_NOTICE,
               "io_uring cannot be used here (%s), so a pool of threads does "
               "the I/O of the backings, at some cost in speed; see "
               "kernel.io_uring_disabled and the seccomp profile",
               strerror (errno));
  }
  queue->engine = &threads_engine;
  return queue->engine->create (queue);
}

static void
release_memory (struct backing_queue *queue)
{
  if (queue->event != -1)
    close (queue->event);
  bounce_destroy (&queue->bounce);
  free (queue->requests);
  free (queue);
}

/* ---- completing ---- */

static void
append_completed (struct backing_queue *queue, struct backing_io *io, int error)
{
  io->error = error;
  io->next = NULL;
  *queue->completed_end = io;
  queue->completed_end = &io->next;
}

static void
free_request (struct request *request)
{
  struct backing_queue *queue = request->queue;

  if (request->large != -1)
    bounce_put_large (&queue->bounce, request->large);
  request->state = REQUEST_FREE;
  request->next = queue->free;
  queue->free = request;
}

/* Bring what was read to where it was asked for. */
static int
deliver (struct request *request)
{
  struct backing_io *io = request->io;
  struct cipher *cipher = io->internal ? NULL : request->backing->cipher;

  if (cipher)
    return cipher_decrypt (cipher, io->buffer, request->memory, request->length,
                           request->offset)
                   == -1
               ? errno
               : 0;
  if (request->memory != io->buffer)
    memcpy (io->buffer, request->memory, request->length);
  return 0;
}

/* Tell the caller, who may use or free io and buffer from now on. */
static void
complete_io (struct request *request, int error)
{
  struct backing_io *io = request->io;

  if (error == 0 && request->op == BACKING_READ)
    error = deliver (request);
  if (!io->internal)
    backing_account (request->backing, request->op, request->length, error);
  request->io = NULL;
  append_completed (request->queue, io, error);
}

static void
bury_orphan (struct request *request)
{
  struct backing *backing = request->backing;

  if (request->op == BACKING_WRITE)
    extents_release (backing->extents, &request->hold);
  request->queue->orphans--;
  free_request (request);
  backing_unreference (backing);
}

static void
make_orphan (struct request *request)
{
  struct backing *backing = request->backing;

  backing_reference (backing);
  atomic_store (&request->abandoned, true);
  if (request->op == BACKING_WRITE) {
    request->hold.extent = request->offset / EXTENT_BYTES;
    extents_hold (backing->extents, &request->hold);
  }
  request->state = REQUEST_ORPHAN;
  request->queue->orphans++;
  complete_io (request, ETIMEDOUT);
}

void
queue_complete (struct request *request, int error)
{
  request->queue->started--;
  if (request->state == REQUEST_ORPHAN) {
    bury_orphan (request);
    return;
  }
  if (request->state == REQUEST_CANCELLED
      && (error == ECANCELED || error == EINTR))
    error = ETIMEDOUT;
  complete_io (request, error);
  free_request (request);
}

void
queue_push (struct request *request)
{
  struct backing_queue *queue = request->queue;
  struct request *head = atomic_load (&queue->posted);

  do
    request->next = head;
  while (!atomic_compare_exchange_weak (&queue->posted, &head, request));
}

void
queue_attend (struct backing_queue *queue)
{
  atomic_fetch_add (&queue->posters, 1);
}

void
queue_leave (struct backing_queue *queue)
{
  uint64_t one = 1;

  if (atomic_load (&queue->posted) && atomic_exchange (&queue->sleeping, false)
      && write (queue->event, &one, sizeof one) == -1)
    assert (errno == EAGAIN); /* the counter is full, so it wakes anyway */
  atomic_fetch_sub (&queue->posters, 1);
}

void
queue_post (struct request *request)
{
  struct backing_queue *queue = request->queue;

  queue_attend (queue);
  queue_push (request);
  queue_leave (queue);
}

static void
take_posted (struct backing_queue *queue)
{
  struct request *request, *next;

  if (atomic_load_explicit (&queue->posted, memory_order_relaxed) == NULL)
    return;
  for (request = atomic_exchange (&queue->posted, NULL); request;
       request = next) {
    next = request->next;
    if (request->backing->remote)
      queue->remote--;
    queue_complete (request, request->error);
  }
}

void
queue_sleep (struct backing_queue *queue, int fd, uint64_t wait)
{
  struct pollfd fds[2] = {
    { .fd = queue->event, .events = POLLIN },
    { .fd = fd, .events = POLLIN },
  };
  struct timespec t = { .tv_sec = wait / SECOND, .tv_nsec = wait % SECOND };
  uint64_t ignored;

  atomic_store (&queue->sleeping, true);
  if (atomic_load (&queue->posted) == NULL)
    ppoll (fds, fd == -1 ? 1 : 2, wait == FOREVER ? NULL : &t, NULL);
  atomic_store (&queue->sleeping, false);
  /* One that is written only now ends the next sleep early, no more. */
  if (fds[0].revents && read (queue->event, &ignored, sizeof ignored) == -1)
    assert (errno == EAGAIN);
}

/* ---- starting ---- */

static bool
needs_bounce (const struct backing_io *io)
{
  struct backing *backing = io->backing;

  if (io->op == BACKING_WRITE)
    return backing->cipher && !io->internal;
  return io->op == BACKING_READ && backing->remote == NULL;
}

static int
find_memory (struct request *request)
{
  struct backing_queue *queue = request->queue;
  struct backing_io *io = request->io;

  request->large = -1;
  if (!needs_bounce (io))
    request->memory = io->buffer;
  else if (io->length <= SMALL_BOUNCE)
    request->memory = bounce_small (&queue->bounce, request - queue->requests);
  else {
    if (bounce_map (&queue->bounce) == -1)
      return -1;
    request->large = bounce_take_large (&queue->bounce);
    request->memory = bounce_large (&queue->bounce, request->large);
  }
  if (io->op == BACKING_WRITE && request->memory != io->buffer)
    return cipher_encrypt (io->backing->cipher, request->memory, io->buffer,
                           io->length, io->offset);
  return 0;
}

static void
start_io (struct backing_queue *queue, struct backing_io *io)
{
  struct request *request = queue->free;

  queue->free = request->next;
  request->io = io;
  request->backing = io->backing;
  request->op = io->op;
  request->length = io->length;
  request->offset = io->offset;
  request->deadline = io->deadline;
  request->state = REQUEST_STARTED;
  request->done = 0;
  request->error = 0;
  atomic_store_explicit (&request->abandoned, false, memory_order_relaxed);
  if (find_memory (request) == -1) {
    complete_io (request, errno);
    free_request (request);
    return;
  }

  queue->started++;
  if (request->backing->remote) {
    queue->remote++; /* and its loop keeps the deadline */
    remote_start (request->backing->remote, request);
  }
  else {
    if (request->deadline < queue->next_check)
      queue->next_check = request->deadline;
    queue->engine->start (queue, request);
  }
}

static bool
can_start (const struct backing_queue *queue, const struct backing_io *io)
{
  return queue->free
         && (io->length <= SMALL_BOUNCE || queue->bounce.free_count > 0
             || !needs_bounce (io));
}

/* Start all that can be; wake each remote once. */
static void
start_pending (struct backing_queue *queue)
{
  struct backing_io **link = &queue->pending, *io;
  struct remote *remote = NULL;

  queue->submitted = 0;
  while ((io = *link) != NULL) {
    if (!can_start (queue, io)) {
      if (io->deadline < queue->next_check)
        queue->next_check = io->deadline;
      link = &io->next;
      continue;
    }
    *link = io->next;
    if (io->backing->remote && io->backing->remote != remote) {
      if (remote)
        remote_wake (remote);
      remote = io->backing->remote;
    }
    start_io (queue, io);
  }
  queue->pending_end = link;
  if (remote)
    remote_wake (remote);
}

/* ---- deadlines ---- */

static void
expire_pending (struct backing_queue *queue, uint64_t now)
{
  struct backing_io **link = &queue->pending, *io;

  while ((io = *link) != NULL) {
    if (io->deadline <= now) {
      *link = io->next;
      /* No verdict on a backing that was never asked. */
      if (!io->internal)
        io->backing->io_errors++;
      append_completed (queue, io, ETIMEDOUT);
      continue;
    }
    if (io->deadline < queue->next_check)
      queue->next_check = io->deadline;
    link = &io->next;
  }
  queue->pending_end = link;
}

static void
expire (struct backing_queue *queue)
{
  uint64_t now;
  unsigned i;

  if (queue->next_check == FOREVER
      || (now = now_nanoseconds ()) < queue->next_check)
    return;
  queue->next_check = FOREVER;
  for (i = 0; i < queue->requests_count; ++i) {
    struct request *request = &queue->requests[i];

    if ((request->state != REQUEST_STARTED
         && request->state != REQUEST_CANCELLED)
        || request->backing->remote)
      continue;
    if (request->deadline <= now) {
      if (request->state == REQUEST_CANCELLED) {
        make_orphan (request);
        continue;
      }
      request->state = REQUEST_CANCELLED;
      request->deadline = now + GRACE;
      queue->engine->cancel (queue, request);
    }
    if (request->deadline < queue->next_check)
      queue->next_check = request->deadline;
  }
  expire_pending (queue, now);
}

/* How long the queue may sleep. */
static uint64_t
time_to_check (const struct backing_queue *queue)
{
  uint64_t now;

  if (queue->next_check == FOREVER)
    return FOREVER;
  now = now_nanoseconds ();
  /* At least a tick, for the clock is coarse. */
  return queue->next_check > now + SECOND / 100 ? queue->next_check - now
                                                : SECOND / 100;
}

/* ---- what callers see ---- */

static bool
is_valid (const struct backing_io *io)
{
  return (io->op == BACKING_READ || io->op == BACKING_WRITE) && io->length > 0
         && io->length % BACKING_ALIGNMENT == 0
         && io->offset % BACKING_ALIGNMENT == 0
         && (uintptr_t) io->buffer % BACKING_ALIGNMENT == 0
         && io->length <= EXTENT_BYTES - io->offset % EXTENT_BYTES
         && io->offset / EXTENT_BYTES < backing_extents (io->backing);
}

static int
submit (struct backing_queue *queue, struct backing_io *io)
{
  int error = 0;

  if (queue->in_flight >= queue->depth) {
    errno = EAGAIN;
    return -1;
  }
  queue->in_flight++;
  if (!io->internal) {
    if (!is_valid (io))
      error = EINVAL;
    else if (!backing_reachable (io->backing)) {
      error = ENODEV;
      io->backing->io_errors++; /* which is known to have failed */
    }
  }
  if (error) {
    append_completed (queue, io, error);
    return 0;
  }
  io->deadline = now_nanoseconds () + io->backing->deadline;
  io->next = NULL;
  *queue->pending_end = io;
  queue->pending_end = &io->next;
  if (++queue->submitted >= START_EARLY) {
    start_pending (queue);
    if (queue->started > 0)
      queue->engine->enter (queue, 0);
  }
  return 0;
}

int
backing_queue_reserve (struct backing_queue *queue)
{
  return bounce_reserve (&queue->bounce);
}

int
backing_queue_submit (struct backing_queue *queue, struct backing_io *io)
{
  io->internal = false;
  return submit (queue, io);
}

int
queue_submit_internal (struct backing_queue *queue, struct backing_io *io)
{
  io->internal = true;
  return submit (queue, io);
}

/* How long may it sleep when it is waited for until LIMIT? */
static uint64_t
time_to_sleep (const struct backing_queue *queue, uint64_t limit)
{
  uint64_t now, check;

  if (queue->completed || queue->in_flight == 0)
    return 0;
  check = time_to_check (queue);
  if (limit == FOREVER)
    return check;
  now = now_nanoseconds ();
  if (limit <= now)
    return 0;
  return limit - now < check ? limit - now : check;
}

struct backing_io *
backing_queue_wait_for (struct backing_queue *queue, uint64_t nanoseconds)
{
  uint64_t limit = FOREVER;
  struct backing_io *io;

  if (nanoseconds != FOREVER)
    limit = now_nanoseconds () + nanoseconds;
  for (;;) {
    start_pending (queue);
    if (queue->started > 0)
      queue->engine->enter (queue, time_to_sleep (queue, limit));
    take_posted (queue);
    expire (queue);
    if ((io = queue->completed) != NULL)
      break;
    if (queue->in_flight == 0
        || (limit != FOREVER && limit <= now_nanoseconds ()))
      return NULL;
  }
  queue->completed = io->next;
  if (queue->completed == NULL)
    queue->completed_end = &queue->completed;
  queue->in_flight--;
  return io;
}

struct backing_io *
backing_queue_wait (struct backing_queue *queue)
{
  return backing_queue_wait_for (queue, BACKING_FOREVER);
}

/* Queues that were freed while the kernel could still write to their memory:
 * better kept than reused.  They are looked at whenever another is made or
 * freed.
 */
static struct {
  pthread_mutex_t lock;
  struct backing_queue *first;
} left_behind = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
destroy (struct backing_queue *queue)
{
  while (atomic_load (&queue->posters) > 0)
    sched_yield ();
  queue->engine->destroy (queue);
  release_memory (queue);
}

/* Whether all orphans are gone, after waiting so long for them. */
static bool
bury_orphans (struct backing_queue *queue, uint64_t wait)
{
  uint64_t limit = now_nanoseconds () + wait;

  while (queue->orphans > 0) {
    queue->engine->enter (queue, wait ? SECOND / 100 : 0);
    take_posted (queue);
    if (now_nanoseconds () >= limit)
      break;
  }
  return queue->orphans == 0;
}

static void
look_after_left_behind (void)
{
  struct backing_queue **link = &left_behind.first, *queue;

  pthread_mutex_lock (&left_behind.lock);
  while ((queue = *link) != NULL) {
    if (bury_orphans (queue, 0)) {
      *link = queue->next_left;
      destroy (queue);
    }
    else
      link = &queue->next_left;
  }
  pthread_mutex_unlock (&left_behind.lock);
}

void
backing_queue_free (struct backing_queue *queue)
{
  if (queue == NULL)
    return;
  assert (queue->in_flight == 0);
  if (bury_orphans (queue, SECOND))
    destroy (queue);
  else {
    pthread_mutex_lock (&left_behind.lock);
    queue->next_left = left_behind.first;
    left_behind.first = queue;
    pthread_mutex_unlock (&left_behind.lock);
  }
  look_after_left_behind ();
}

struct backing_queue *
backing_queue_create (unsigned depth)
{
  struct backing_queue *queue;
  int saved_errno;

  look_after_left_behind ();
  if (depth == 0 || depth > DEPTH_MAX) {
    errno = EINVAL;
    return NULL;
  }
  queue = calloc (1, sizeof *queue);
  if (queue == NULL)
    return NULL;
  queue->depth = depth;
  queue->pending_end = &queue->pending;
  queue->completed_end = &queue->completed;
  queue->next_check = FOREVER;
  queue->event = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (queue->event == -1 || create_requests (queue) == -1
      || create_engine (queue) == -1) {
    saved_errno = errno;
    release_memory (queue);
    errno = saved_errno;
    return NULL;
  }
  return queue;
}
