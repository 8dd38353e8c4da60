/* SPDX-License-Identifier: BSD-3-Clause */
/* The io_uring engine: one ring a queue.
 *
 * What was started since the last time is submitted by one system call, which
 * also waits if there is something to wait for.  Small bounce buffers are
 * registered with the kernel; files are not: that gained nothing that could be
 * measured, and a registered file keeps its lock after its backing is closed.
 *
 * The ring is not bound to a thread (no IORING_SETUP_SINGLE_ISSUER), so that
 * an idle queue may be handed from one thread to another.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include <liburing.h>

#include "backing/internal.h"

/* The memory of a ring that was destroyed may be the next one's.
 * ThreadSanitizer does not see it go and come, since liburing makes its system
 * calls itself.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
static char ring_memory;
#define RING_MEMORY_COMES() __tsan_acquire (&ring_memory)
#define RING_MEMORY_GOES() __tsan_release (&ring_memory)
#else
#define RING_MEMORY_COMES()
#define RING_MEMORY_GOES()
#endif

struct ring {
  struct io_uring uring;
  bool registered; /* the small bounce buffers */
};

static int
uring_create (struct backing_queue *queue)
{
  struct ring *ring = calloc (1, sizeof *ring);
  struct iovec small = {
    .iov_base = queue->bounce.small,
    .iov_len = queue->bounce.small_bytes,
  };
  unsigned workers[2] = { queue->requests_count, 0 /* unchanged */ };
  int r;

  if (ring == NULL)
    return -1;
  /* A request has at most one operation and one cancellation in the ring. */
  r = io_uring_queue_init (2 * queue->requests_count, &ring->uring,
                           IORING_SETUP_CLAMP);
  if (r < 0) {
    free (ring);
    errno = -r;
    return -1;
  }
  RING_MEMORY_COMES ();
  io_uring_ring_dontfork (&ring->uring);
  /* Fails where little memory may be locked, which only costs time. */
  ring->registered = io_uring_register_buffers (&ring->uring, &small, 1) == 0;
  /* What would block is handed to workers of the kernel, by default too few
   * for a device that hangs to leave some to others.
   */
  io_uring_register_iowq_max_workers (&ring->uring, workers);
  queue->engine_data = ring;
  return 0;
}

static void
uring_destroy (struct backing_queue *queue)
{
  struct ring *ring = queue->engine_data;

  RING_MEMORY_GOES ();
  io_uring_queue_exit (&ring->uring);
  free (ring);
}

static struct io_uring_sqe *
get_sqe (struct ring *ring)
{
  struct io_uring_sqe *sqe;

  /* There is room for everything, so it is only full while the kernel
   * refuses to take what is there.
   */
  while ((sqe = io_uring_get_sqe (&ring->uring)) == NULL)
    io_uring_submit (&ring->uring);
  return sqe;
}

static void
uring_start (struct backing_queue *queue, struct request *request)
{
  struct ring *ring = queue->engine_data;
  struct io_uring_sqe *sqe = get_sqe (ring);
  char *memory = request->memory + request->done;
  unsigned length = request->length - request->done;
  uint64_t offset = request->offset + request->done;
  int fd = request->backing->fd;

  if (request->op == BACKING_WRITE)
    io_uring_prep_write (sqe, fd, memory, length, offset);
  else if (ring->registered && request->large == -1)
    io_uring_prep_read_fixed (sqe, fd, memory, length, offset, 0);
  else
    io_uring_prep_read (sqe, fd, memory, length, offset);
  /* To a worker of the kernel at once, for it is our thread that keeps the
   * deadlines.
   */
  if (request->backing->may_block)
    sqe->flags |= IOSQE_ASYNC;
  io_uring_sqe_set_data (sqe, request);
}

static void
uring_cancel (struct backing_queue *queue, struct request *request)
{
  struct io_uring_sqe *sqe = get_sqe (queue->engine_data);

  io_uring_prep_cancel (sqe, request, 0);
  io_uring_sqe_set_data (sqe, NULL);
}

static void
complete (struct backing_queue *queue, struct request *request, int result)
{
  if (result == -EINTR || result == -EAGAIN) {
    if (request->state == REQUEST_STARTED) {
      uring_start (queue, request);
      return;
    }
  }
  if (result > 0) {
    /* Go on behind what was done, at a block of the device. */
    request->done += result;
    if (request->done >= request->length) {
      queue_complete (request, 0);
      return;
    }
    request->done -= request->done % BACKING_ALIGNMENT;
    if (request->state == REQUEST_STARTED && result >= BACKING_ALIGNMENT) {
      uring_start (queue, request);
      return;
    }
    result = request->state == REQUEST_STARTED ? -EIO : -ECANCELED;
  }
  /* 0: the end of a file that somebody truncated. */
  queue_complete (request, result == 0 ? EIO : -result);
}

static void
collect (struct backing_queue *queue)
{
  struct ring *ring = queue->engine_data;
  struct io_uring_cqe *cqe;

  while (io_uring_peek_cqe (&ring->uring, &cqe) == 0) {
    struct request *request = io_uring_cqe_get_data (cqe);
    int result = cqe->res;

    io_uring_cqe_seen (&ring->uring, cqe);
    if (request) /* and not a cancellation */
      complete (queue, request, result);
  }
}

static void
uring_enter (struct backing_queue *queue, uint64_t wait)
{
  struct ring *ring = queue->engine_data;
  struct __kernel_timespec t
      = { .tv_sec = wait / SECOND, .tv_nsec = wait % SECOND };
  struct io_uring_cqe *cqe;
  int r;

  if (wait == 0) {
    if (io_uring_sq_ready (&ring->uring) > 0)
      io_uring_submit (&ring->uring);
  }
  else if (queue->remote == 0) {
    r = io_uring_submit_and_wait_timeout (&ring->uring, &cqe, 1, &t, NULL);
    /* Not even submitted, for want of memory: leave it some time. */
    if (r < 0 && r != -ETIME && r != -EINTR)
      queue_sleep (queue, ring->uring.ring_fd, SECOND / 100);
  }
  else {
    io_uring_submit (&ring->uring);
    if (io_uring_cq_ready (&ring->uring) == 0)
      queue_sleep (queue, ring->uring.ring_fd, wait);
  }
  collect (queue);
  /* Requests of which a part was done go on. */
  if (io_uring_sq_ready (&ring->uring) > 0)
    io_uring_submit (&ring->uring);
}

const struct engine uring_engine = {
  .name = "io_uring",
  .create = uring_create,
  .destroy = uring_destroy,
  .start = uring_start,
  .enter = uring_enter,
  .cancel = uring_cancel,
};
