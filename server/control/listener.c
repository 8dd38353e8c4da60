/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/refuse.h"
#include "control/listener.h"
#include "control/protocol.h"
#include "policy/change.h"

#define BACKLOG 16
#define LOCK_TRIES 100 /* of 20 ms */

static int
address_of (const char *path, struct sockaddr_un *address, char **error)
{
  *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
  if (path[0] == '\0' || strlen (path) >= sizeof address->sun_path)
    return refuse (error, EINVAL,
                   "the path of the control socket must have from 1 "
                   "to %zu bytes, not %zu",
                   sizeof address->sun_path - 1, strlen (path));
  strcpy (address->sun_path, path);
  return 0;
}

/* Its folder; -1 with errno and *ERROR. */
static int
open_folder (const char *path, char **error)
{
  char *copy = strdup (path), *folder;
  int fd;

  if (!copy)
    return -1;
  folder = dirname (copy);
  fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd == -1)
    refuse (error, errno, "control socket %s: folder %s: %s%s", path, folder,
            strerror (errno), errno == ENOENT ? "; make it first" : "");
  free (copy);
  return fd;
}

/* Does a server listen there?  1: yes. 0: no, *STALE: a dead one's socket is
 * there.  -1: something else is, with errno and *ERROR.
 */
static int
answered (const char *path, const struct sockaddr_un *address, bool *stale,
          char **error)
{
  struct stat there;
  int fd, r;

  *stale = false;
  if (lstat (path, &there) == -1) {
    if (errno == ENOENT)
      return 0;
    return refuse (error, errno, "control socket %s: %s", path,
                   strerror (errno));
  }
  if (!S_ISSOCK (there.st_mode))
    return refuse (error, EEXIST,
                   "control socket %s: there is something else than a "
                   "socket there; move it away or give another path",
                   path);
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd == -1)
    return refuse (error, errno, "control socket %s: %s", path,
                   strerror (errno));
  r = connect (fd, (const struct sockaddr *) address, sizeof *address);
  if (r == -1 && errno == ECONNREFUSED) {
    *stale = true;
    r = 0;
  }
  else if (r == -1 && errno == ENOENT)
    r = 0;
  else if (r == 0 || errno == EAGAIN)
    r = 1;
  else
    refuse (error, errno, "control socket %s: %s", path, strerror (errno));
  close (fd);
  return r;
}

static int
check (const char *path, const struct sockaddr_un *address, bool *stale,
       char **error)
{
  int r = answered (path, address, stale, error);

  if (r == 1)
    return refuse (error, EADDRINUSE,
                   "control socket %s: another server listens there; "
                   "give this one another path",
                   path);
  return r;
}

int
listener_check (const char *path, char **error)
{
  struct sockaddr_un address;
  bool stale;
  int folder;

  *error = NULL;
  if (address_of (path, &address, error) == -1)
    return -1;
  folder = open_folder (path, error);
  if (folder == -1)
    return -1;
  close (folder);
  return check (path, &address, &stale, error);
}

/* Servers that start at once take turns in looking and binding: each holds
 * the folder's lock, if it can be had.
 */
static void
lock_folder (int folder)
{
  const struct timespec pause = { 0, 20000000 };

  for (int i = 0; i < LOCK_TRIES && flock (folder, LOCK_EX | LOCK_NB) == -1
                  && errno == EWOULDBLOCK;
       ++i)
    nanosleep (&pause, NULL);
}

static int
bind_there (struct listener *l, const struct sockaddr_un *address)
{
  struct stat here;

  l->fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  /* The socket's own mode is that of its name, so that it is never open to
   * others, and the umask of other threads is not touched.
   */
  if (l->fd == -1 || fchmod (l->fd, 0600) == -1
      || bind (l->fd, (const struct sockaddr *) address, sizeof *address) == -1)
    return -1;
  if (lstat (address->sun_path, &here) == -1)
    return -1;
  l->device = here.st_dev;
  l->inode = here.st_ino;
  return listen (l->fd, BACKLOG);
}

int
listener_open (struct listener *l, const char *path, char **error)
{
  struct sockaddr_un address;
  bool stale;
  int folder, r = -1;

  *error = NULL;
  *l = (struct listener){ .fd = -1 };
  if (address_of (path, &address, error) == -1)
    return -1;
  folder = open_folder (path, error);
  if (folder == -1)
    return -1;
  lock_folder (folder);
  if (check (path, &address, &stale, error) == 0) {
    if (stale)
      unlink (path);
    l->path = strdup (path);
    r = l->path ? bind_there (l, &address) : -1;
    if (r == -1)
      refuse (error, errno, "control socket %s: %s", path, strerror (errno));
  }
  if (r == -1) {
    int saved_errno = errno;

    listener_close (l);
    errno = saved_errno;
  }
  close (folder);
  return r;
}

void
listener_close (struct listener *l)
{
  struct stat there;

  if (l->inode && lstat (l->path, &there) == 0 && there.st_dev == l->device
      && there.st_ino == l->inode)
    unlink (l->path);
  if (l->fd != -1)
    close (l->fd);
  free (l->path);
  *l = (struct listener){ .fd = -1 };
}

int
listener_accept (struct listener *l)
{
  struct ucred peer;
  socklen_t length = sizeof peer;
  int fd = accept4 (l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

  if (fd == -1)
    return -1;
  if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == -1
      || (peer.uid != 0 && peer.uid != geteuid ())) {
    char *line = protocol_error (
        "only root and the user that the server runs as may use its control "
        "socket",
        EACCES);

    if (line)
      (void) !send (fd, line, strlen (line), MSG_NOSIGNAL);
    free (line);
    close (fd);
    errno = EACCES;
    return -1;
  }
  return fd;
}
