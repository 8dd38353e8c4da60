/* SPDX-License-Identifier: BSD-3-Clause */
/* Attaches a disk and looks after it: whenever the server is another one, it
 * gets the connections; and if the server is the supervisor's to run, it is
 * started again when it ends.
 *
 * Until then whatever is swapped out waits, and that may be any program,
 * systemd too.  So nothing here may wait for memory: the process is locked into
 * memory, it is not killed for lack of it, what it allocates was
 * touched before, and it never waits for the disk it looks after.
 */
#ifndef TIERSWAP_SUPERVISE_H
#define TIERSWAP_SUPERVISE_H

#include "attach/attach.h"

/* Until the disk is detached: then 0.  A disk that is connected already is
 * taken over.  SIGTERM and SIGINT detach it, if that is possible.
 */
extern int supervise (const char *path, const struct options *options,
                      struct why *why);

#endif /* TIERSWAP_SUPERVISE_H */
