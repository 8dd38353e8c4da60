/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "attach/links.h"

#define AT_A_TIME 8

int
links_open (struct links *links, struct why *why)
{
  *links = (struct links){ .fd = epoll_create1 (EPOLL_CLOEXEC) };
  if (links->fd == -1)
    return why_set (why, errno, "connections cannot be watched: epoll: %s",
                    strerror (errno));
  return 0;
}

/* The kernel still has the file: it must be taken off the set, for closing this
 * descriptor does not do that.
 */
static void
remove_link (struct links *links, unsigned i)
{
  int socket = links->sockets[i];

  epoll_ctl (links->fd, EPOLL_CTL_DEL, socket, NULL);
  close (socket);
  links->sockets[i] = links->sockets[--links->count];
}

void
links_close (struct links *links)
{
  if (links->fd == -1)
    return;
  while (links->count > 0)
    close (links->sockets[--links->count]);
  close (links->fd);
  links->fd = -1;
}

void
links_add (struct links *links, int socket)
{
  struct epoll_event event
      = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.fd = socket };

  if (links->count == OPTIONS_MOST_CONNECTIONS
      || epoll_ctl (links->fd, EPOLL_CTL_ADD, socket, &event) == -1) {
    close (socket);
    return;
  }
  links->sockets[links->count++] = socket;
}

unsigned
links_take_hung_up (struct links *links)
{
  struct epoll_event events[AT_A_TIME];
  unsigned hung_up = 0;
  int count;

  while ((count = epoll_wait (links->fd, events, AT_A_TIME, 0)) > 0)
    for (int i = 0; i < count; ++i)
      for (unsigned j = 0; j < links->count; ++j)
        if (links->sockets[j] == events[i].data.fd) {
          remove_link (links, j);
          ++hung_up;
          break;
        }
  return hung_up;
}
