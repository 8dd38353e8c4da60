/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's end of the control socket: a connection, and questions. */
#ifndef TIERSWAP_ASK_H
#define TIERSWAP_ASK_H

#include <stdio.h>

#include <jansson.h>

#include "attach/why.h"

struct ask {
  const char *path; /* of the socket */
  int fd;
  FILE *answers; /* NULL: there is no connection */
};

/* -1: see WHY. */
extern int ask_open (struct ask *ask, const char *path, struct why *why);
extern void ask_close (struct ask *ask);

/* Send the words of a command, up to a NULL, and return the result of the
 * answer.  NULL: see WHY, errno is what the server has.  What the server tells
 * meanwhile is printed.
 */
extern json_t *ask (struct ask *ask, char *const words[], struct why *why);

#endif /* TIERSWAP_ASK_H */
