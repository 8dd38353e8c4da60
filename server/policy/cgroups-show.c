/* SPDX-License-Identifier: BSD-3-Clause */
/* Cgroups as people and programs see them, and change them: by path. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/refuse.h"
#include "backing/backing.h"
#include "policy/cgroup-nodes.h"
#include "policy/change.h"
#include "policy/config-report.h"

static bool
path_valid (const char *path)
{
  size_t length = strlen (path);

  if (path[0] != '/' || length >= PATH_MAX
      || (length > 1 && path[length - 1] == '/'))
    return false;
  for (const char *name = path + 1; *name;) {
    size_t end = strcspn (name, "/");

    if (end == 0 || strncmp (name, ".", end) == 0
        || (end == 2 && strncmp (name, "..", 2) == 0))
      return false;
    name += end;
    if (*name == '/')
      name++;
  }
  return true;
}

static void
add_pages (struct store_cgroup_statistics *to,
           const struct store_cgroup_statistics *from)
{
  to->pages_memory += from->pages_memory;
  to->pages_backing += from->pages_backing;
  to->pages_same += from->pages_same;
  to->compr_bytes += from->compr_bytes;
}

static bool
has_pages (const struct cgroup_info *info)
{
  return info->pages.pages_memory + info->pages.pages_backing
             + info->pages.pages_same
         > 0;
}

static void
fill_policy (const struct cgroups *c, struct cgroup_info *info,
             const char *path)
{
  struct cgroup_policy policy = cgroup_rules_resolve (&c->rules, path);

  info->named = policy.named;
  info->prio = policy.prio;
  info->writeback_prio = policy.writeback_prio;
  info->writeback_size = policy.writeback_size;
  info->limit = policy.limit;
}

/* What of the pages of each index is whose, by index: those of who is gone are
 * his heir's.
 */
struct counts {
  struct store_cgroup_statistics *pages;
  uint64_t *used;
  uint32_t high;
};

static void
free_counts (struct counts *counts)
{
  free (counts->pages);
  free (counts->used);
}

static int
take_counts (struct cgroups *c, struct counts *counts)
{
  counts->high = cgroup_nodes_high (c);
  counts->pages = calloc (counts->high, sizeof *counts->pages);
  counts->used = calloc (counts->high, sizeof *counts->used);
  if (!counts->pages || !counts->used) {
    free_counts (counts);
    errno = ENOMEM;
    return -1;
  }
  store_get_cgroup_statistics (c->store, counts->pages, counts->high);
  for (uint32_t i = 0; i < counts->high; ++i)
    counts->used[i] = store_cgroup_used (c->store, i);
  for (uint32_t i = 1; i < counts->high; ++i)
    if (c->nodes[i].state == CGROUP_GONE) {
      add_pages (&counts->pages[c->nodes[i].heir], &counts->pages[i]);
      counts->used[c->nodes[i].heir] += counts->used[i];
    }
  return 0;
}

/* What is known of an index that is not gone. */
static int
fill_index (const struct cgroups *c, const struct counts *counts,
            uint32_t index, struct cgroup_info *info)
{
  const struct cgroup_node *node = &c->nodes[index];

  *info = (struct cgroup_info){
    .id = atomic_load (&c->table.records[index].id),
    .pages = counts->pages[index],
    .used_bytes = counts->used[index],
  };
  if (node->path)
    info->path = strdup (node->path);
  else if (asprintf (&info->path, "#%" PRIu64, info->id) == -1)
    info->path = NULL;
  fill_policy (c, info, node->path ? node->path : "/");
  if (!node->path) {
    info->named = false;
    info->limit = 0;
  }
  return info->path ? 0 : -1;
}

/* That of a rule whose cgroup is not there. */
static int
fill_rule (const struct cgroups *c, const struct cgroup_rule *rule,
           struct cgroup_info *info)
{
  *info = (struct cgroup_info){ .path = strdup (rule->path) };
  fill_policy (c, info, rule->path);
  return info->path ? 0 : -1;
}

static int
compare_infos (const void *a, const void *b)
{
  const struct cgroup_info *info = a, *other = b;
  bool is_path = info->path[0] == '/', other_is = other->path[0] == '/';

  if (is_path != other_is)
    return is_path ? -1 : 1;
  return strcmp (info->path, other->path);
}

void
cgroups_free_list (struct cgroup_info *list, uint32_t count)
{
  for (uint32_t i = 0; list && i < count; ++i)
    free (list[i].path);
  free (list);
}

/* Is index 1 or higher one to be listed?  Under the lock. */
static bool
is_there (const struct cgroups *c, uint32_t index)
{
  return cgroup_nodes_used (c, index) && c->nodes[index].state != CGROUP_GONE;
}

/* Mark the rules of those that are there. */
static void
mark_rule (const struct cgroups *c, const char *path, bool *met)
{
  const struct cgroup_rule *rule = cgroup_rules_find (&c->rules, path);

  if (rule)
    met[rule - c->rules.list] = true;
}

int
cgroups_list (struct cgroups *c, bool all, struct cgroup_info **result,
              uint32_t *result_count)
{
  struct cgroup_info *list = NULL;
  struct counts counts;
  uint32_t count = 0;
  bool *met = NULL;
  int r = -1;

  pthread_mutex_lock (&c->lock);
  if (take_counts (c, &counts) == -1) {
    pthread_mutex_unlock (&c->lock);
    return -1;
  }
  list = calloc (counts.high + c->rules.count, sizeof *list);
  met = calloc (c->rules.count, sizeof *met);
  if (!list || !met)
    goto out;
  for (uint32_t i = 0; i < counts.high; ++i) {
    struct cgroup_info *info = &list[count];

    if (i > 0 && !is_there (c, i))
      continue;
    if (fill_index (c, &counts, i, info) == -1)
      goto out;
    mark_rule (c, info->path, met);
    if (all || i == 0 || info->named || has_pages (info))
      count++;
    else
      free (info->path);
  }
  for (unsigned i = 0; i < c->rules.count; ++i)
    if (!met[i]) {
      if (fill_rule (c, &c->rules.list[i], &list[count]) == -1)
        goto out;
      count++;
    }
  qsort (list, count, sizeof *list, compare_infos);
  r = 0;

out:
  free_counts (&counts);
  pthread_mutex_unlock (&c->lock);
  free (met);
  if (r == -1) {
    cgroups_free_list (list, count);
    errno = ENOMEM;
    return -1;
  }
  *result = list;
  *result_count = count;
  return 0;
}

static int
refuse_unknown (const struct cgroups *c, const char *path, char **error)
{
  struct config_excerpt excerpt = config_excerpt (path);
  const char *quoted = excerpt.text;

  if (!path_valid (path) && path[0] != '#')
    return refuse (error, ENOENT,
                   "\"%s\" is not the path of a cgroup: write it from "
                   "the root of the cgroups on, such as \"/db\"",
                   quoted);
  if (!c->tree)
    return refuse (error, ENOENT,
                   "there is no cgroup \"%s\": cgroup2 is not mounted "
                   "here, and the configuration has no such section",
                   quoted);
  return refuse (error, ENOENT,
                 "there is no cgroup \"%s\": create it first, or "
                 "write a section for it into the configuration",
                 quoted);
}

/* The index of who has no path yet and is called "#ID". */
static uint32_t
find_unknown (const struct cgroups *c, const char *path)
{
  char name[32];
  uint32_t index;

  if (path[0] != '#')
    return CGROUP_NONE;
  index = cgroup_table_find (&c->table, strtoull (path + 1, NULL, 10));
  if (index == CGROUP_NONE || index == 0
      || c->nodes[index].state != CGROUP_UNKNOWN)
    return CGROUP_NONE;
  snprintf (name, sizeof name, "#%" PRIu64,
            atomic_load (&c->table.records[index].id));
  return strcmp (name, path) == 0 ? index : CGROUP_NONE;
}

/* A cgroup by its path: its index, or CGROUP_NONE if only *RULE is there. False
 * if neither is.  Under the lock, which it may let go of once, to look whether
 * it has just been created.
 */
static bool
find (struct cgroups *c, const char *path, uint32_t *index,
      struct cgroup_rule **rule)
{
  for (unsigned tries = 0; tries < 2; ++tries) {
    *rule = cgroup_rules_find (&c->rules, path);
    *index = cgroup_nodes_find (c, path);
    if (*index == CGROUP_NONE)
      *index = find_unknown (c, path);
    if (*index != CGROUP_NONE || *rule)
      return true;
    if (!path_valid (path) || tries > 0)
      break;
    pthread_mutex_unlock (&c->lock);
    cgroups_settle (c);
    pthread_mutex_lock (&c->lock);
  }
  return false;
}

int
cgroups_get (struct cgroups *c, const char *path, struct cgroup_info *info,
             char **error)
{
  struct cgroup_rule *rule;
  struct counts counts;
  uint32_t index;
  int r;

  *error = NULL;
  pthread_mutex_lock (&c->lock);
  if (!find (c, path, &index, &rule))
    r = refuse_unknown (c, path, error);
  else if (index == CGROUP_NONE)
    r = fill_rule (c, rule, info);
  else if ((r = take_counts (c, &counts)) == 0) {
    r = fill_index (c, &counts, index, info);
    free_counts (&counts);
  }
  pthread_mutex_unlock (&c->lock);
  return r;
}

static int
check_change (struct cgroups *c, const struct cgroup_change *change,
              char **error)
{
  uint64_t pool = store_pool_limit (c->store);

  if (change->prio == 0 || change->prio > 4)
    return refuse (error, EINVAL, "prio must be from 1 to 4");
  if (change->writeback_prio > 4)
    return refuse (error, EINVAL,
                   "writeback_prio must be from 1 to 4, or 0 for "
                   "never written back");
  if (change->writeback_size > PAGE_BYTES)
    return refuse (error, EINVAL,
                   "writeback_size must be from 0 to 4096 bytes");
  if (change->limit > 0
      && (change->limit < EXTENT_BYTES || (uint64_t) change->limit > pool
          || change->limit % PAGE_BYTES))
    return refuse (error, EINVAL,
                   "limit must be a multiple of 4096 bytes from %d to "
                   "the pool's limit, %llu, or 0 for no limit but that",
                   EXTENT_BYTES, (unsigned long long) pool);
  return 0;
}

int
cgroups_set (struct cgroups *c, const char *path,
             const struct cgroup_change *change, char **error)
{
  struct cgroup_rule *rule;
  uint32_t index;
  int r = -1;

  *error = NULL;
  if (check_change (c, change, error) == -1)
    return -1;
  pthread_mutex_lock (&c->lock);
  if (!find (c, path, &index, &rule) || path[0] != '/')
    r = refuse_unknown (c, path, error);
  else if (!rule && !(rule = cgroup_rules_add (&c->rules, path)))
    r = refuse (error, errno,
                errno == ENOSPC ? "there are too many cgroups with a policy of "
                                  "their own already: give it to one above them"
                                : "out of memory");
  else {
    if (change->prio > 0)
      rule->prio = (int) change->prio;
    if (change->writeback_prio >= 0)
      rule->writeback_prio = (int) change->writeback_prio;
    if (change->writeback_size >= 0)
      rule->writeback_size = (int) change->writeback_size;
    if (change->limit >= 0)
      rule->limit = (uint64_t) change->limit;
    cgroup_nodes_apply_all (c);
    r = 0;
  }
  pthread_mutex_unlock (&c->lock);
  return r;
}

int
cgroups_below (struct cgroups *c, const char *path,
               struct store_cgroup_set *set, char **error)
{
  struct cgroup_rule *rule;
  uint32_t index, high;
  int r = 0;

  *error = NULL;
  *set = (struct store_cgroup_set){ .bits = { 0 } };
  pthread_mutex_lock (&c->lock);
  if (!find (c, path, &index, &rule))
    r = refuse_unknown (c, path, error);
  high = cgroup_nodes_high (c);
  for (uint32_t i = 0; r == 0 && i < high; ++i) {
    const struct cgroup_node *node = &c->nodes[i];
    const char *whose
        = node->state == CGROUP_GONE ? c->nodes[node->heir].path : node->path;

    if (i == index
        || (path[0] == '/' && cgroup_path_below (whose ? whose : "/", path)))
      store_cgroup_set_add (set, i);
  }
  pthread_mutex_unlock (&c->lock);
  return r;
}

/* The last name of PATH if it is right below FOLDER, or NULL. */
static const char *
name_below (const char *path, const char *folder)
{
  size_t length = strcmp (folder, "/") == 0 ? 0 : strlen (folder);

  if (!path || strncmp (path, folder, length) != 0 || path[length] != '/'
      || path[length + 1] == '\0' || strchr (path + length + 1, '/'))
    return NULL;
  return path + length + 1;
}

/* The names below PATH, one after the other, each with its NUL. */
static int
write_names (struct cgroups *c, const char *path, FILE *names)
{
  uint32_t high = cgroup_nodes_high (c);
  const char *name;

  for (uint32_t i = 1; i < high; ++i)
    if (c->nodes[i].state == CGROUP_PRESENT
        && (name = name_below (c->nodes[i].path, path)))
      fwrite (name, 1, strlen (name) + 1, names);
  for (unsigned i = 0; i < c->rules.count; ++i)
    if ((name = name_below (c->rules.list[i].path, path))
        && cgroup_nodes_find (c, c->rules.list[i].path) == CGROUP_NONE)
      fwrite (name, 1, strlen (name) + 1, names);
  return ferror (names) ? -1 : 0;
}

int
cgroups_children (struct cgroups *c, const char *path,
                  int (*callback) (void *opaque, const char *name),
                  void *opaque)
{
  struct cgroup_rule *rule;
  char *text = NULL;
  size_t length = 0;
  FILE *names = open_memstream (&text, &length);
  uint32_t index;
  int r = 0;

  if (!names)
    return -1;
  pthread_mutex_lock (&c->lock);
  if (!find (c, path, &index, &rule)) {
    errno = ENOENT;
    r = -1;
  }
  else
    r = write_names (c, path, names);
  pthread_mutex_unlock (&c->lock);
  if (fclose (names) != 0)
    r = -1;
  for (const char *name = text; r == 0 && name < text + length;
       name += strlen (name) + 1)
    r = callback (opaque, name);
  free (text);
  return r;
}
