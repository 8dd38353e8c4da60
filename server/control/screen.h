/* SPDX-License-Identifier: BSD-3-Clause */
/* The page that tierswapctl top shows: what is stored where, whose it is, and
 * what happened a second between two samples of the statistics.
 */
#ifndef TIERSWAP_SCREEN_H
#define TIERSWAP_SCREEN_H

#include <stdio.h>

#include <jansson.h>

/* A line has 80 columns at most. */
#define SCREEN_COLUMNS 80

struct screen {
  const json_t *now, *before; /* samples; BEFORE is NULL for the first */
  double seconds;             /* between them */
  const char *clock;          /* the time of day */
  unsigned rows;              /* lines that there is room for */
};

/* Print it as lines, ROWS at most.  The cgroups, those first that have most
 * pages, fill what the rest leaves.
 */
extern void screen_print (FILE *out, const struct screen *screen);

#endif /* TIERSWAP_SCREEN_H */
