/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing with the policy of whose pages they are: the tags of a request are
 * taken, and each run of pages of one cgroup is placed as that one's policy
 * says.  Where no tag ever came it costs one load.
 */
#ifndef TIERSWAP_WRITE_H
#define TIERSWAP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/device.h"

/* See tierswap_write and its neighbours in tierswap.h. */
extern int device_write (struct device *device, const void *buffer,
                         size_t count, uint64_t offset);
extern int device_zero (struct device *device, uint64_t count, uint64_t offset,
                        bool punch);
extern int device_tag (struct device *device, const struct tierswap_tag *tags,
                       size_t count);

/* Have the kernel tag what is written to DISK, see shim_watch; or no more. */
extern int device_watch (struct device *device, dev_t disk, char **error);
extern int device_unwatch (struct device *device, dev_t disk, char **error);

#endif /* TIERSWAP_WRITE_H */
