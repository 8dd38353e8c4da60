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

/* Bytes as people read them, "1.5 GiB", into TEXT. */
#define HUMAN_ROOM 24
extern const char *statistics_human (uint64_t bytes, char text[HUMAN_ROOM]);

#endif /* TIERSWAP_STATISTICS_H */
