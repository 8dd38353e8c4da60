/* SPDX-License-Identifier: BSD-3-Clause */
/* The server, told which disk its pages come from: then it has the kernel tell
 * it whose they are.
 */
#ifndef TIERSWAP_WATCH_H
#define TIERSWAP_WATCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "attach/why.h"

/* Ask the server behind the CONTROL socket to watch the disk, which it may do
 * already, or no more.  -1: see WHY, and errno is what the server has.
 */
extern int watch_disk (const char *control, dev_t number, bool on,
                       struct why *why);

/* Do it if that is possible: swapping goes on without, and all pages belong to
 * "/".  What went wrong is told, unless there is simply nothing that could
 * watch.
 */
extern void watch_disk_if_possible (const char *control, dev_t number, bool on);

#endif /* TIERSWAP_WATCH_H */
