/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration: a file of sizes, tiers, backings and policies, read
 * whole, checked whole, and then never changed.  Reloading reads a new one and
 * compares.
 *
 * Sizes are written "8G", "512M", "64K", "4096", or "50%" of the machine's
 * memory (of any size in memory, not of a backing).  A file with a mistake
 * gives no configuration and one message, FILE:LINE: what is wrong; what
 * would be right.  Line 0 is the file as a whole: it cannot be read.
 */
#ifndef TIERSWAP_CONFIG_H
#define TIERSWAP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/codec.h"

#define CONFIG_TIERS 4
#define CONFIG_BACKINGS 4
#define CONFIG_POOL_LEAST (UINT64_C (4) << 20) /* bytes */
#define CONFIG_CGROUPS 4096

struct config_tier {
  char *name;
  unsigned prio; /* 1 to 4, 1 is tried first */
  struct codec codec;
  uint64_t limit;      /* bytes of memory, 0: only the pool's limit */
  unsigned demote_age; /* seconds untouched, 0: never demoted */
  unsigned group;      /* neighbours demoted into it that are compressed
                          together, 1 to 4 */
  int line;
};

struct config_backing {
  char *name;
  unsigned prio; /* 1 to 4 */
  char *path;    /* NULL if uri is set */
  char *uri;     /* NULL if path is set */
  uint64_t size; /* bytes, 0: as large as the device or export is */
  bool encrypt, promote;
  int line;
};

struct config_writeback {
  unsigned high, low; /* percent of pool.limit, low < high */
  unsigned age;       /* seconds untouched, 0: age alone moves nothing */
  uint64_t limit;     /* bytes a day, 0: no limit */
};

struct config_cgroup {
  char *path;              /* "/", "/db", "/db/replica" */
  unsigned prio;           /* 1 to 4 */
  unsigned writeback_prio; /* 1 to 4, 0: never written back */
  unsigned writeback_size; /* bytes stored, 0 to 4096 */
  uint64_t limit;          /* bytes of the pool, 0: none */
  /* The section itself says so; otherwise it is that of the cgroup above. */
  bool prio_given, writeback_prio_given, writeback_size_given;
  int line;
};

struct config {
  char *file;          /* NULL: the embedded default */
  uint64_t size;       /* bytes of the device, a multiple of 4096 */
  char *shim;          /* NULL, the device of the module, or "bpf" */
  uint64_t pool_limit; /* bytes of memory of all tiers and tables */
  char *state;         /* NULL, or the file that outlives a restart */
  bool verify; /* checksums of pages in memory, each time they are read */
  bool wipe;   /* memory of pages that are gone */
  struct config_tier tiers[CONFIG_TIERS]; /* by ascending prio */
  unsigned tiers_count;
  struct config_backing backings[CONFIG_BACKINGS]; /* by ascending prio */
  unsigned backings_count;
  struct config_writeback writeback;
  struct config_cgroup *cgroups; /* by path: "/" first, always there */
  unsigned cgroups_count;
};

/* Read FILE, or the embedded default if FILE is NULL.  On failure NULL with
 * errno (EINVAL for a mistake in it, else why it could not be read), and
 * *ERROR is one line to free().
 */
extern struct config *config_load (const char *file, char **error);

/* The same from text, with NAME in place of the file's in messages. */
extern struct config *config_parse (const char *name, const char *text,
                                    char **error);

extern void config_free (struct config *config);

/* Bytes of a size as the configuration writes it.  MEMORY is what "100%"
 * means, 0 if a percentage makes no sense here; what a percentage gives is
 * rounded down to whole pages.  -1 with errno EINVAL, or ERANGE from 8E on.
 */
extern int config_parse_size (const char *text, uint64_t memory,
                              uint64_t *bytes);

/* Bytes of memory of this machine, or of the cgroup limit this process runs
 * under if that is less.
 */
extern uint64_t config_machine_memory (void);

#endif /* TIERSWAP_CONFIG_H */
