/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk of the kernel's nbd driver, and what sysfs tells of it. */
#ifndef TIERSWAP_DISK_H
#define TIERSWAP_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/why.h"

struct disk {
  const char *path; /* as the user gave it */
  unsigned index;   /* the N of nbdN */
  dev_t number;
};

/* The disk at PATH, which must be one of nbd and not a partition of one. */
extern int disk_find (struct disk *disk, const char *path, struct why *why);

/* The process that connected it, 0: it is not connected.  1 if it cannot be
 * told: then it is as if it were, since programs may have pages there.
 */
extern long disk_owner (const struct disk *disk);

/* Bytes that it has.  -1: see WHY. */
extern int disk_size (const struct disk *disk, uint64_t *bytes,
                      struct why *why);

/* Seconds that the driver gives a request, 0: it is not told. */
extern long disk_timeout (const struct disk *disk);

/* What identifies the server that it was connected to, as it was told then.
 * "": nothing was.  -1: see WHY.
 */
#define DISK_BACKEND_ROOM 64
extern int disk_backend (unsigned index, char text[DISK_BACKEND_ROOM],
                         struct why *why);

/* Which nbd disk but DISK is connected to BACKEND, -1: none; -2: see WHY. */
extern int disk_of_backend (const struct disk *disk, const char *backend,
                            struct why *why);

/* Whether a file system, or who else wants it alone, uses it.  -1: see WHY. */
extern int disk_is_claimed (const struct disk *disk, struct why *why);

#endif /* TIERSWAP_DISK_H */
