/* SPDX-License-Identifier: BSD-3-Clause */
/* Live changes: what the files that make them share. */
#ifndef TIERSWAP_CHANGE_H
#define TIERSWAP_CHANGE_H

#include <stdarg.h>

#include "policy/device.h"

/* Tell why a change was refused: *ERROR is one line to free(), errno is CODE.
 * Returns -1.
 */
extern int change_refused (char **error, int code, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* Is there room for a pool of so many bytes where the device's state is? */
extern int change_check_room (struct device *device, uint64_t pool_limit,
                              char **error);

/* Bytes of memory that a drain may fill with limits as in CONFIG; under the
 * device's lock.
 */
extern uint64_t change_memory_room (struct device *device,
                                    const struct config *config);

#endif /* TIERSWAP_CHANGE_H */
