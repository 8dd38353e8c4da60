/* SPDX-License-Identifier: BSD-3-Clause */
/* The device: a configuration, the store that was made of it, and what of it
 * is changed while it runs.
 */
#ifndef TIERSWAP_DEVICE_H
#define TIERSWAP_DEVICE_H

#include "policy/config.h"
#include "store/store.h"

struct device {
  struct config *config;
  struct store *store;                 /* NULL until it is started */
  struct store_placement root;         /* the policy of "/" */
};

/* Read and check the configuration; see tierswap_create. */
extern int device_create (const char *file, const char *size,
                          struct device **device);

/* Protect the process, take the memory, start the threads. */
extern int device_start (struct device *device);
extern void device_free (struct device *device);

/* The tier number INDEX as it is configured now. */
extern const struct config_tier *device_tier (const struct device *device,
                                              unsigned index);

#endif /* TIERSWAP_DEVICE_H */
