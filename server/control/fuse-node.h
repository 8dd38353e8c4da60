/* SPDX-License-Identifier: BSD-3-Clause */
/* The files and folders of the FUSE tree, by name and by node id.
 *
 * There is no second list of what the registry knows: what is where comes from
 * its groups (attributes.h).  Objects of a group of paths have their folder in
 * that of their parent.  A node id is computed from the kind of node, its group
 * and attribute, and a hash of its object's name (fuse-names.h):
 *
 *     bits 60-63 kind, 54-59 group, 48-53 attribute, 0-47 hash
 */
#ifndef TIERSWAP_FUSE_NODE_H
#define TIERSWAP_FUSE_NODE_H

#include <stdint.h>
#include <sys/stat.h>

#include "control/attributes.h"
#include "control/fuse-names.h"

/* Those of kind 0, whose ids are small numbers: the folder itself, and what is
 * no attribute.
 */
enum {
  NODE_ROOT = 1,
  NODE_DISK,
  NODE_CONTROL,
  NODE_WRITEBACK,
  NODE_COMPACT,
  NODE_STATS_JSON,
  NODE_MM_STAT,
  NODE_IO_STAT,
  NODE_BD_STAT,
  NODE_FIXED_END
};

enum node_kind {
  NODE_FIXED,
  NODE_FOLDER,   /* of a group */
  NODE_OBJECT,   /* of an object; for "/" of a group of paths, the group's */
  NODE_ATTRIBUTE /* a file */
};

#define NODE_OBJECT_ROOM 4096 /* bytes of an object's name, with the NUL */

struct node {
  enum node_kind kind;
  uint64_t id;
  const struct attribute_group *group;
  const struct attribute *attribute;
  char object[NODE_OBJECT_ROOM]; /* "": none */
};

/* The node of an id that the kernel was told, or of NAME in the folder PARENT.
 * -1 with errno: ENOENT if there is none now.
 */
extern int node_find (struct device *device, struct names *names, uint64_t id,
                      struct node *node);
extern int node_lookup (struct device *device, const struct node *parent,
                        const char *name, struct node *node);

/* The hash in an id.  False: it has none. */
extern bool node_hash (uint64_t id, uint64_t *hash);

/* S_IFDIR or S_IFREG, and what its owner may do with it. */
extern mode_t node_mode (const struct node *node);

/* The attribute's name in the registry. */
extern void node_registry_name (const struct node *node,
                                char name[REGISTRY_NAME]);

/* All in the folder, without "." and "..".  Stops when the callback returns
 * non-zero, and returns that.  -1 with errno ENOENT or ENOMEM.
 */
extern int node_list (struct device *device, const struct node *folder,
                      int (*callback) (void *opaque, const char *name,
                                       uint64_t id, mode_t mode),
                      void *opaque);

#endif /* TIERSWAP_FUSE_NODE_H */
