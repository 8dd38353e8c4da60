/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of tierswapctl about a disk: the first argument is its path.
 * CONTROL is the control socket, beside which the server's own is looked for.
 * -1: see WHY.
 */
#ifndef TIERSWAP_COMMANDS_H
#define TIERSWAP_COMMANDS_H

#include "attach/why.h"

extern int attach_command (const char *control, char *const arguments[],
                           struct why *why);
extern int detach_command (const char *control, char *const arguments[],
                           struct why *why);
extern int reconnect_command (const char *control, char *const arguments[],
                              struct why *why);
extern int supervise_command (const char *control, char *const arguments[],
                              struct why *why);
extern int upgrade_command (const char *control, char *const arguments[],
                            struct why *why);
extern int watch_command (const char *control, char *const arguments[],
                          struct why *why);
extern int unwatch_command (const char *control, char *const arguments[],
                            struct why *why);

#endif /* TIERSWAP_COMMANDS_H */
