/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's nbd driver, spoken with by generic netlink. */
#ifndef TIERSWAP_DRIVER_H
#define TIERSWAP_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/why.h"

struct driver {
  struct nl_sock *netlink;
  int family;
  int error; /* errno of the last answer */
};

/* How a disk is connected. */
struct driver_connection {
  uint64_t size;        /* bytes */
  uint64_t block_bytes; /* of the smallest request */
  uint64_t flags;       /* transmission flags of the server */
  uint64_t timeout;     /* seconds a request may take; then it is sent again;
                           0: as long as it was before */
  uint64_t patience;    /* seconds requests wait for a server that is gone */
  const char *backend;  /* identifies the server; "": nothing does */
};

/* -1 where the driver is not loaded. */
extern int driver_open (struct driver *driver, struct why *why);
extern void driver_close (struct driver *driver);

/* Connect disk INDEX by COUNT sockets, which are past the handshake.  The
 * driver has its own references to them.
 */
extern int driver_connect (struct driver *driver, unsigned index,
                           const struct driver_connection *connection,
                           const int *fds, unsigned count, struct why *why);

/* Put a socket in the place of a dead one of a connected disk.  *TAKEN is false
 * when none was dead: then the socket is not used.
 */
extern int driver_reconnect (struct driver *driver, unsigned index,
                             const struct driver_connection *connection, int fd,
                             bool *taken, struct why *why);

/* Change timeout and patience of a connected disk.  Requests that are under way
 * keep the timeout that they were sent with.
 */
extern int driver_set_times (struct driver *driver, unsigned index,
                             const struct driver_connection *connection,
                             struct why *why);

extern int driver_disconnect (struct driver *driver, unsigned index,
                              struct why *why);

#endif /* TIERSWAP_DRIVER_H */
