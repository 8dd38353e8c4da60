/* SPDX-License-Identifier: BSD-3-Clause */
/* The statistics in the text format of Prometheus. */
#ifndef TIERSWAP_METRICS_H
#define TIERSWAP_METRICS_H

#include <stdio.h>

#include <jansson.h>

#include "attach/why.h"

/* Print the statistics of the contract. */
extern void metrics_print (FILE *out, const json_t *statistics);

/* The command: ask the server behind SOCKET, print.  -1: see WHY. */
extern int metrics (const char *socket, char *const arguments[],
                    struct why *why);

#endif /* TIERSWAP_METRICS_H */
