/* SPDX-License-Identifier: BSD-3-Clause */
/* tierswapctl top: the statistics, again and again. */
#ifndef TIERSWAP_TOP_H
#define TIERSWAP_TOP_H

#include "attach/why.h"

/* The command: on the terminal until q is pressed, or with -b as text.  -1: see
 * WHY.
 */
extern int top (const char *socket, char *const arguments[], struct why *why);

#endif /* TIERSWAP_TOP_H */
