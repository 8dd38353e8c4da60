/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that has to go on while what is swapped out waits for it. */
#ifndef TIERSWAP_ATTACH_PROTECT_H
#define TIERSWAP_ATTACH_PROTECT_H

#include <stdbool.h>

/* From now on the process is not swapped out, is not killed for lack of memory,
 * and does not wait for the disk when it needs some.  False: not all of it
 * could be had.
 */
extern bool attach_protect (void);

#endif /* TIERSWAP_ATTACH_PROTECT_H */
