/* SPDX-License-Identifier: BSD-3-Clause */
/* What the rest of the layer sees of a remote backing. */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backing/remote-internal.h"
#include "common/message.h"
#include "common/refuse.h"

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
  if (!connected) {
    request->error = ENODEV;
    queue_post (request);
  }
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
  free (remote);
}

static struct remote *
remote_create (struct backing *backing)
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
  remote->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (remote->wake == -1) {
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
  r = pthread_create (&remote->loop, NULL, remote_loop, remote);
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
    return refuse (error, EINVAL,
                   "backing %s: a size of %llu bytes is too small, "
                   "give at least %d",
                   options->name, (unsigned long long) options->size,
                   EXTENT_BYTES);
  remote = remote_create (backing);
  if (remote == NULL)
    return refuse (error, errno, "backing %s: %s", options->name,
                   strerror (errno));
  remote->needed = *size ? *size : EXTENT_BYTES;
  /* Writes of who was connected before may still arrive there. */
  if (options->reattach)
    remote->settled_at = NEVER;
  backing->remote = remote;
  r = start_loop (remote);
  if (r != 0) {
    backing->remote = NULL;
    remote_free (remote);
    return refuse (error, r, "backing %s: cannot start a thread: %s",
                   options->name, strerror (r));
  }

  pthread_mutex_lock (&remote->lock);
  wait_for_first_try (remote);
  failed
      = remote->error && (remote->refused || *size == 0) && !options->reattach;
  if (failed)
    refuse (error, remote->error, "backing %s: cannot use %s: %s%s",
            options->name, options->uri, remote->reason,
            remote->refused ? "" : "; give a size to start without it");
  else if (remote->error) {
    remote->missing = true;
    message (MESSAGE_WARNING,
             "backing %s: %s cannot be reached now (%s); it is tried again "
             "every second",
             options->name, options->uri, remote->reason);
  }
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
