/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket: one thread that serves all its clients.  Long commands
 * have threads of their own, so that none waits for another's.
 */
#ifndef TIERSWAP_CONTROL_H
#define TIERSWAP_CONTROL_H

#include "policy/device.h"

struct control;

/* Listen at PATH for commands on a device that was started.  -1 with errno,
 * and *ERROR is one line to free().
 */
extern int control_start (struct device *device, const char *path,
                          struct control **control, char **error);

/* End all that is at work and take the socket away. */
extern void control_stop (struct control *control);

#endif /* TIERSWAP_CONTROL_H */
