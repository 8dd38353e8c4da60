/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket: made so that only its owner and root can use it, and
 * so that two servers never share one.
 */
#ifndef TIERSWAP_LISTENER_H
#define TIERSWAP_LISTENER_H

#include <sys/types.h>

struct listener {
  int fd;
  char *path;
  dev_t device; /* what was put there: only that is taken away */
  ino_t inode;
};

/* Could a socket be put there now?  -1 with errno, and *ERROR is one line to
 * free().
 */
extern int listener_check (const char *path, char **error);

/* Listen at PATH, mode 0600; what a dead server left there is replaced.
 * Likewise.
 */
extern int listener_open (struct listener *listener, const char *path,
                          char **error);

extern void listener_close (struct listener *listener);

/* Take a connection, non-blocking: -1 with errno EAGAIN if there is none.
 * EACCES: it was one of another user, and is closed.
 */
extern int listener_accept (struct listener *listener);

#endif /* TIERSWAP_LISTENER_H */
