/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "attach/watch.h"
#include "control/ask.h"

#define PATIENCE 10 /* seconds that the server is given */

int
watch_disk (const char *control, dev_t number, bool on, struct why *why)
{
  const struct timeval patience = { PATIENCE, 0 };
  char disk[32];
  char *const words[] = { (char *) (on ? "watch" : "unwatch"), disk, NULL };
  struct ask server;
  json_t *result;

  snprintf (disk, sizeof disk, "%u:%u", major (number), minor (number));
  if (ask_open (&server, control, why) == -1)
    return -1;
  if (setsockopt (server.fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
                  sizeof patience)
      == -1) {
    why_set (why, errno, "socket %s: %s", control, strerror (errno));
    result = NULL;
  }
  else
    result = ask (&server, words, why);
  if (!result) {
    int error = errno;

    ask_close (&server);
    errno = error;
    return -1;
  }
  ask_close (&server);
  json_decref (result);
  return 0;
}

/* No control socket; a server or a kernel that cannot watch. */
static bool
cannot_be (int error)
{
  return error == ENOENT || error == ECONNREFUSED || error == ENODEV
         || error == ENOSYS || error == EINVAL;
}

void
watch_disk_if_possible (const char *control, dev_t number, bool on)
{
  struct why why;

  if (watch_disk (control, number, on, &why) == -1 && !cannot_be (errno))
    fprintf (stderr,
             "tierswapctl: warning: all pages will belong to \"/\": %s\n",
             why.text);
}
