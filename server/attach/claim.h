/* SPDX-License-Identifier: BSD-3-Clause */
/* Who starts the server of a socket again: at most one supervisor, and others
 * that replace the server must know of it.  It holds a lock on a file beside
 * the socket, which ends with the process however that ends; children do not
 * have it.
 */
#ifndef TIERSWAP_CLAIM_H
#define TIERSWAP_CLAIM_H

#include <stdbool.h>

#include "attach/why.h"

struct claim {
  int fd;
  char path[256 + sizeof ".supervisor"];
};

/* EBUSY: another process has it. */
extern int claim_take (struct claim *claim, const char *socket,
                       struct why *why);
extern void claim_release (struct claim *claim);

/* Whether some process has it, into *TAKEN.  -1: it cannot be told, see WHY. */
extern int claim_is_taken (const char *socket, bool *taken, struct why *why);

#endif /* TIERSWAP_CLAIM_H */
