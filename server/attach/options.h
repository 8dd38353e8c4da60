/* SPDX-License-Identifier: BSD-3-Clause */
/* The words after the device of attach, detach, reconnect and supervise. */
#ifndef TIERSWAP_OPTIONS_H
#define TIERSWAP_OPTIONS_H

#include <stdbool.h>

#include "attach/why.h"

/* Those that a command takes. */
#define OPTION_SOCKET (1U << 0)
#define OPTION_PRIORITY (1U << 1)
#define OPTION_CONNECTIONS (1U << 2)
#define OPTION_TIMES (1U << 3) /* timeout and patience */
#define OPTION_WAIT (1U << 4)
#define OPTION_FORCE (1U << 5)
#define OPTION_COMMAND (1U << 6) /* -- and a command: supervise only */

#define OPTIONS_MOST_CONNECTIONS 64

/* Seconds that a request may take if nothing is said.
 *
 * Nobody makes another connection for one that the kernel has given up: so it
 * must not while the server still has a request, which takes 30 on a backing
 * that hangs, and may have waited behind another.
 */
#define OPTIONS_TIMEOUT 60

/* A supervisor makes one at once, and what was in flight when a server was
 * killed is sent again only when its time is over.  It is longer than a write
 * waits for room in a full pool (15), and than a starved machine takes.
 */
#define OPTIONS_TIMEOUT_SUPERVISED 20

struct options {
  const char *control; /* the control socket */
  char socket[256];    /* of the NBD server */
  long priority;       /* -1: as the kernel thinks */
  long connections;    /* 0: one a CPU */
  long timeout;        /* seconds; 0: as the disk has it, if it is connected */
  long patience;       /* seconds */
  long wait;           /* seconds */
  bool force;
  char *const *command; /* NULL: none is to be run */
};

/* Parse WORDS, up to a NULL.  The socket is nbd.sock beside the CONTROL socket
 * unless another is named.
 */
extern int options_parse (struct options *options, unsigned taken,
                          char *const words[], const char *control,
                          struct why *why);

#endif /* TIERSWAP_OPTIONS_H */
