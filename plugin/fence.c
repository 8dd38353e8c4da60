/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "fence.h"

#define A_LOOK 1000000 /* nanoseconds between looks at changes at work */

/* A client that shuts one direction only has given up, too: it must not before
 * it has all of its answers.
 */
#define HUNG_UP (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)

static bool
is_own_path (int fd, const char *path)
{
  struct sockaddr_un address;
  socklen_t length = sizeof address;

  return path && getsockname (fd, (struct sockaddr *) &address, &length) == 0
         && address.sun_family == AF_UNIX
         && length > offsetof (struct sockaddr_un, sun_path)
         && strncmp (address.sun_path, path,
                     length - offsetof (struct sockaddr_un, sun_path))
                == 0;
}

static bool
has_peer (int fd, const struct sockaddr *peer, socklen_t peer_length)
{
  struct sockaddr_storage address;
  socklen_t length = sizeof address;

  return getpeername (fd, (struct sockaddr *) &address, &length) == 0
         && length == peer_length && memcmp (&address, peer, length) == 0;
}

/* Under the lock. */
static bool
is_anothers (const struct fence *fence, int fd, ino_t inode)
{
  for (unsigned i = 0; i < FENCE_GATES; ++i)
    if (fence->gates[i].taken && fence->gates[i].socket == fd
        && fence->gates[i].inode == inode)
      return true;
  return false;
}

/* Under the lock: the one socket that it can be, or -1. */
static int
find_socket (const struct fence *fence, const struct sockaddr *peer,
             socklen_t length, const char *other, ino_t *inode)
{
  DIR *folder = opendir ("/proc/self/fd");
  int found = -1, count = 0;
  struct dirent *entry;

  if (!folder)
    return -1;
  while ((entry = readdir (folder))) {
    int fd = (int) strtol (entry->d_name, NULL, 10);
    struct stat status;

    if (entry->d_name[0] == '.' || !has_peer (fd, peer, length)
        || is_own_path (fd, other)
        || fstatat (dirfd (folder), entry->d_name, &status, 0) == -1
        || is_anothers (fence, fd, status.st_ino))
      continue;
    found = fd;
    *inode = status.st_ino;
    ++count;
  }
  closedir (folder);
  return count == 1 ? found : -1;
}

struct fence_gate *
fence_join (struct fence *fence, const struct sockaddr *peer, socklen_t length,
            const char *other)
{
  struct fence_gate *gate = NULL;
  unsigned i;

  pthread_mutex_lock (&fence->lock);
  for (i = 0; i < FENCE_GATES && fence->gates[i].taken; ++i)
    ;
  if (i < FENCE_GATES) {
    gate = &fence->gates[i];
    gate->socket = find_socket (fence, peer, length, other, &gate->inode);
    gate->taken = true;
    if (i >= fence->frontier)
      fence->frontier = i + 1;
  }
  pthread_mutex_unlock (&fence->lock);
  return gate;
}

void
fence_leave (struct fence *fence, struct fence_gate *gate)
{
  pthread_mutex_lock (&fence->lock);
  gate->socket = -1;
  gate->taken = false;
  pthread_mutex_unlock (&fence->lock);
}

/* Look at this connection and at all that have changes at work.  A socket that
 * was closed meanwhile, or is another by now, had none any more.
 */
static void
look (struct fence *fence, const struct fence_gate *gate, bool *own,
      bool *others)
{
  struct pollfd sockets[FENCE_GATES];
  unsigned frontier = fence->frontier, count = 1;

  sockets[0] = (struct pollfd){ .fd = gate->socket, .events = POLLRDHUP };
  for (unsigned i = 0; i < frontier; ++i) {
    const struct fence_gate *g = &fence->gates[i];

    if (g != gate && g->changing > 0)
      sockets[count++]
          = (struct pollfd){ .fd = g->socket, .events = POLLRDHUP };
  }
  while (poll (sockets, count, 0) == -1)
    ; /* EINTR, or the kernel is short of memory */
  *own = sockets[0].revents & HUNG_UP;
  *others = false;
  for (unsigned i = 1; i < count; ++i)
    *others |= (sockets[i].revents & HUNG_UP) != 0;
}

int
fence_enter (struct fence *fence, struct fence_gate *gate)
{
  bool own, others;

  for (;;) {
    ++gate->changing;
    look (fence, gate, &own, &others);
    if (!own && !others)
      return 0;
    /* Not counted while it waits: else two that were given up would wait for
     * each other.
     */
    --gate->changing;
    if (own) {
      errno = ESHUTDOWN;
      return -1;
    }
    nanosleep (&(struct timespec){ 0, A_LOOK }, NULL);
  }
}

void
fence_exit (struct fence_gate *gate)
{
  --gate->changing;
}
