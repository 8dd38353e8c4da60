/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/claim.h"

static void
name (struct claim *claim, const char *socket)
{
  snprintf (claim->path, sizeof claim->path, "%s.supervisor", socket);
}

/* Who has it, into *PROCESS: 0, nobody; -1, one of another namespace, which has
 * no number here.  -1 if it cannot be told.
 */
static int
find_holder (int fd, pid_t *process)
{
  struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  if (fcntl (fd, F_GETLK, &whole) == -1)
    return -1;
  if (whole.l_type == F_UNLCK)
    *process = 0;
  else
    *process = whole.l_pid > 0 ? whole.l_pid : -1;
  return 0;
}

/* Whether the file is still the one of that name: its last holder may have
 * removed it meanwhile.
 */
static bool
is_there (const struct claim *claim)
{
  struct stat mine, named;

  return fstat (claim->fd, &mine) == 0 && stat (claim->path, &named) == 0
         && mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

/* Why its lock could not be had, for ERROR; it is closed. */
static int
refuse (struct claim *claim, const char *socket, int error, struct why *why)
{
  bool another = error == EAGAIN || error == EACCES;
  pid_t holder = -1;

  if (another && find_holder (claim->fd, &holder) == -1)
    holder = -1;
  close (claim->fd);
  claim->fd = -1;
  if (!another)
    return why_set (why, error, "%s cannot be locked: %s", claim->path,
                    strerror (error));
  if (holder <= 0)
    return why_set (why, EBUSY,
                    "socket %s: its server is looked after already, by a "
                    "process that is not told",
                    socket);
  return why_set (why, EBUSY,
                  "socket %s: its server is looked after already, by "
                  "process %d",
                  socket, (int) holder);
}

int
claim_take (struct claim *claim, const char *socket, struct why *why)
{
  struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  name (claim, socket);
  for (;;) {
    claim->fd
        = open (claim->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (claim->fd == -1)
      return why_set (why, errno, "%s cannot be made: %s", claim->path,
                      strerror (errno));
    if (fcntl (claim->fd, F_SETLK, &whole) == -1)
      return refuse (claim, socket, errno, why);
    if (is_there (claim))
      return 0;
    close (claim->fd);
  }
}

void
claim_release (struct claim *claim)
{
  if (claim->fd == -1)
    return;
  unlink (claim->path);
  close (claim->fd);
  claim->fd = -1;
}

int
claim_is_taken (const char *socket, bool *taken, struct why *why)
{
  struct claim claim;
  pid_t holder;
  int r, error;

  *taken = false;
  name (&claim, socket);
  claim.fd = open (claim.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (claim.fd == -1 && errno == ENOENT)
    return 0;
  r = claim.fd == -1 ? -1 : find_holder (claim.fd, &holder);
  error = errno;
  if (claim.fd != -1)
    close (claim.fd);
  if (r == -1)
    return why_set (why, error,
                    "it cannot be told whether a supervisor looks after the "
                    "server: %s: %s",
                    claim.path, strerror (error));
  *taken = holder != 0;
  return 0;
}
