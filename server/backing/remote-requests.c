/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of a remote backing: sent in pieces that the server accepts, all on
 * the same connection, and answered when the last piece is done.
 */
#include <config.h>

#include <errno.h>

#include "backing/remote-internal.h"

#define TRIM_PIECE (UINT64_C (1) * 1024 * 1024 * 1024)

static void
link_request (struct remote *remote, struct request *request)
{
  request->next = NULL;
  request->previous = remote->last;
  if (remote->last)
    remote->last->next = request;
  else
    remote->first = request;
  remote->last = request;
}

static void
unlink_request (struct remote *remote, struct request *request)
{
  if (request->previous)
    request->previous->next = request->next;
  else
    remote->first = request->next;
  if (request->next)
    request->next->previous = request->previous;
  else
    remote->last = request->previous;
}

void
remote_leave_queues (struct remote *remote)
{
  while (remote->attended_count > 0)
    queue_leave (remote->attended[--remote->attended_count]);
}

void
remote_answer (struct remote *remote, struct request *request, int error)
{
  struct backing_queue *queue = request->queue;
  unsigned i;

  for (i = 0; i < remote->attended_count; ++i)
    if (remote->attended[i] == queue)
      break;
  if (i == remote->attended_count) {
    if (i == ATTENDED) {
      remote_leave_queues (remote);
      i = 0;
    }
    queue_attend (queue);
    remote->attended[i] = queue;
    remote->attended_count = i + 1;
  }
  request->error = error;
  queue_push (request);
}

/* A piece of a request is done; the last one answers it.  While the connection
 * breaks this is called too, and then lose answers.
 */
static void
piece_done (struct remote *remote, struct request *request, int error)
{
  if (error && request->error == 0)
    request->error = error;
  if (--request->parts > 0 || request->error == ENOTCONN)
    return;
  unlink_request (remote, request);
  remote->connections[request->connection].bytes -= request->length;
  remote_answer (remote, request,
                 request->error == ESHUTDOWN ? ENODEV : request->error);
}

static int
completion (void *opaque, int *error)
{
  struct request *request = opaque;

  piece_done (request->backing->remote, request, *error);
  return 1; /* libnbd may forget the command */
}

static unsigned
least_busy (const struct remote *remote)
{
  unsigned i, best = 0;

  for (i = 1; i < remote->connections_count; ++i)
    if (remote->connections[i].bytes < remote->connections[best].bytes)
      best = i;
  return best;
}

/* Why a command was not taken. */
static int
issue_error (struct nbd_handle *nbd)
{
  int error = nbd_get_errno ();

  if (nbd_aio_is_dead (nbd) || nbd_aio_is_closed (nbd))
    return ENOTCONN;
  return error ? error : EIO;
}

void
remote_issue (struct remote *remote, struct request *request)
{
  struct nbd_handle *nbd;
  uint64_t piece, done, length;
  int64_t cookie = 0;

  if (remote->phase != CONNECTED) {
    remote_answer (remote, request, ENODEV);
    return;
  }
  if (request->op == BACKING_TRIM && !remote->can_trim) {
    remote_answer (remote, request, EOPNOTSUPP);
    return;
  }
  request->connection = least_busy (remote);
  remote->connections[request->connection].bytes += request->length;
  nbd = remote->connections[request->connection].nbd;
  link_request (remote, request);

  /* One part is ours, so that it is not answered before all are issued. */
  request->parts = 1;
  piece = request->op == BACKING_TRIM ? TRIM_PIECE : remote->piece;
  for (done = 0; done < request->length && cookie != -1; done += length) {
    uint64_t offset = request->offset + done;
    char *memory = request->memory + done;
    nbd_completion_callback callback
        = { .callback = completion, .user_data = request };

    length = request->length - done < piece ? request->length - done : piece;
    request->parts++;
    if (request->op == BACKING_READ)
      cookie = nbd_aio_pread (nbd, memory, length, offset, callback, 0);
    else if (request->op == BACKING_WRITE)
      cookie = nbd_aio_pwrite (nbd, memory, length, offset, callback, 0);
    else
      cookie = nbd_aio_trim (nbd, length, offset, callback, 0);
    if (cookie == -1)
      piece_done (remote, request, issue_error (nbd));
  }
  piece_done (remote, request, 0);
}

bool
remote_has_writes (const struct remote *remote)
{
  const struct request *request;

  /* Trims change what is there, too. */
  for (request = remote->first; request; request = request->next)
    if (request->op != BACKING_READ)
      return true;
  return false;
}

void
remote_answer_all (struct remote *remote)
{
  uint64_t now = now_nanoseconds ();
  struct request *request;

  while ((request = remote->first) != NULL) {
    unlink_request (remote, request);
    remote_answer (remote, request,
                   request->deadline <= now ? ETIMEDOUT : ENODEV);
  }
}
