/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/refuse.h"
#include "control/client.h"
#include "control/control.h"
#include "control/listener.h"
#include "policy/change.h"

#define CLIENTS 32
#define BUSY_CLIENTS 16 /* with a long command each */
#define PROGRESS_MILLISECONDS 250
#define ACCEPT_PAUSE_MILLISECONDS 100 /* when there are no descriptors */

struct control {
  struct device *device;
  struct listener listener;
  int wake; /* eventfd: a command ended, or the thread shall */
  _Atomic bool stop;
  pthread_t thread;
  uint64_t turn;
  struct client clients[CLIENTS];
};

static uint64_t
milliseconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static unsigned
busy_clients (const struct control *control)
{
  unsigned busy = 0;

  for (unsigned i = 0; i < CLIENTS; ++i)
    busy += control->clients[i].busy;
  return busy;
}

/* A place for a new client: a free one, or that of the client which has done
 * nothing for longest, so that idle ones never keep others out.  Long commands
 * are at work for fewer than there are places.
 */
static struct client *
make_place (struct control *control)
{
  struct client *idle = NULL;

  for (unsigned i = 0; i < CLIENTS; ++i) {
    struct client *c = &control->clients[i];

    if (client_is_free (c))
      return c;
    if (!c->busy && (!idle || c->turn < idle->turn))
      idle = c;
  }
  if (idle)
    client_drop (idle);
  return idle;
}

/* False: not now, for want of something. */
static bool
accept_client (struct control *control)
{
  int fd = listener_accept (&control->listener);
  struct client *c;

  if (fd == -1)
    return errno == EAGAIN || errno == EACCES || errno == ECONNABORTED
           || errno == EINTR;
  c = make_place (control);
  if (!c) {
    close (fd);
    return true;
  }
  client_open (c, fd, control->wake);
  c->turn = ++control->turn;
  return true;
}

static void
serve_clients (struct control *control, const struct pollfd *polls)
{
  for (unsigned i = 0; i < CLIENTS; ++i) {
    struct client *c = &control->clients[i];

    if (polls[i].fd == -1 || polls[i].revents == 0 || c->fd != polls[i].fd)
      continue;
    c->turn = ++control->turn;
    c->may_be_long = busy_clients (control) < BUSY_CLIENTS;
    client_serve (c, polls[i].revents, control->device);
  }
}

/* Milliseconds until progress is told again, -1: nobody waits for it. */
static int
look_after_commands (struct control *control, uint64_t *told)
{
  uint64_t now = milliseconds ();
  bool tell = now - *told >= PROGRESS_MILLISECONDS;

  for (unsigned i = 0; i < CLIENTS; ++i)
    client_look (&control->clients[i], control->device, tell);
  if (tell)
    *told = now;
  if (busy_clients (control) == 0)
    return -1;
  return (int) (*told + PROGRESS_MILLISECONDS - now);
}

static void *
run (void *data)
{
  struct control *control = data;
  struct pollfd polls[CLIENTS + 2];
  uint64_t told = milliseconds (), count;
  bool accepting = true;

  while (!atomic_load (&control->stop)) {
    int wait = look_after_commands (control, &told);

    for (unsigned i = 0; i < CLIENTS; ++i)
      polls[i]
          = (struct pollfd){ .fd = control->clients[i].fd,
                             .events = client_events (&control->clients[i]) };
    polls[CLIENTS] = (struct pollfd){ .fd = control->wake, .events = POLLIN };
    polls[CLIENTS + 1]
        = (struct pollfd){ .fd = accepting ? control->listener.fd : -1,
                           .events = POLLIN };
    if (!accepting && (wait == -1 || wait > ACCEPT_PAUSE_MILLISECONDS))
      wait = ACCEPT_PAUSE_MILLISECONDS;
    accepting = true;
    if (poll (polls, CLIENTS + 2, wait) <= 0)
      continue;
    if (polls[CLIENTS].revents)
      (void) !read (control->wake, &count, sizeof count);
    serve_clients (control, polls);
    if (polls[CLIENTS + 1].revents)
      accepting = accept_client (control);
  }
  return NULL;
}

static void
free_control (struct control *control)
{
  listener_close (&control->listener);
  if (control->wake != -1)
    close (control->wake);
  free (control);
}

int
control_start (struct device *device, const char *path, struct control **result,
               char **error)
{
  struct control *control = calloc (1, sizeof *control);
  sigset_t all, before;
  int r;

  *error = NULL;
  if (!control)
    return -1;
  control->device = device;
  for (unsigned i = 0; i < CLIENTS; ++i)
    control->clients[i].fd = -1;
  control->listener.fd = -1;
  control->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (control->wake == -1)
    refuse (error, errno, "the control socket cannot be served: %s",
            strerror (errno));
  if (control->wake == -1
      || listener_open (&control->listener, path, error) == -1) {
    int saved_errno = errno;

    free_control (control);
    errno = saved_errno;
    return -1;
  }
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  r = pthread_create (&control->thread, NULL, run, control);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (r) {
    free_control (control);
    return refuse (error, r, "the control thread did not start: %s",
                   strerror (r));
  }
  *result = control;
  return 0;
}

void
control_stop (struct control *control)
{
  static const uint64_t one = 1;

  if (!control)
    return;
  atomic_store (&control->stop, true);
  (void) !write (control->wake, &one, sizeof one);
  pthread_join (control->thread, NULL);
  for (unsigned i = 0; i < CLIENTS; ++i)
    client_finish (&control->clients[i]);
  free_control (control);
}
