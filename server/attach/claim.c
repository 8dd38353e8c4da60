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

/* Who has it, if somebody has; one of another namespace has no number. */
static bool
find_holder (int fd, pid_t *process)
{
  struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  *process = 0;
  if (fcntl (fd, F_GETLK, &whole) == -1 || whole.l_type == F_UNLCK)
    return false;
  *process = whole.l_pid;
  return true;
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

int
claim_take (struct claim *claim, const char *socket, struct why *why)
{
  struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  pid_t holder;

  name (claim, socket);
  for (;;) {
    claim->fd
        = open (claim->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (claim->fd == -1)
      return why_set (why, errno, "%s cannot be made: %s", claim->path,
                      strerror (errno));
    if (fcntl (claim->fd, F_SETLK, &whole) == -1) {
      find_holder (claim->fd, &holder);
      close (claim->fd);
      claim->fd = -1;
      return why_set (why, EBUSY,
                      "socket %s: its server is looked after already, by "
                      "process %d",
                      socket, (int) holder);
    }
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

bool
claim_is_taken (const char *socket)
{
  struct claim claim;
  bool taken = false;
  pid_t holder;

  name (&claim, socket);
  claim.fd = open (claim.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (claim.fd != -1) {
    taken = find_holder (claim.fd, &holder);
    close (claim.fd);
  }
  return taken;
}
