/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that are written into files of the FUSE tree, the same ones as the
 * control socket's (command.h).  Each has a thread, since it may take long;
 * who writes waits for its end, and an interrupt ends it early.
 */
#ifndef TIERSWAP_FUSE_COMMAND_H
#define TIERSWAP_FUSE_COMMAND_H

#include "control/fuse-internal.h"

/* Do the command NAME with the words of TEXT, then answer REQUEST, whose
 * writer wrote SIZE bytes.
 */
extern void tree_command_begin (struct tree *tree, fuse_req_t request,
                                const char *name, const char *text,
                                size_t size);

/* Whoever waits for request UNIQUE does not want to any more. */
extern void tree_command_interrupt (struct tree *tree, uint64_t unique);

/* End all early and wait for them. */
extern void tree_commands_end (struct tree *tree);

#endif /* TIERSWAP_FUSE_COMMAND_H */
