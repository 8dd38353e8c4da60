/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "attach/attach.h"
#include "attach/commands.h"
#include "attach/supervise.h"
#include "attach/watch.h"

/* The driver takes a moment to see that a server is gone. */
#define LOOKS 20
#define A_LOOK 100000000 /* nanoseconds */

/* The path of the disk, and what is said about it. */
static const char *
parse (const char *control, char *const arguments[], unsigned taken,
       struct options *options, struct why *why)
{
  if (!arguments[0]) {
    why_set (why, EINVAL, "a device is missing, such as /dev/nbd0");
    return NULL;
  }
  if (options_parse (options, taken, arguments + 1, control, why) == -1)
    return NULL;
  return arguments[0];
}

int
attach_command (const char *control, char *const arguments[], struct why *why)
{
  const unsigned taken
      = OPTION_SOCKET | OPTION_PRIORITY | OPTION_CONNECTIONS | OPTION_TIMES;
  struct options options;
  const char *path = parse (control, arguments, taken, &options, why);
  struct attachment a;
  unsigned connections;
  int r;

  if (!path || attachment_open (&a, path, &options, why) == -1)
    return -1;
  r = attachment_attach (&a, &connections, why);
  if (r == 0)
    printf ("%s is swapped on, with %u connection%s\n", path, connections,
            connections == 1 ? "" : "s");
  attachment_close (&a);
  return r;
}

int
detach_command (const char *control, char *const arguments[], struct why *why)
{
  struct options options;
  const char *path
      = parse (control, arguments, OPTION_WAIT | OPTION_FORCE, &options, why);
  struct attachment a;
  int r;

  if (!path || attachment_open (&a, path, &options, why) == -1)
    return -1;
  r = attachment_detach (&a, why);
  if (r == 0)
    printf ("%s is detached\n", path);
  attachment_close (&a);
  return r;
}

int
reconnect_command (const char *control, char *const arguments[],
                   struct why *why)
{
  struct options options;
  const char *path
      = parse (control, arguments, OPTION_SOCKET | OPTION_TIMES, &options, why);
  const struct timespec moment = { 0, A_LOOK };
  struct attachment a;
  int r, count = 0;

  if (!path || attachment_open (&a, path, &options, why) == -1)
    return -1;
  if (options.timeout == 0)
    options.timeout = disk_timeout (&a.disk);
  if (options.timeout <= 0)
    options.timeout = OPTIONS_TIMEOUT;
  for (int look = 0; look < LOOKS; ++look) {
    r = attachment_reconnect (&a, why);
    if (r == -1)
      break;
    count += r;
    if (r == 0 && count > 0)
      break;
    nanosleep (&moment, NULL);
  }
  attachment_close (&a);
  if (count == 0 && r == 0)
    return why_set (why, EINVAL, "no connection of %s is dead", path);
  if (count > 0)
    printf ("%s has %d new connection%s\n", path, count, count == 1 ? "" : "s");
  return r == -1 ? -1 : 0;
}

int
supervise_command (const char *control, char *const arguments[],
                   struct why *why)
{
  const unsigned taken = OPTION_SOCKET | OPTION_PRIORITY | OPTION_CONNECTIONS
                         | OPTION_TIMES | OPTION_WAIT | OPTION_COMMAND;
  struct options options;
  const char *path = parse (control, arguments, taken, &options, why);

  return path ? supervise (path, &options, why) : -1;
}

/* Of any kind: a loop disk over the server's file is watched too. */
static int
watch_or_not (const char *control, char *const arguments[], bool on,
              struct why *why)
{
  struct options options;
  const char *path = parse (control, arguments, 0, &options, why);
  struct stat status;

  if (!path)
    return -1;
  if (stat (path, &status) == -1)
    return why_set (why, errno, "%s: %s", path, strerror (errno));
  if (!S_ISBLK (status.st_mode))
    return why_set (why, ENOTBLK,
                    "%s is not a block device: name one such as /dev/nbd0",
                    path);
  return watch_disk (control, status.st_rdev, on, why);
}

int
watch_command (const char *control, char *const arguments[], struct why *why)
{
  return watch_or_not (control, arguments, true, why);
}

int
unwatch_command (const char *control, char *const arguments[], struct why *why)
{
  return watch_or_not (control, arguments, false, why);
}
