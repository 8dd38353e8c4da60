/* SPDX-License-Identifier: BSD-3-Clause */
/* Live changes: what the files that make them share. */
#ifndef TIERSWAP_CHANGE_H
#define TIERSWAP_CHANGE_H

#include "policy/device.h"

/* Is there room for a pool of so many bytes where the device's state is? */
extern int change_check_room (struct device *device, uint64_t pool_limit,
                              char **error);

/* Bytes of memory that a drain may fill with limits as in CONFIG; under the
 * device's lock.
 */
extern uint64_t change_memory_room (struct device *device,
                                    const struct config *config);

#endif /* TIERSWAP_CHANGE_H */
