/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be behind a shim: something in the kernel that writes tags of
 * watched disks into rings, laid out as in tierswap_ioctl.h, that a file
 * descriptor maps.
 *
 * Functions that fail return -1 with errno, and *ERROR is one line to free()
 * that names the cause and the remedy, or NULL.
 */
#ifndef TIERSWAP_SHIM_SOURCE_H
#define TIERSWAP_SHIM_SOURCE_H

#include "policy/shim.h"

struct shim_source {
  int fd; /* what to map */
  struct tierswap_geometry geometry;
  void *opaque; /* the source's own */
};

struct shim_source_kind {
  int (*open) (struct shim_source *source, const char *path, char **error);
  void (*close) (struct shim_source *source);
  int (*watch) (struct shim_source *source, dev_t disk, char **error);
  /* When it returns, no tag of the disk will be made any more. */
  int (*unwatch) (struct shim_source *source, dev_t disk, char **error);
};

extern const struct shim_source_kind shim_source_module;
extern const struct shim_source_kind shim_source_bpf;

/* As shim_create, for a source of any kind. */
extern struct shim *shim_create_from (struct tags *tags,
                                      const struct shim_source_kind *kind,
                                      const char *path);

#endif /* TIERSWAP_SHIM_SOURCE_H */
