/* SPDX-License-Identifier: BSD-3-Clause */
/* The connections that the kernel was given, as whoever gave them sees them.
 *
 * A second descriptor of each is kept.  The driver shuts a socket down when it
 * gives the connection up, and when it is done with it; the server's end is
 * closed when the server ends.  All of that is a hang-up here, at once, and
 * takes no memory.  (The driver also sends a message by netlink when it gives a
 * connection up, but only if there is memory for one: there is none while
 * programs wait for swap to make some.)
 *
 * Memory is needed to watch a connection, not to learn that it hung up.  One
 * that cannot be watched is not counted, and must be looked after otherwise;
 * as must those that others give to the kernel.
 */
#ifndef TIERSWAP_LINKS_H
#define TIERSWAP_LINKS_H

#include "attach/options.h"
#include "attach/why.h"

struct links {
  int fd; /* readable when one has hung up, or -1 */
  unsigned count;
  int sockets[OPTIONS_MOST_CONNECTIONS];
};

extern int links_open (struct links *links, struct why *why);

/* The connections stay as they are. */
extern void links_close (struct links *links);

/* Watch a connection.  SOCKET is the links' own from now on. */
extern void links_add (struct links *links, int socket);

/* How many have hung up, which are watched no more. */
extern unsigned links_take_hung_up (struct links *links);

#endif /* TIERSWAP_LINKS_H */
