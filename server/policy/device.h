/* SPDX-License-Identifier: BSD-3-Clause */
/* The device: a configuration, the store that was made of it, its backings
 * and writeback, and all that is changed while it runs.
 */
#ifndef TIERSWAP_DEVICE_H
#define TIERSWAP_DEVICE_H

#include <pthread.h>
#include <sys/types.h>

#include "policy/backings.h"
#include "policy/cgroups.h"
#include "policy/config.h"
#include "policy/shim.h"
#include "policy/tags.h"
#include "policy/writeback.h"
#include "store/store.h"

struct device {
  pthread_mutex_t lock;   /* of live changes: config, and who is in backings */
  pthread_mutex_t reload; /* held around a reload, before the other */
  struct config *config;
  bool size_given;     /* beside the configuration */
  struct store *store; /* NULL until it is started */
  struct backings backings;
  struct writeback *writeback;
  char *hierarchy;  /* where cgroup2 is; NULL: to be found.  Before start */
  char *tag_source; /* of shim_create; NULL: as configured.  Before start */
  struct cgroups *cgroups;
  struct tags *tags;
  struct shim *shim;
  _Atomic bool tagged; /* a tag may have come; stays so */
};

/* Read and check the configuration; see tierswap_create. */
extern int device_create (const char *file, const char *size,
                          struct device **device);

/* Could the device, instead of being started here and now, follow the process
 * *OWNER, which has its state?  See state_look; EINVAL if it has no state.
 */
extern int device_could_follow (const struct device *device, pid_t *owner);

/* Protect the process, take the memory, open the backings, start the threads.
 */
extern int device_start (struct device *device);
extern void device_free (struct device *device);

/* Live changes.  All return -1 with errno, and *ERROR, one line to free(),
 * names the cause and the remedy; then nothing was changed.
 */

/* Read the configuration file again and make the device be as it says: limits,
 * levels, policies, writeback, sizes of backings; new tiers and backings;
 * backings it does not name any more are drained and, when they are empty,
 * closed.  The device's size, codecs and tiers there are stay.
 */
extern int device_reload (struct device *device, char **error);

/* Drain a backing into the others, or into memory where there is room.
 * Returns at once; it is done when nothing is stored there.  ENOENT: no such
 * backing.  ENOSPC: it does not fit, the line says how much is missing.
 */
extern int device_drain (struct device *device, const char *name, char **error);

/* One value, as the attribute of that name in the configuration writes it. */
extern int device_set_pool_limit (struct device *device, uint64_t bytes,
                                  char **error);
extern int device_set_tier_limit (struct device *device, const char *tier,
                                  uint64_t bytes, char **error);
extern int device_set_tier_level (struct device *device, const char *tier,
                                  int level, char **error);
extern int device_set_demote_age (struct device *device, const char *tier,
                                  unsigned seconds, char **error);
extern int device_set_group (struct device *device, const char *tier,
                             unsigned pages, char **error);
extern int device_set_backing_size (struct device *device, const char *backing,
                                    uint64_t bytes, char **error);
extern int device_set_promote (struct device *device, const char *backing,
                               bool promote, char **error);

/* Several at once; a negative one stays as it is. */
struct device_writeback_change {
  int64_t high, low, age; /* percent, percent, seconds */
  int64_t limit;          /* bytes a day */
};
extern int device_set_writeback (struct device *device,
                                 const struct device_writeback_change *change,
                                 char **error);
/* The policy of a cgroup, see cgroups_set. */
extern int device_set_cgroup (struct device *device, const char *path,
                              const struct cgroup_change *change, char **error);

/* The tier number INDEX, as it is configured now; under the lock.  NULL past
 * the last.
 */
extern const struct config_tier *device_tier (const struct device *device,
                                              unsigned index);

#endif /* TIERSWAP_DEVICE_H */
