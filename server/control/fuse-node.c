/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/fuse-node.h"

#define KIND_SHIFT 60
#define GROUP_SHIFT 54
#define ATTRIBUTE_SHIFT 48
#define FIELD_MASK 63 /* of group and attribute */
#define HASH_MASK ((UINT64_C (1) << ATTRIBUTE_SHIFT) - 1)

struct fixed {
  const char *name;
  mode_t mode;
};

static const struct fixed fixed[NODE_FIXED_END] = {
  [NODE_ROOT] = { NULL, S_IFDIR | 0700 },
  [NODE_DISK] = { "disk", S_IFREG | 0600 },
  [NODE_CONTROL] = { "control", S_IFREG | 0600 },
  [NODE_WRITEBACK] = { "writeback", S_IFREG | 0200 },
  [NODE_COMPACT] = { "compact", S_IFREG | 0200 },
  [NODE_STATS_JSON] = { "stats.json", S_IFREG | 0400 },
  [NODE_MM_STAT] = { "mm_stat", S_IFREG | 0400 },
  [NODE_IO_STAT] = { "io_stat", S_IFREG | 0400 },
  [NODE_BD_STAT] = { "bd_stat", S_IFREG | 0400 },
};

static uint64_t
id_of (enum node_kind kind, const struct attribute_group *group,
       const struct attribute *attribute, const char *object)
{
  uint64_t id = (uint64_t) kind << KIND_SHIFT;

  id |= (uint64_t) (group - attribute_groups) << GROUP_SHIFT;
  if (attribute)
    id |= (uint64_t) (attribute - group->attributes) << ATTRIBUTE_SHIFT;
  if (object[0])
    id |= names_hash (object);
  return id;
}

static int
no_entry (void)
{
  errno = ENOENT;
  return -1;
}

static int
make_fixed (uint64_t id, struct node *node)
{
  node->kind = NODE_FIXED;
  node->id = id;
  node->group = NULL;
  node->attribute = NULL;
  node->object[0] = '\0';
  return 0;
}

static int
make (enum node_kind kind, const struct attribute_group *group,
      const struct attribute *attribute, const char *object, struct node *node)
{
  if (strlen (object) >= sizeof node->object) {
    errno = ENAMETOOLONG;
    return -1;
  }
  node->kind = kind;
  node->group = group;
  node->attribute = attribute;
  if (object != node->object)
    strcpy (node->object, object);
  node->id = id_of (kind, group, attribute, node->object);
  return 0;
}

/* The names of a group's objects; of a group of paths, the names right below
 * the path PARENT.
 */
static int
each_object (struct device *device, const struct attribute_group *group,
             const char *parent,
             int (*callback) (void *opaque, const char *name), void *opaque)
{
  struct view view = { .device = device };
  const char *name;
  int r = 0;

  if (group->paths)
    return cgroups_children (device->cgroups, parent, callback, opaque);
  pthread_mutex_lock (&device->lock);
  for (unsigned i = 0; r == 0 && (name = group->object (&view, i)); ++i)
    r = callback (opaque, name);
  view_free (&view);
  pthread_mutex_unlock (&device->lock);
  return r;
}

static int
same_name (void *opaque, const char *name)
{
  return strcmp (opaque, name) == 0;
}

static bool
object_exists (struct device *device, const struct attribute_group *group,
               const char *object)
{
  struct view view = { .device = device };
  bool found;

  if (!group->find)
    return each_object (device, group, "", same_name,
                        (void *) (uintptr_t) object)
           == 1;
  pthread_mutex_lock (&device->lock);
  found = group->find (&view, object);
  view_free (&view);
  pthread_mutex_unlock (&device->lock);
  return found;
}

int
node_find (struct device *device, struct names *names, uint64_t id,
           struct node *node)
{
  const struct attribute_group *group = attribute_groups;
  const struct attribute *attribute = NULL;
  char *object;
  int r;

  if (id >> KIND_SHIFT == NODE_FIXED)
    return id >= NODE_ROOT && id < NODE_FIXED_END ? make_fixed (id, node)
                                                  : no_entry ();
  group += id >> GROUP_SHIFT & FIELD_MASK;
  if (id >> KIND_SHIFT == NODE_ATTRIBUTE)
    attribute = group->attributes + (id >> ATTRIBUTE_SHIFT & FIELD_MASK);
  if (!group->object || id >> KIND_SHIFT == NODE_FOLDER)
    return make ((enum node_kind) (id >> KIND_SHIFT), group, attribute, "",
                 node);
  object = names_find (names, id & HASH_MASK);
  if (!object)
    return -1;
  r = object_exists (device, group, object) ? make (
          (enum node_kind) (id >> KIND_SHIFT), group, attribute, object, node)
                                            : no_entry ();
  free (object);
  return r;
}

bool
node_hash (uint64_t id, uint64_t *hash)
{
  *hash = id & HASH_MASK;
  return id >> KIND_SHIFT != NODE_FIXED && *hash != 0;
}

/* An attribute of the group by its file's name. */
static int
lookup_attribute (const struct attribute_group *group, const char *object,
                  const char *name, struct node *node)
{
  size_t prefix = strlen (group->prefix);

  if (strncmp (name, group->prefix, prefix) == 0)
    for (const struct attribute *a = group->attributes; a->name; ++a)
      if (strcmp (a->name, name + prefix) == 0)
        return make (NODE_ATTRIBUTE, group, a, object, node);
  return no_entry ();
}

static int
lookup_in_root (const char *name, struct node *node)
{
  for (unsigned i = NODE_ROOT + 1; i < NODE_FIXED_END; ++i)
    if (strcmp (name, fixed[i].name) == 0)
      return make_fixed (i, node);
  for (const struct attribute_group *group = attribute_groups;
       group->attributes; ++group) {
    if (!group->folder) {
      if (lookup_attribute (group, "", name, node) == 0)
        return 0;
    }
    else if (strcmp (group->folder, name) == 0)
      return group->paths ? make (NODE_OBJECT, group, NULL, "/", node)
                          : make (NODE_FOLDER, group, NULL, "", node);
  }
  return no_entry ();
}

static int
lookup_object (struct device *device, const struct node *parent,
               const char *name, struct node *node)
{
  const char *above = strcmp (parent->object, "/") == 0 ? "" : parent->object;

  if (snprintf (node->object, sizeof node->object, "%s%s%s", above,
                parent->group->paths ? "/" : "", name)
      >= (int) sizeof node->object) {
    errno = ENAMETOOLONG;
    return -1;
  }
  if (!object_exists (device, parent->group, node->object))
    return no_entry ();
  return make (NODE_OBJECT, parent->group, NULL, node->object, node);
}

int
node_lookup (struct device *device, const struct node *parent, const char *name,
             struct node *node)
{
  switch (parent->kind) {
  case NODE_FIXED:
    return parent->id == NODE_ROOT ? lookup_in_root (name, node) : no_entry ();
  case NODE_FOLDER:
    return parent->group->object
               ? lookup_object (device, parent, name, node)
               : lookup_attribute (parent->group, "", name, node);
  case NODE_OBJECT:
    if (lookup_attribute (parent->group, parent->object, name, node) == 0)
      return 0;
    return parent->group->paths ? lookup_object (device, parent, name, node)
                                : no_entry ();
  default:
    return no_entry ();
  }
}

static mode_t
attribute_mode (const struct attribute *attribute)
{
  return S_IFREG | (attribute->store ? 0600 : 0400);
}

mode_t
node_mode (const struct node *node)
{
  switch (node->kind) {
  case NODE_FIXED:
    return fixed[node->id].mode;
  case NODE_ATTRIBUTE:
    return attribute_mode (node->attribute);
  default:
    return S_IFDIR | 0700;
  }
}

void
node_registry_name (const struct node *node, char name[REGISTRY_NAME])
{
  const struct attribute_group *group = node->group;

  snprintf (name, REGISTRY_NAME, "%s%s%s%s%s", group->name,
            group->name[0] ? "." : "", node->object, node->object[0] ? "." : "",
            node->attribute->name);
}

struct list_call {
  int (*callback) (void *opaque, const char *name, uint64_t id, mode_t mode);
  void *opaque;
  const struct node *folder;
};

static int
list_attributes (const struct list_call *call,
                 const struct attribute_group *group, const char *object)
{
  int r = 0;

  for (const struct attribute *a = group->attributes; r == 0 && a->name; ++a) {
    char name[NAME_MAX + 1];

    snprintf (name, sizeof name, "%s%s", group->prefix, a->name);
    r = call->callback (call->opaque, name,
                        id_of (NODE_ATTRIBUTE, group, a, object),
                        attribute_mode (a));
  }
  return r;
}

static int
list_object (void *opaque, const char *name)
{
  const struct list_call *call = opaque;

  /* Its id is not worth putting its path together. */
  return call->callback (call->opaque, name,
                         id_of (NODE_OBJECT, call->folder->group, NULL, name),
                         S_IFDIR);
}

static int
list_root (const struct list_call *call)
{
  int r = 0;

  for (unsigned i = NODE_ROOT + 1; r == 0 && i < NODE_FIXED_END; ++i)
    r = call->callback (call->opaque, fixed[i].name, i, fixed[i].mode);
  for (const struct attribute_group *group = attribute_groups;
       r == 0 && group->attributes; ++group)
    if (!group->folder)
      r = list_attributes (call, group, "");
    else
      r = call->callback (call->opaque, group->folder,
                          group->paths ? id_of (NODE_OBJECT, group, NULL, "/")
                                       : id_of (NODE_FOLDER, group, NULL, ""),
                          S_IFDIR);
  return r;
}

int
node_list (struct device *device, const struct node *folder,
           int (*callback) (void *opaque, const char *name, uint64_t id,
                            mode_t mode),
           void *opaque)
{
  struct list_call call = { callback, opaque, folder };
  int r = 0;

  if (folder->kind == NODE_FIXED)
    return list_root (&call);
  if (folder->kind == NODE_OBJECT || !folder->group->object)
    r = list_attributes (&call, folder->group, folder->object);
  if (r == 0 && folder->group->object
      && (folder->kind == NODE_FOLDER || folder->group->paths))
    r = each_object (device, folder->group, folder->object, list_object, &call);
  return r;
}
