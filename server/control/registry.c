/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/refuse.h"
#include "control/attributes.h"
#include "policy/change.h"
#include "policy/config-report.h"

static void
take_view (struct device *device, struct view *view)
{
  *view = (struct view){ .device = device };
  store_get_statistics (device->store, &view->statistics);
  writeback_get_counters (device->writeback, &view->writeback);
}

static void
full_name (char name[REGISTRY_NAME], const struct attribute_group *group,
           const char *object, const struct attribute *attribute)
{
  snprintf (name, REGISTRY_NAME, "%s%s%s%s%s", group->name,
            group->name[0] ? "." : "", object ? object : "", object ? "." : "",
            attribute->name);
}

/* Look at every attribute of a group, of the object that the view has. */
static int
walk_object (struct view *view, const struct attribute_group *group,
             const char *object,
             int (*callback) (void *opaque, const char *name, const char *value,
                              bool writable),
             void *opaque)
{
  int r = 0;

  for (const struct attribute *a = group->attributes; r == 0 && a->name; ++a) {
    char name[REGISTRY_NAME], value[REGISTRY_VALUE];

    full_name (name, group, object, a);
    a->show (view, value);
    r = callback (opaque, name, value, a->store != NULL);
  }
  return r;
}

int
registry_walk (struct device *device,
               int (*callback) (void *opaque, const char *name,
                                const char *value, bool writable),
               void *opaque)
{
  struct view view;
  int r = 0;

  take_view (device, &view);
  pthread_mutex_lock (&device->lock);
  for (const struct attribute_group *group = attribute_groups;
       r == 0 && group->attributes; ++group) {
    const char *object;

    if (!group->object)
      r = walk_object (&view, group, NULL, callback, opaque);
    else
      for (unsigned i = 0; r == 0 && (object = group->object (&view, i)); ++i)
        r = walk_object (&view, group, object, callback, opaque);
  }
  view_free (&view);
  pthread_mutex_unlock (&device->lock);
  return r;
}

/* A name taken apart. */
struct parts {
  const struct attribute_group *group;
  const struct attribute *attribute;
  char object[REGISTRY_NAME]; /* "": the group has none */
};

static const struct attribute *
find_attribute (const struct attribute_group *group, const char *name)
{
  for (const struct attribute *a = group->attributes; a->name; ++a)
    if (strcmp (a->name, name) == 0)
      return a;
  return NULL;
}

/* Names of objects may contain dots, those of groups and attributes do not. */
static bool
take_apart (const char *name, struct parts *parts)
{
  const char *first = strchr (name, '.'), *last = strrchr (name, '.');
  size_t length = first ? (size_t) (first - name) : 0;

  if (strlen (name) >= REGISTRY_NAME || name[0] == '.')
    return false;
  parts->object[0] = '\0';
  for (parts->group = attribute_groups; parts->group->attributes;
       ++parts->group)
    if (strlen (parts->group->name) == length
        && strncmp (parts->group->name, name, length) == 0)
      break;
  if (!parts->group->attributes)
    return false;
  if (parts->group->object) {
    if (last == first)
      return false;
    memcpy (parts->object, first + 1, (size_t) (last - first) - 1);
    parts->object[last - first - 1] = '\0';
  }
  else if (last != first)
    return false;
  parts->attribute = find_attribute (parts->group, last ? last + 1 : name);
  return parts->attribute != NULL;
}

static int
refuse_unknown (const char *name, char **error)
{
  return refuse (error, ENOENT,
                 "there is no attribute \"%s\"; \"get\" without a "
                 "name lists all",
                 config_excerpt (name).text);
}

/* Have the view look at the object that is named. */
static bool
choose_object (struct view *view, const struct parts *parts)
{
  const char *object;

  if (!parts->group->object)
    return true;
  if (parts->group->find)
    return parts->group->find (view, parts->object);
  for (unsigned i = 0; (object = parts->group->object (view, i)); ++i)
    if (strcmp (object, parts->object) == 0)
      return true;
  return false;
}

int
registry_show (struct device *device, const char *name,
               char value[REGISTRY_VALUE], char **error)
{
  struct parts parts;
  struct view view;
  bool found;

  *error = NULL;
  if (!take_apart (name, &parts))
    return refuse_unknown (name, error);
  take_view (device, &view);
  pthread_mutex_lock (&device->lock);
  found = choose_object (&view, &parts);
  if (found)
    parts.attribute->show (&view, value);
  view_free (&view);
  pthread_mutex_unlock (&device->lock);
  return found ? 0 : refuse_unknown (name, error);
}

int
registry_store (struct device *device, const char *name, const char *value,
                char **error)
{
  struct parts parts;
  char before[REGISTRY_VALUE];

  if (registry_show (device, name, before, error) == -1)
    return -1;
  take_apart (name, &parts);
  if (!parts.attribute->store)
    return refuse (error, EACCES, "%s is read-only: it only tells what is",
                   name);
  return parts.attribute->store (device, name, parts.object, value, error);
}

int
registry_number (const char *name, const char *text, uint64_t least,
                 uint64_t most, int64_t *number, char **error)
{
  uint64_t n = 0;
  const char *p = text;

  for (; isdigit ((unsigned char) *p) && n <= most; ++p)
    n = n * 10 + (uint64_t) (*p - '0');
  if (p == text || *p || n < least || n > most)
    return refuse (error, EINVAL,
                   "%s cannot be \"%s\": it is a whole number from "
                   "%llu to %llu",
                   name, config_excerpt (text).text, (unsigned long long) least,
                   (unsigned long long) most);
  *number = (int64_t) n;
  return 0;
}

int
registry_size (const char *name, const char *text, bool percent,
               uint64_t *bytes, char **error)
{
  uint64_t memory = percent ? config_machine_memory () : 0;

  if (config_parse_size (text, memory, bytes) == -1)
    return refuse (error, EINVAL,
                   "%s cannot be \"%s\": it is a number of bytes, or "
                   "of K, M, G or T%s",
                   name, config_excerpt (text).text,
                   percent ? ", or a percentage of this machine's "
                             "memory"
                           : "");
  return 0;
}
