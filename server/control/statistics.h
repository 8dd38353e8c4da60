/* SPDX-License-Identifier: BSD-3-Clause */
/* The statistics, as JSON for programs and in one line for people. */
#ifndef TIERSWAP_STATISTICS_H
#define TIERSWAP_STATISTICS_H

#include <jansson.h>

#include "policy/device.h"

/* All statistics of the contract.  NULL with errno ENOMEM. */
extern json_t *statistics_json (struct device *device);

/* Those of the tier or backing NAME.  NULL with errno ENOENT or ENOMEM. */
extern json_t *statistics_of (struct device *device, const char *name);

/* One line about the device (NAME ""), or about an export.  To free(). */
extern char *statistics_describe (struct device *device, const char *name);

/* Names of tiers, then of backings, each by prio: number NUMBER, to free().
 * NULL past the last.
 */
extern char *statistics_name (struct device *device, unsigned number);

/* The indexes of the backings there are, by prio; under the device's lock.
 * Returns how many.
 */
extern unsigned statistics_backings (const struct device *device,
                                     unsigned indexes[STORE_BACKINGS]);

/* Words of the contract. */
extern const char *statistics_backing_kind (const struct backing *backing);
extern const char *statistics_backing_state (const struct backing *backing);

#endif /* TIERSWAP_STATISTICS_H */
