/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attach/backoff.h"
#include "attach/claim.h"
#include "attach/handshake.h"
#include "attach/orphan.h"
#include "attach/running.h"
#include "attach/supervise.h"

/* Milliseconds between looks.  What happens is seen at once: the end of the
 * server, and the end of a connection that this process gave to the kernel,
 * whoever ended it.  Looks are for the rest.
 */
#define LOOK 5000
#define LOOK_AT_OTHERS 1000 /* connections that somebody else gave */
#define LOOK_FOR_SERVER 100
#define LOOK_AT_STALE_SERVER 2000

/* A connection that has hung up can be replaced as soon as the driver has seen
 * it too, if nobody else has done it before.
 */
#define LOOK_FOR_DEAD 50
#define LOOKS_FOR_DEAD 20

struct supervisor {
  struct attachment a;
  int signals;
  sigset_t before; /* the signals that were blocked at the start */
  struct claim claim;
  int server;             /* a pidfd of the one that is ours, or -1 */
  pid_t detaching;        /* a process that detaches the disk, or 0 */
  struct backoff backoff; /* of starting it */
  struct links links;     /* the connections that are watched */
  unsigned connections;   /* that the disk has, if none of others */
  unsigned lost;          /* connections that are to be replaced */
  unsigned looks_for_dead;
  bool away;       /* the server does not answer */
  bool stale;      /* it answers, but has not what the disk had */
  struct why told; /* what was said last */
};

static void say (const char *format, ...)
    __attribute__ ((format (printf, 1, 2)));

static void
say (const char *format, ...)
{
  va_list args;

  fputs ("tierswapctl: ", stderr);
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  fputc ('\n', stderr);
}

/* Only what was not said last. */
static void
say_once (struct supervisor *s, const struct why *why)
{
  if (strcmp (s->told.text, why->text) != 0)
    say ("%s", why->text);
  s->told = *why;
}

static int64_t
now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);
  return (int64_t) time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* A terminal or a reader of our messages that is gone is no reason to end. */
static int
take_signals (struct supervisor *s, struct why *why)
{
  sigset_t set;

  signal (SIGHUP, SIG_IGN);
  signal (SIGPIPE, SIG_IGN);
  sigemptyset (&set);
  sigaddset (&set, SIGCHLD);
  sigaddset (&set, SIGINT);
  sigaddset (&set, SIGTERM);
  sigprocmask (SIG_BLOCK, &set, &s->before);
  s->signals = signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (s->signals != -1)
    return 0;
  why_set (why, errno, "signalfd: %s", strerror (errno));
  sigprocmask (SIG_SETMASK, &s->before, NULL);
  return -1;
}

/* Tell systemd, if it is there, that the swap is on. */
static void
notify_ready (void)
{
  static const char ready[] = "READY=1";
  const char *path = getenv ("NOTIFY_SOCKET");
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  size_t length = path ? strlen (path) : 0;
  int fd;

  if (length == 0 || length >= sizeof address.sun_path)
    return;
  memcpy (address.sun_path, path, length);
  if (path[0] == '@')
    address.sun_path[0] = '\0';
  fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd == -1)
    return;
  if (sendto (fd, ready, strlen (ready), MSG_NOSIGNAL,
              (struct sockaddr *) &address,
              (socklen_t) (offsetof (struct sockaddr_un, sun_path) + length))
      == -1)
    say ("$NOTIFY_SOCKET: %s", strerror (errno));
  close (fd);
}

/* In a process of its own. */
static void
become_server (const void *opaque)
{
  const struct supervisor *s = opaque;
  char *const *command = s->a.options->command;

  signal (SIGHUP, SIG_DFL);
  signal (SIGPIPE, SIG_DFL);
  sigprocmask (SIG_SETMASK, &s->before, NULL);
  unsetenv ("NOTIFY_SOCKET");
  execvp (command[0], command);
  say ("%s: %s", command[0], strerror (errno));
}

/* ERROR is what connecting came to.  A server that the supervisor before this
 * one has started may be about to listen: a socket that was not there a moment
 * ago is that one's.
 */
static void
start_server (struct supervisor *s, int error)
{
  struct why why;

  if (error == ECONNREFUSED)
    running_remove_socket (s->a.options->socket);
  backoff_start (&s->backoff, now ());
  s->server = orphan_start (become_server, s, &why);
  if (s->server == -1)
    say ("%s", why.text);
}

/* The server that answers, if a supervisor before this one has started it. */
static void
adopt_server (struct supervisor *s)
{
  if (s->a.options->command && s->server == -1 && s->a.spare != -1)
    s->server = running_behind (s->a.spare, s->a.options->socket);
}

static void
server_ended (struct supervisor *s)
{
  say ("the server has ended");
  close (s->server);
  s->server = -1;
  backoff_end (&s->backoff, now ());
}

static void
connections_ended (struct supervisor *s)
{
  unsigned count = links_take_hung_up (&s->links);

  if (count == 0)
    return;
  say ("%u connection%s of %s %s ended", count, count == 1 ? "" : "s",
       s->a.disk.path, count == 1 ? "has" : "have");
  s->lost += count;
  s->looks_for_dead = LOOKS_FOR_DEAD;
  s->a.times_stay = false;
}

/* In a process of its own: the server must be looked after meanwhile.  If the
 * supervisor is killed the next one finds the disk as it is then, and no
 * process that is about to disconnect it.
 */
static void
begin_detach (struct supervisor *s)
{
  const struct options *options = s->a.options;
  const char *path = s->a.disk.path;
  struct attachment own;
  pid_t self = getpid ();
  struct why why;

  if (s->detaching != 0)
    return;
  s->detaching = fork ();
  if (s->detaching == -1)
    s->detaching = 0;
  else if (s->detaching == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (getppid () != self)
      _exit (1);
    sigprocmask (SIG_SETMASK, &s->before, NULL);
    if (attachment_open (&own, path, options, &why) == 0
        && attachment_detach (&own, &why) == 0)
      _exit (0);
    say ("%s", why.text);
    _exit (1);
  }
}

static void
reap (struct supervisor *s)
{
  pid_t child;

  while ((child = waitpid (-1, NULL, WNOHANG)) > 0)
    if (child == s->detaching)
      s->detaching = 0;
}

/* Whether one asked to end. */
static bool
take_signal (struct supervisor *s)
{
  struct signalfd_siginfo info;
  bool end = false;

  while (read (s->signals, &info, sizeof info) == sizeof info)
    end |= info.ssi_signo != SIGCHLD;
  reap (s);
  return end;
}

/* Sleep until there is something to do.  True: it was asked to end.  So few
 * descriptors are polled that the kernel needs no memory for it.
 */
static bool
sleep_a_while (struct supervisor *s, int milliseconds)
{
  struct pollfd poll_for[]
      = { { .fd = s->signals, .events = POLLIN },
          { .fd = s->a.spare, .events = POLLIN | POLLRDHUP },
          { .fd = s->server, .events = POLLIN },
          { .fd = s->links.fd, .events = POLLIN } };

  if (poll (poll_for, 4, milliseconds) == -1)
    nanosleep (&(struct timespec){ 0, LOOK_FOR_SERVER * 1000000L }, NULL);
  if (s->a.spare != -1 && poll_for[1].revents != 0) {
    close (s->a.spare);
    s->a.spare = -1;
    s->a.times_stay = false;
  }
  if (s->server != -1 && poll_for[2].revents != 0)
    server_ended (s);
  if (poll_for[3].revents != 0)
    connections_ended (s);
  return take_signal (s);
}

/* Start the server if that is ours to do and nobody listens. */
static void
look_for_server (struct supervisor *s, int error)
{
  if (s->a.options->command && s->server == -1
      && (error == ENOENT || error == ECONNREFUSED)
      && backoff_is_over (&s->backoff, now ()))
    start_server (s, error);
}

/* Until the server answers.  It is a mistake if ours does not even start. */
static int
wait_for_server (struct supervisor *s, struct why *why)
{
  bool ours = false;

  while (attachment_meet (&s->a, why) == -1) {
    if (!s->a.options->command || (errno != ENOENT && errno != ECONNREFUSED))
      return -1;
    if (ours && s->server == -1)
      return why_set (why, ECHILD,
                      "the server did not start: its own messages "
                      "tell why");
    look_for_server (s, errno);
    ours = true;
    if (sleep_a_while (s, LOOK_FOR_SERVER))
      return why_set (why, EINTR, "interrupted");
  }
  return 0;
}

static void
stop_server (struct supervisor *s)
{
  while (s->server != -1) {
    syscall (SYS_pidfd_send_signal, s->server, SIGTERM, NULL, 0);
    sleep_a_while (s, LOOK);
  }
}

static void
count_replaced (struct supervisor *s, unsigned count)
{
  if (count == 0)
    return;
  say ("%s has %u new connection%s", s->a.disk.path, count,
       count == 1 ? "" : "s");
  s->lost -= count < s->lost ? count : s->lost;
}

static void
reconnect (struct supervisor *s)
{
  struct why why;
  unsigned before = s->a.replaced;
  int r = attachment_reconnect (&s->a, &why), error = errno;

  count_replaced (s, s->a.replaced - before);
  if (r == -1) {
    if (disk_owner (&s->a.disk) == 0)
      return;
    if (!s->away || error == ESTALE)
      say_once (s, &why);
    s->away = true;
    s->stale = error == ESTALE;
    look_for_server (s, error);
  }
  else {
    adopt_server (s);
    s->away = s->stale = false;
    /* A look does not undo the short timeout of an upgrade that is about to end
     * the server.
     */
    s->a.times_stay = s->lost == 0;
    s->told.text[0] = '\0';
  }
}

/* How long to sleep if nothing happens. */
static int
until_next_look (struct supervisor *s)
{
  if (s->a.spare == -1)
    return s->stale ? LOOK_AT_STALE_SERVER : LOOK_FOR_SERVER;
  if (s->lost > 0 && s->looks_for_dead > 0) {
    --s->looks_for_dead;
    return LOOK_FOR_DEAD;
  }
  s->lost = 0;
  return s->links.count < s->connections ? LOOK_AT_OTHERS : LOOK;
}

static int
begin (struct supervisor *s, struct why *why)
{
  bool swapped;

  if (attachment_find (&s->a, &swapped, why) == -1)
    return -1;
  if (swapped) {
    say ("%s is connected already, and looked after from now on",
         s->a.disk.path);
    s->connections = UINT_MAX;
    return 0;
  }
  if (wait_for_server (s, why) == -1
      || attachment_attach (&s->a, &s->connections, why) == -1)
    return -1;
  say ("%s is swapped on, with %u connection%s", s->a.disk.path, s->connections,
       s->connections == 1 ? "" : "s");
  return 0;
}

/* What a supervisor has beside its disk. */
static int
prepare (struct supervisor *s, struct why *why)
{
  const struct options *options = s->a.options;

  if (options->command && claim_take (&s->claim, options->socket, why) == -1)
    return -1;
  attach_protect ();
  if (links_open (&s->links, why) == -1)
    return -1;
  s->a.links = &s->links;
  return take_signals (s, why);
}

static void
look_after (struct supervisor *s)
{
  notify_ready ();
  while (disk_owner (&s->a.disk) != 0) {
    reconnect (s);
    if (sleep_a_while (s, until_next_look (s)))
      begin_detach (s);
  }
  say ("%s is detached", s->a.disk.path);
}

int
supervise (const char *path, const struct options *options, struct why *why)
{
  struct supervisor s
      = { .signals = -1, .server = -1, .claim.fd = -1, .links.fd = -1 };
  int r, saved_errno;

  if (attachment_open (&s.a, path, options, why) == -1)
    return -1;
  r = prepare (&s, why);
  if (r == 0)
    r = begin (&s, why);
  if (r == 0)
    look_after (&s);
  saved_errno = errno;
  attachment_close (&s.a);
  s.a.spare = -1;
  links_close (&s.links);
  stop_server (&s);
  claim_release (&s.claim);
  if (s.signals != -1)
    close (s.signals);
  errno = saved_errno;
  return r;
}
