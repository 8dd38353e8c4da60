/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop of a remote backing: takes what was submitted, polls the
 * connections, keeps the deadlines.
 */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "backing/remote-internal.h"

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
      remote_bury_connection (remote, i);
}

/* A command that could not be issued can have killed its connection. */
static void
find_dead (struct remote *remote)
{
  unsigned i;

  for (i = remote->connections_count; i-- > 0 && remote->connections_count > i;)
    if (nbd_aio_is_dead (remote->connections[i].nbd)
        || nbd_aio_is_closed (remote->connections[i].nbd))
      remote_bury_connection (remote, i);
}

static void
keep_deadlines (struct remote *remote)
{
  uint64_t now = now_nanoseconds ();
  char reason[80];

  switch (remote->phase) {
  case APART:
    if (now >= remote->retry_at)
      remote_begin_connecting (remote);
    break;
  case CONNECTING:
    if (now >= remote->give_up_at)
      remote_stop_connecting (remote);
    break;
  case CONNECTED:
    if (remote->first == NULL || now < remote->first->deadline)
      break;
    snprintf (reason, sizeof reason,
              "a request was not answered after %llu seconds",
              (unsigned long long) (remote->backing->deadline / SECOND));
    remote_lose (remote, reason);
    break;
  }
}

void *
remote_loop (void *opaque)
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
      remote_issue (remote, request);
    }
    find_dead (remote);
    keep_deadlines (remote);
    if (remote->phase == CONNECTING)
      remote_go_on_connecting (remote);
    remote_leave_queues (remote);
    wait_for_events (remote);
  }

  remote_leave_queues (remote);
  if (remote->phase == CONNECTED)
    for (i = 0; i < remote->connections_count; ++i)
      nbd_aio_disconnect (remote->connections[i].nbd, 0);
  remote_close_connections (remote);
  return NULL;
}
