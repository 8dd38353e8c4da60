/* SPDX-License-Identifier: BSD-3-Clause */
/* tierswapctl upgrade: another server in the place of the one that runs.
 *
 * All that could be wrong is found out before: the installed server is asked
 * with the very words of the one that runs.  That is then killed, as its state
 * is made for; what it had not answered the kernel sends again to the next one.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/claim.h"
#include "attach/commands.h"
#include "attach/running.h"
#include "control/ask.h"

#define DEFAULT_WAIT 120  /* seconds for a server to come up */
#define A_LOOK 50000000   /* nanoseconds */
#define BACKGROUND 5      /* seconds that it may take to go there */
#define PROGRESS 2        /* seconds between lines about it */
#define LOOKS_FOR_DEAD 20 /* the driver takes a moment to see it */

/* Seconds that a request may take while the server is replaced, and that those
 * have to end which were sent before.
 */
#define HURRY 1

#define MOST_DISKS 256

struct upgrade {
  struct options options;
  struct running old;
  struct attachment a;
  bool attached; /* there is a disk of the kernel */
  char path[32]; /* of it */
};

static double
now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);
  return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static void
pause_a_moment (void)
{
  nanosleep (&(struct timespec){ 0, A_LOOK }, NULL);
}

static int
parse (struct upgrade *u, const char *control, char *const arguments[],
       const char **path, struct why *why)
{
  *path = arguments[0] && arguments[0][0] == '/' ? arguments[0] : NULL;
  u->options.wait = 0;
  if (options_parse (&u->options, OPTION_SOCKET | OPTION_WAIT,
                     arguments + (*path ? 1 : 0), control, why)
      == -1)
    return -1;
  if (u->options.wait == 0)
    u->options.wait = DEFAULT_WAIT;
  return 0;
}

/* A disk that attach did not connect may be of this server.  If it is, and it
 * is not told to wait, its requests fail when the server ends.
 */
static int
check_others (struct why *why)
{
  char backend[DISK_BACKEND_ROOM];

  for (unsigned index = 0; index < MOST_DISKS; ++index) {
    const struct disk disk = { .index = index };

    if (disk_owner (&disk) == 0)
      continue;
    if (disk_backend (index, backend, why) == -1)
      return -1;
    if (backend[0] == '\0')
      return why_set (why, EINVAL,
                      "/dev/nbd%u was not connected by attach, and may be of "
                      "this server: name the disk, /dev/nbdN, that is",
                      index);
  }
  return 0;
}

/* The disk of the server, if it has one. */
static int
find_disk (struct upgrade *u, const char *path, struct why *why)
{
  int index;

  if (!path) {
    index = attach_disk_of_server (u->options.socket, why);
    if (index == -2)
      return -1;
    if (index == -1)
      return check_others (why);
    snprintf (u->path, sizeof u->path, "/dev/nbd%d", index);
    path = u->path;
  }
  if (attachment_open (&u->a, path, &u->options, why) == -1)
    return -1;
  u->attached = true;
  if (disk_owner (&u->a.disk) == 0)
    return why_set (why, ENOTCONN, "%s is not connected: attach it", path);
  if (disk_timeout (&u->a.disk) > 0)
    u->options.timeout = disk_timeout (&u->a.disk);
  return 0;
}

/* The process behind the control socket, 0: none answers. */
static pid_t
server_there (const struct upgrade *u)
{
  struct running found;
  struct why ignored;
  pid_t process = 0;

  if (running_find (&found, u->options.control, &ignored) == 0)
    process = found.process;
  running_close (&found);
  return process;
}

/* Until another server answers.  PIDFD is -1 if it is not ours to start. */
static int
wait_for_server (const struct upgrade *u, int pidfd, pid_t *process,
                 struct why *why)
{
  struct pollfd server = { .fd = pidfd, .events = POLLIN };
  double begin = now (), told = begin, ended = 0;

  for (;;) {
    *process = server_there (u);
    if (*process > 0 && *process != u->old.process)
      return 0;
    /* One that goes into the background ends too, but then it answers. */
    if (pidfd != -1 && ended == 0 && poll (&server, 1, 0) == 1)
      ended = now ();
    if (ended > 0 && (running_stays (&u->old) || now () - ended > BACKGROUND))
      return why_set (why, ECHILD,
                      "the installed server did not start: its own messages "
                      "tell why");
    if (now () - begin > (double) u->options.wait)
      return why_set (why, ETIMEDOUT,
                      "the installed server did not answer within %ld seconds",
                      u->options.wait);
    if (now () - told > PROGRESS) {
      told = now ();
      printf ("waiting for the server, %.0f s\n", told - begin);
      fflush (stdout);
    }
    pause_a_moment ();
  }
}

/* Whoever else gives connections, too, has them. */
static int
connect_disk (struct upgrade *u, struct why *why)
{
  int count = 0, r;

  if (!u->attached)
    return 0;
  for (int look = 0; look < LOOKS_FOR_DEAD; ++look) {
    r = attachment_reconnect (&u->a, why);
    if (r == -1)
      return -1;
    count += r;
    if (r == 0 && count > 0)
      break;
    pause_a_moment ();
  }
  return 0;
}

static int
start (struct upgrade *u, bool same, pid_t *process, struct why *why)
{
  int pidfd = -1, r;

  if (!u->old.supervised) {
    running_remove_socket (u->options.socket);
    pidfd = running_start (&u->old, same, why);
    if (pidfd == -1)
      return -1;
  }
  r = wait_for_server (u, pidfd, process, why);
  if (r == -1 && pidfd != -1)
    syscall (SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
  if (pidfd != -1)
    close (pidfd);
  return r;
}

/* The installed one does not come up, against what it said. */
static int
go_back (struct upgrade *u, struct why *why)
{
  struct why cause = *why, ignored;
  pid_t process;

  if (u->old.supervised)
    return why_set (why, ECHILD,
                    "%.200s; nothing is lost: the pages are in pool.state and "
                    "requests wait for %ld seconds more; install the one that "
                    "ran, which its supervisor then starts",
                    cause.text, u->options.patience);
  if (start (u, true, &process, &ignored) == 0
      && connect_disk (u, &ignored) == 0)
    return why_set (why, ECHILD,
                    "%.200s; the one that ran serves again, as process %d, and "
                    "nothing is lost",
                    cause.text, (int) process);
  return why_set (why, ECHILD,
                  "%.200s; nor does the one that ran: %.150s; the pages are in "
                  "pool.state and requests wait for %ld seconds more: start a "
                  "server as it was, and then tierswapctl reconnect",
                  cause.text, ignored.text, u->options.patience);
}

/* What the server is killed over is sent again when its time is over, which is
 * the longest that a program stalls.
 */
static int
hurry (struct upgrade *u, struct why *why)
{
  if (!u->attached)
    return 0;
  if (attachment_hurry (&u->a, HURRY, why) == -1)
    return -1;
  nanosleep (&(struct timespec){ HURRY, 0 }, NULL);
  return 0;
}

/* The one that runs goes on. */
static void
do_not_hurry (struct upgrade *u)
{
  struct why ignored;

  if (u->attached)
    attachment_hurry (&u->a, (unsigned) u->options.timeout, &ignored);
}

static int
replace (struct upgrade *u, struct why *why)
{
  double begin;
  pid_t process;

  attach_protect ();
  if (hurry (u, why) == -1)
    return -1;
  begin = now ();
  if (running_end (&u->old, why) == -1) {
    do_not_hurry (u);
    return -1;
  }
  if (start (u, false, &process, why) == -1)
    return go_back (u, why);
  if (connect_disk (u, why) == -1)
    return -1;
  printf ("process %d, version %s, has taken over from process %d in %.1f s\n",
          (int) process, u->old.version, (int) u->old.process, now () - begin);
  return 0;
}

int
upgrade_command (const char *control, char *const arguments[], struct why *why)
{
  struct upgrade u = { .attached = false };
  char socket[sizeof u.options.socket];
  const char *path;
  bool named = false;
  int r = -1;

  if (parse (&u, control, arguments, &path, why) == -1)
    return -1;
  for (unsigned i = 0; arguments[i]; ++i)
    named |= strncmp (arguments[i], "socket=", 7) == 0;
  if (running_find (&u.old, control, why) == 0) {
    if (!named && running_socket (&u.old, socket, sizeof socket))
      strcpy (u.options.socket, socket);
    if (claim_is_taken (u.options.socket, &u.old.supervised, why) == 0
        && running_ask_successor (&u.old, why) == 0
        && find_disk (&u, path, why) == 0)
      r = replace (&u, why);
  }
  if (u.attached)
    attachment_close (&u.a);
  running_close (&u.old);
  return r;
}
