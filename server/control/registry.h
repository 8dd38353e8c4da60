/* SPDX-License-Identifier: BSD-3-Clause */
/* The attributes of a device by name: what stands behind `get` and `set`, and
 * behind all other ways to look at it and to steer it.
 *
 *     size
 *     pool.limit
 *     tier.NAME.limit
 *     backing.NAME.state
 *     cgroup./db.prio
 *
 * A name is a group, the object of the group where it has several, and the
 * attribute.  Values are text: numbers of bytes, pages, seconds or percent
 * without a unit, or words.  Sizes are taken as the configuration writes them.
 * What is set here lasts until the configuration is read again.
 */
#ifndef TIERSWAP_REGISTRY_H
#define TIERSWAP_REGISTRY_H

#include <stdbool.h>

#include "policy/device.h"

#define REGISTRY_NAME                                                          \
  4160                    /* bytes, with the NUL; there may be a path in it    \
                           */
#define REGISTRY_VALUE 64 /* likewise */

/* The value of attribute NAME.  -1 with errno ENOENT, and *ERROR is one line
 * to free().
 */
extern int registry_show (struct device *device, const char *name,
                          char value[REGISTRY_VALUE], char **error);

/* Change it.  -1 with errno, ENOENT: there is none; EACCES: it is read-only;
 * EINVAL: *ERROR tells what is allowed; or why else it cannot be changed.
 * Nothing was changed then.
 */
extern int registry_store (struct device *device, const char *name,
                           const char *value, char **error);

/* Every attribute there is, in the order of the contract; values are of one
 * snapshot.  The walk stops when the callback returns non-zero, and returns
 * that.
 */
extern int registry_walk (struct device *device,
                          int (*callback) (void *opaque, const char *name,
                                           const char *value, bool writable),
                          void *opaque);

/* TEXT, the value of NAME, as a whole number of LEAST to MOST, or as a size.
 * -1 with errno EINVAL and *ERROR.
 */
extern int registry_number (const char *name, const char *text, uint64_t least,
                            uint64_t most, int64_t *number, char **error);
extern int registry_size (const char *name, const char *text, bool percent,
                          uint64_t *bytes, char **error);

#endif /* TIERSWAP_REGISTRY_H */
