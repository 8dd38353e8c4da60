/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that outlives the one that starts it.
 *
 * nbdkit has itself told to end (SIGTERM) when its parent ends, and without a
 * state it then refuses all that the kernel asks for.  So a server must be no
 * child of ours when it begins.  Nor is it in our session: what a terminal
 * sends to all of its processes, as Ctrl-C does, is not for the server.
 */
#ifndef TIERSWAP_ORPHAN_H
#define TIERSWAP_ORPHAN_H

#include "attach/why.h"

/* Have BECOME (OPAQUE), which does not return, called in such a process.  A
 * pidfd of it, or -1.
 */
extern int orphan_start (void (*become) (const void *opaque),
                         const void *opaque, struct why *why);

#endif /* TIERSWAP_ORPHAN_H */
