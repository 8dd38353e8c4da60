/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/cgroup-rules.h"
#include "store/store.h"

/* Where PATH is, or would be. */
static unsigned
position (const struct cgroup_rules *rules, const char *path, size_t length,
          bool *there)
{
  unsigned low = 0, high = rules->count;

  *there = false;
  while (low < high) {
    unsigned middle = (low + high) / 2;
    const char *other = rules->list[middle].path;
    int order = strncmp (other, path, length);

    if (order == 0 && other[length] != '\0')
      order = 1;
    if (order == 0) {
      *there = true;
      return middle;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static struct cgroup_rule *
find (const struct cgroup_rules *rules, const char *path, size_t length)
{
  bool there;
  unsigned i = position (rules, path, length, &there);

  return there ? &rules->list[i] : NULL;
}

struct cgroup_rule *
cgroup_rules_find (const struct cgroup_rules *rules, const char *path)
{
  return find (rules, path, strlen (path));
}

/* PATH begins with /.  The length of the path above one of LENGTH bytes; 0:
 * there is none. */
static size_t
above (const char *path, size_t length)
{
  if (length <= 1)
    return 0;
  while (path[length - 1] != '/')
    length--;
  return length > 1 ? length - 1 : 1;
}

struct cgroup_policy
cgroup_rules_resolve (const struct cgroup_rules *rules, const char *path)
{
  int prio = -1, writeback_prio = -1, writeback_size = -1;
  struct cgroup_policy policy = { .named = false };
  bool nearest = true;

  for (size_t length = strlen (path); length > 0;
       length = above (path, length)) {
    const struct cgroup_rule *rule = find (rules, path, length);

    if (!rule)
      continue;
    if (nearest && rule->limit)
      policy.cap = rule->cap;
    nearest = false;
    if (path[length] == '\0') {
      policy.named = true;
      policy.limit = rule->limit;
    }
    if (prio < 0)
      prio = rule->prio;
    if (writeback_prio < 0)
      writeback_prio = rule->writeback_prio;
    if (writeback_size < 0)
      writeback_size = rule->writeback_size;
  }
  policy.prio = (unsigned) prio;
  policy.writeback_prio = (unsigned) writeback_prio;
  policy.writeback_size = (unsigned) writeback_size;
  return policy;
}

struct cgroup_rule *
cgroup_rules_add (struct cgroup_rules *rules, const char *path)
{
  size_t length = strlen (path);
  struct cgroup_rule rule = { .prio = -1,
                              .writeback_prio = -1,
                              .writeback_size = -1,
                              .cap = rules->count + 1 };
  struct cgroup_rule *list;
  bool there;
  unsigned i = position (rules, path, length, &there);

  /* Rules are never removed one by one, so each has a cap of its own. */
  if (there)
    return &rules->list[i];
  if (rule.cap >= STORE_CAPS) {
    errno = ENOSPC;
    return NULL;
  }
  if (rules->count == rules->room) {
    list = realloc (rules->list, (2 * rules->room + 16) * sizeof *list);
    if (!list)
      return NULL;
    rules->list = list;
    rules->room = 2 * rules->room + 16;
  }
  rule.path = strdup (path);
  if (!rule.path)
    return NULL;
  memmove (&rules->list[i + 1], &rules->list[i],
           (rules->count - i) * sizeof rules->list[0]);
  rules->count++;
  rules->list[i] = rule;
  return &rules->list[i];
}

int
cgroup_rules_take (struct cgroup_rules *rules, const struct config *config)
{
  *rules = (struct cgroup_rules){ .list = NULL };
  for (unsigned i = 0; i < config->cgroups_count; ++i) {
    const struct config_cgroup *section = &config->cgroups[i];
    struct cgroup_rule *rule = cgroup_rules_add (rules, section->path);
    bool root = i == 0; /* what it does not give is a default */

    if (!rule) {
      cgroup_rules_free (rules);
      errno = ENOMEM;
      return -1;
    }
    if (root || section->prio_given)
      rule->prio = (int) section->prio;
    if (root || section->writeback_prio_given)
      rule->writeback_prio = (int) section->writeback_prio;
    if (root || section->writeback_size_given)
      rule->writeback_size = (int) section->writeback_size;
    rule->limit = section->limit;
  }
  return 0;
}

void
cgroup_rules_free (struct cgroup_rules *rules)
{
  for (unsigned i = 0; i < rules->count; ++i)
    free (rules->list[i].path);
  free (rules->list);
  *rules = (struct cgroup_rules){ .list = NULL };
}
