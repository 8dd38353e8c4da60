/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <libnbd.h>

#include "backing/internal.h"
#include "backing/janitor.h"
#include "backing/remote.h"
#include "common/message.h"

/* As many as a server allows that says it can do with several: one connection
 * is one thread's work at the other end, and one stream of TLS.
 */
#define CONNECTIONS 4

#define RETRY_EVERY SECOND
#define CONNECT_TIME (10 * SECOND) /* at most the deadline */
#define TRIM_PIECE (UINT64_C (1) * 1024 * 1024 * 1024)

#define NEVER UINT64_MAX

enum phase { APART, CONNECTING, CONNECTED };

struct connection {
  struct nbd_handle *nbd;
  uint64_t bytes; /* of the requests it has */
};

struct remote {
  struct backing *backing;
  char *uri;
  pthread_t loop;
  int wake;              /* an eventfd */
  atomic_bool connected; /* changes with the lock held */

  pthread_mutex_t lock;
  pthread_cond_t tried; /* to connect, for the first time */
  bool has_tried;
  int error;        /* why the last try failed, 0: it did not */
  char reason[256]; /* the same in words */
  bool refused;     /* for what the export is, not for want of a server */
  struct request *submitted, **submitted_end;
  bool sleeping, stop; /* sleeping: WAKE must be written to */
  uint64_t size;       /* of the export, bytes, 0: not known yet */
  uint64_t needed;     /* bytes it must have */
  uint64_t settled_at; /* 0: it is settled, NEVER: not while it is gone */

  /* Of the loop alone: */
  enum phase phase;
  struct connection connections[CONNECTIONS];
  unsigned connections_count;
  uint64_t retry_at;   /* if apart */
  uint64_t give_up_at; /* if connecting */
  uint64_t piece;      /* bytes of the largest read or write it takes */
  bool can_trim;
  struct request *first, *last; /* in flight, the oldest first */
  bool was_lost, told_refused;
};

/* ---- requests ---- */

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

static void
answer (struct request *request, int error)
{
  request->error = error;
  queue_post (request);
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
  answer (request, request->error == ESHUTDOWN ? ENODEV : request->error);
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

static void
issue (struct remote *remote, struct request *request)
{
  struct nbd_handle *nbd;
  uint64_t piece, done, length;
  int64_t cookie = 0;

  if (remote->phase != CONNECTED) {
    answer (request, ENODEV);
    return;
  }
  if (request->op == BACKING_TRIM && !remote->can_trim) {
    answer (request, EOPNOTSUPP);
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
    if (cookie == -1) {
      int error = nbd_get_errno ();

      piece_done (remote, request, error ? error : EIO);
    }
  }
  piece_done (remote, request, 0);
}

/* ---- losing and trying ---- */

static void
close_connections (struct remote *remote)
{
  while (remote->connections_count > 0) {
    struct connection *c = &remote->connections[--remote->connections_count];

    nbd_close (c->nbd);
    c->nbd = NULL;
    c->bytes = 0;
  }
}

/* What libnbd said last on this thread. */
static const char *
nbd_reason (void)
{
  const char *reason = nbd_get_error ();

  return reason ? reason : "the connection was closed";
}

static bool
has_writes (const struct remote *remote)
{
  const struct request *request;

  for (request = remote->first; request; request = request->next)
    if (request->op == BACKING_WRITE)
      return true;
  return false;
}

/* The connections are of no use any more.  When this returns nothing touches
 * the memory of any request.
 */
static void
lose (struct remote *remote, const char *reason)
{
  uint64_t now = now_nanoseconds ();
  struct request *request, *unsent;
  char why[sizeof remote->reason];
  bool unsettled;

  /* It is libnbd's, and may not outlive the handle. */
  snprintf (why, sizeof why, "%s", reason);
  pthread_mutex_lock (&remote->lock);
  remote->connected = false;
  unsent = remote->submitted;
  remote->submitted = NULL;
  remote->submitted_end = &remote->submitted;
  unsettled = has_writes (remote) || remote->settled_at != 0;
  if (unsettled) {
    extents_pause (remote->backing->extents, true);
    remote->settled_at = NEVER;
  }
  pthread_mutex_unlock (&remote->lock);
  if (unsettled)
    janitor_kick (remote->backing->janitor);

  close_connections (remote);
  remote->phase = APART;
  remote->retry_at = now;
  remote->was_lost = true;
  remote->told_refused = false;
  while ((request = remote->first) != NULL) {
    unlink_request (remote, request);
    answer (request, request->deadline <= now ? ETIMEDOUT : ENODEV);
  }
  while ((request = unsent) != NULL) {
    unsent = request->next;
    answer (request, ENODEV);
  }
  /* Last: who reads it may be slow. */
  message (MESSAGE_WARNING,
           "backing %s lost its server (%s); what is stored there cannot be "
           "read until it is back",
           remote->backing->name, why);
}

static void
give_up (struct remote *remote, int error, const char *reason, bool refused)
{
  bool tell = refused && remote->was_lost && !remote->told_refused;

  pthread_mutex_lock (&remote->lock);
  remote->error = error ? error : EIO;
  remote->refused = refused;
  snprintf (remote->reason, sizeof remote->reason, "%s", reason);
  remote->has_tried = true;
  pthread_cond_broadcast (&remote->tried);
  pthread_mutex_unlock (&remote->lock);

  if (tell) {
    message (MESSAGE_WARNING,
             "backing %s cannot use what its server has now: %s",
             remote->backing->name, reason);
    remote->told_refused = true;
  }
  close_connections (remote);
  remote->phase = APART;
  remote->retry_at = now_nanoseconds () + RETRY_EVERY;
}

/* One more connection.  nbd_get_errno and nbd_get_error tell what is wrong
 * if it cannot even begin.
 */
static int
add_connection (struct remote *remote)
{
  struct connection *c = &remote->connections[remote->connections_count];

  c->nbd = nbd_create ();
  if (c->nbd == NULL)
    return -1;
  if (nbd_set_uri_allow_local_file (c->nbd, true) == -1
      || nbd_set_pread_initialize (c->nbd, false) == -1
      || nbd_aio_connect_uri (c->nbd, remote->uri) == -1) {
    nbd_close (c->nbd);
    c->nbd = NULL;
    return -1;
  }
  c->bytes = 0;
  remote->connections_count++;
  return 0;
}

static void
begin_connecting (struct remote *remote)
{
  uint64_t time = remote->backing->deadline;

  if (add_connection (remote) == -1) {
    int error = nbd_get_errno ();

    /* A URI that makes no sense now will not do so later. */
    give_up (remote, error, nbd_reason (), error == EINVAL);
    return;
  }
  remote->phase = CONNECTING;
  remote->give_up_at
      = now_nanoseconds () + (time < CONNECT_TIME ? time : CONNECT_TIME);
}

/* Whether the export will do.  Learn what there is to know about it. */
static bool
check_export (struct remote *remote, struct nbd_handle *nbd)
{
  int64_t size = nbd_get_size (nbd);
  int64_t minimum = nbd_get_block_size (nbd, LIBNBD_SIZE_MINIMUM);
  int64_t maximum = nbd_get_block_size (nbd, LIBNBD_SIZE_MAXIMUM);
  uint64_t needed;
  char reason[128];

  pthread_mutex_lock (&remote->lock);
  needed = remote->needed;
  if (size > 0)
    remote->size = size;
  pthread_mutex_unlock (&remote->lock);

  if (size == -1) {
    give_up (remote, nbd_get_errno (), nbd_reason (), false);
    return false;
  }
  if (nbd_is_read_only (nbd) == 1) {
    give_up (remote, EROFS, "the export is read-only", true);
    return false;
  }
  if (minimum > BACKING_ALIGNMENT) {
    snprintf (reason, sizeof reason,
              "the export wants requests of at least %lld bytes, not %d",
              (long long)minimum, BACKING_ALIGNMENT);
    give_up (remote, EINVAL, reason, true);
    return false;
  }
  if ((uint64_t)size < needed) {
    snprintf (reason, sizeof reason,
              "the export has %lld bytes, at least %llu are needed",
              (long long)size, (unsigned long long)needed);
    give_up (remote, ENOSPC, reason, true);
    return false;
  }
  remote->piece = EXTENT_BYTES;
  if (maximum > 0 && (uint64_t)maximum < remote->piece)
    remote->piece = maximum - maximum % BACKING_ALIGNMENT;
  remote->can_trim = nbd_can_trim (nbd) == 1;
  return true;
}

static void
begin_working (struct remote *remote)
{
  pthread_mutex_lock (&remote->lock);
  remote->error = 0;
  remote->connected = true;
  remote->has_tried = true;
  if (remote->settled_at == NEVER)
    remote->settled_at = now_nanoseconds () + remote->backing->deadline;
  pthread_cond_broadcast (&remote->tried);
  pthread_mutex_unlock (&remote->lock);

  remote->phase = CONNECTED;
  if (remote->was_lost)
    message (MESSAGE_NOTICE, "backing %s is connected to its server again",
             remote->backing->name);
  remote->was_lost = false;
}

/* The first connection shows what the export is and whether there may be
 * more.  Work begins when each of these is ready or has failed.
 */
static void
go_on_connecting (struct remote *remote)
{
  unsigned i;

  for (i = 0; i < remote->connections_count; ++i)
    if (!nbd_aio_is_ready (remote->connections[i].nbd))
      return;
  if (remote->connections_count == 1) {
    struct nbd_handle *nbd = remote->connections[0].nbd;

    if (!check_export (remote, nbd))
      return;
    if (nbd_can_multi_conn (nbd) == 1) {
      while (remote->connections_count < CONNECTIONS
             && add_connection (remote) == 0)
        ;
      if (remote->connections_count > 1)
        return;
    }
  }
  begin_working (remote);
}

/* Connection I is dead. */
static void
bury_connection (struct remote *remote, unsigned i)
{
  struct connection *c = remote->connections;

  if (remote->phase == CONNECTED)
    lose (remote, nbd_reason ());
  else if (i == 0)
    give_up (remote, nbd_get_errno (), nbd_reason (), false);
  else {
    /* Do with fewer. */
    nbd_close (c[i].nbd);
    c[i] = c[--remote->connections_count];
    c[remote->connections_count].nbd = NULL;
  }
}

/* ---- the loop ---- */

static void
drain (int event)
{
  uint64_t ignored;

  if (read (event, &ignored, sizeof ignored) == -1)
    assert (errno == EAGAIN);
}

/* False if the connection is dead. */
static bool
notify (struct nbd_handle *nbd, short events)
{
  const short any = POLLHUP | POLLERR;

  if (events & POLLNVAL)
    return false;
  if ((events & (POLLIN | any))
      && (nbd_aio_get_direction (nbd) & LIBNBD_AIO_DIRECTION_READ)
      && nbd_aio_notify_read (nbd) == -1)
    return false;
  if ((events & (POLLOUT | any))
      && (nbd_aio_get_direction (nbd) & LIBNBD_AIO_DIRECTION_WRITE)
      && nbd_aio_notify_write (nbd) == -1)
    return false;
  return !nbd_aio_is_dead (nbd) && !nbd_aio_is_closed (nbd);
}

static uint64_t
next_event (const struct remote *remote)
{
  switch (remote->phase) {
  case APART:
    return remote->retry_at;
  case CONNECTING:
    return remote->give_up_at;
  case CONNECTED:
    break;
  }
  return remote->first ? remote->first->deadline : NEVER;
}

static int
poll_time (const struct remote *remote)
{
  uint64_t next = next_event (remote), now;

  if (next == NEVER)
    return -1;
  now = now_nanoseconds ();
  return next <= now ? 0 : (next - now) / (SECOND / 1000) + 1;
}

static void
wait_for_events (struct remote *remote)
{
  struct pollfd fds[1 + CONNECTIONS];
  unsigned i, count = remote->connections_count;

  fds[0] = (struct pollfd){ .fd = remote->wake, .events = POLLIN };
  for (i = 0; i < count; ++i) {
    struct nbd_handle *nbd = remote->connections[i].nbd;
    unsigned direction = nbd_aio_get_direction (nbd);

    fds[1 + i] = (struct pollfd){
      .fd = nbd_aio_get_fd (nbd),
      .events = (direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0)
                | (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0),
    };
  }
  if (poll (fds, 1 + count, poll_time (remote)) <= 0)
    return;
  if (fds[0].revents)
    drain (remote->wake);
  /* Downwards, for burying one moves the last to its place; none is left if
   * all were lost.
   */
  for (i = count; i-- > 0 && remote->connections_count > i;)
    if (fds[1 + i].revents
        && !notify (remote->connections[i].nbd, fds[1 + i].revents))
      bury_connection (remote, i);
}

/* A command that could not be issued can have killed its connection. */
static void
find_dead (struct remote *remote)
{
  unsigned i;

  for (i = remote->connections_count; i-- > 0 && remote->connections_count > i;)
    if (nbd_aio_is_dead (remote->connections[i].nbd)
        || nbd_aio_is_closed (remote->connections[i].nbd))
      bury_connection (remote, i);
}

static void
keep_deadlines (struct remote *remote)
{
  uint64_t now = now_nanoseconds ();
  char reason[80];

  switch (remote->phase) {
  case APART:
    if (now >= remote->retry_at)
      begin_connecting (remote);
    break;
  case CONNECTING:
    if (now >= remote->give_up_at)
      give_up (remote, ETIMEDOUT, "the server does not answer", false);
    break;
  case CONNECTED:
    if (remote->first == NULL || now < remote->first->deadline)
      break;
    snprintf (reason, sizeof reason,
              "a request was not answered after %llu seconds",
              (unsigned long long)(remote->backing->deadline / SECOND));
    lose (remote, reason);
    break;
  }
}

static void *
run (void *opaque)
{
  struct remote *remote = opaque;
  struct request *request, *next;
  unsigned i;
  bool stop;

  for (;;) {
    pthread_mutex_lock (&remote->lock);
    stop = remote->stop;
    request = remote->submitted;
    remote->submitted = NULL;
    remote->submitted_end = &remote->submitted;
    remote->sleeping = true;
    pthread_mutex_unlock (&remote->lock);
    if (stop)
      break;

    for (; request; request = next) {
      next = request->next;
      issue (remote, request);
    }
    find_dead (remote);
    keep_deadlines (remote);
    if (remote->phase == CONNECTING)
      go_on_connecting (remote);
    wait_for_events (remote);
  }

  if (remote->phase == CONNECTED)
    for (i = 0; i < remote->connections_count; ++i)
      nbd_aio_disconnect (remote->connections[i].nbd, 0);
  close_connections (remote);
  return NULL;
}

/* ---- what the rest of the layer sees ---- */

bool
remote_connected (const struct remote *remote)
{
  return remote->connected;
}

uint64_t
remote_size (struct remote *remote)
{
  uint64_t size;

  pthread_mutex_lock (&remote->lock);
  size = remote->size;
  pthread_mutex_unlock (&remote->lock);
  return size;
}

void
remote_set_size (struct remote *remote, uint64_t size)
{
  pthread_mutex_lock (&remote->lock);
  remote->needed = size;
  pthread_mutex_unlock (&remote->lock);
}

bool
remote_settle (struct remote *remote)
{
  bool unsettled;

  pthread_mutex_lock (&remote->lock);
  if (remote->settled_at != 0 && remote->settled_at != NEVER
      && remote->settled_at <= now_nanoseconds ()) {
    remote->settled_at = 0;
    extents_pause (remote->backing->extents, false);
  }
  unsettled = remote->settled_at != 0;
  pthread_mutex_unlock (&remote->lock);
  return unsettled;
}

void
remote_start (struct remote *remote, struct request *request)
{
  bool connected;

  pthread_mutex_lock (&remote->lock);
  connected = remote->connected;
  if (connected) {
    request->next = NULL;
    *remote->submitted_end = request;
    remote->submitted_end = &request->next;
  }
  pthread_mutex_unlock (&remote->lock);
  if (!connected)
    answer (request, ENODEV);
}

void
remote_wake (struct remote *remote)
{
  uint64_t one = 1;
  bool sleeping;

  pthread_mutex_lock (&remote->lock);
  sleeping = remote->sleeping && (remote->submitted || remote->stop);
  if (sleeping)
    remote->sleeping = false;
  pthread_mutex_unlock (&remote->lock);
  if (sleeping && write (remote->wake, &one, sizeof one) == -1)
    assert (errno == EAGAIN);
}

static void
remote_free (struct remote *remote)
{
  if (remote->wake != -1)
    close (remote->wake);
  pthread_cond_destroy (&remote->tried);
  pthread_mutex_destroy (&remote->lock);
  free (remote->uri);
  free (remote);
}

static struct remote *
remote_create (struct backing *backing, const char *uri)
{
  struct remote *remote = calloc (1, sizeof *remote);
  pthread_condattr_t attributes;

  if (remote == NULL)
    return NULL;
  remote->backing = backing;
  remote->submitted_end = &remote->submitted;
  pthread_mutex_init (&remote->lock, NULL);
  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (&remote->tried, &attributes);
  pthread_condattr_destroy (&attributes);
  remote->uri = strdup (uri);
  remote->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (remote->uri == NULL || remote->wake == -1) {
    remote_free (remote);
    return NULL;
  }
  return remote;
}

/* Signals belong to the front end's threads; and a connection that breaks
 * must not be one.
 */
static int
start_loop (struct remote *remote)
{
  sigset_t all, before;
  int r;

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  r = pthread_create (&remote->loop, NULL, run, remote);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return r;
}

/* Looking up a name may take longer than all our limits. */
static void
wait_for_first_try (struct remote *remote)
{
  uint64_t time = remote->backing->deadline;
  struct timespec limit;

  clock_gettime (CLOCK_MONOTONIC, &limit);
  limit.tv_sec += (time < CONNECT_TIME ? time : CONNECT_TIME) / SECOND + 1;
  while (!remote->has_tried
         && pthread_cond_timedwait (&remote->tried, &remote->lock, &limit) == 0)
    ;
  if (!remote->has_tried) {
    remote->error = ETIMEDOUT;
    strcpy (remote->reason, "the server does not answer");
  }
}

int
remote_open (struct backing *backing, const struct backing_options *options,
             uint64_t *size, char **error)
{
  struct remote *remote;
  bool failed;
  int r;

  *size = options->size - options->size % EXTENT_BYTES;
  if (options->size != 0 && *size == 0)
    return backing_fail (error, EINVAL,
                         "backing %s: a size of %llu bytes is too small, "
                         "give at least %d",
                         options->name, (unsigned long long)options->size,
                         EXTENT_BYTES);
  remote = remote_create (backing, options->uri);
  if (remote == NULL)
    return backing_fail (error, errno, "backing %s: %s", options->name,
                         strerror (errno));
  remote->needed = *size ? *size : EXTENT_BYTES;
  backing->remote = remote;
  r = start_loop (remote);
  if (r != 0) {
    backing->remote = NULL;
    remote_free (remote);
    return backing_fail (error, r, "backing %s: cannot start a thread: %s",
                         options->name, strerror (r));
  }

  pthread_mutex_lock (&remote->lock);
  wait_for_first_try (remote);
  failed = remote->error && (remote->refused || *size == 0);
  if (failed)
    backing_fail (error, remote->error, "backing %s: cannot use %s: %s%s",
                  options->name, options->uri, remote->reason,
                  remote->refused ? "" : "; give a size to start without it");
  else if (remote->error)
    message (MESSAGE_WARNING,
             "backing %s: %s cannot be reached now (%s); it is tried again "
             "every second",
             options->name, options->uri, remote->reason);
  else if (*size == 0)
    *size = remote->size - remote->size % EXTENT_BYTES;
  if (!failed)
    remote->needed = *size;
  pthread_mutex_unlock (&remote->lock);
  return failed ? -1 : 0;
}

void
remote_close (struct remote *remote)
{
  pthread_mutex_lock (&remote->lock);
  remote->stop = true;
  pthread_mutex_unlock (&remote->lock);
  remote_wake (remote);
  pthread_join (remote->loop, NULL);
  remote->backing->remote = NULL;
  remote_free (remote);
}
