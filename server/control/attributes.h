/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of attributes: how each is shown and stored. */
#ifndef TIERSWAP_ATTRIBUTES_H
#define TIERSWAP_ATTRIBUTES_H

#include "control/registry.h"

/* What is shown: a snapshot of the device, and the object at hand.  Under the
 * device's lock.
 */
struct view {
  struct device *device;
  struct store_statistics statistics;
  struct writeback_counters writeback;
  const struct config_tier *tier;   /* of the group "tier" */
  unsigned backing;                 /* index, of the group "backing" */
  const struct cgroup_info *cgroup; /* of the group "cgroup" */
  struct cgroup_info found;         /* one of them that was asked for by name */
  struct cgroup_info *cgroups;      /* or all; NULL: not taken yet */
  uint32_t cgroups_count;
};

struct attribute {
  const char *name;
  void (*show) (const struct view *view, char value[REGISTRY_VALUE]);
  /* NULL: read-only.  NAME is the whole name, OBJECT the object's.  Not under
   * the lock.
   */
  int (*store) (struct device *device, const char *name, const char *object,
                const char *value, char **error);
};

struct attribute_group {
  const char *name; /* "": its attributes have no group in their name */
  /* Choose object NUMBER of the group for the view and give its name, NULL
   * past the last.  NULL: the group has no objects.
   */
  const char *(*object) (struct view *view, unsigned number);
  /* Choose the one of this name, false if there is none.  NULL: compare them
   * all.
   */
  bool (*find) (struct view *view, const char *name);
  const struct attribute *attributes; /* up to one without a name */
  /* In the FUSE tree: the folder of its objects, or of its attributes if it
   * has none (NULL: the tree's own), and what its files' names begin with.
   */
  const char *folder, *prefix;
  bool paths; /* objects are paths, "/" is there */
};

/* Give back what was taken for a view. */
extern void view_free (struct view *view);

/* Up to one without attributes. */
extern const struct attribute_group attribute_groups[];

#endif /* TIERSWAP_ATTRIBUTES_H */
