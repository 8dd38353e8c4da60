/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "backing/backing.h"
#include "policy/config-cgroup.h"
#include "policy/config-value.h"

#define INHERITED UINT_MAX /* in place of a number that is not given */

/* A path is written in one way only, so that two that differ are two
 * cgroups.
 */
static int
check_path (const cfg_t *section, struct config_report *report)
{
  const char *path = section->title;
  size_t length = strlen (path);
  struct config_excerpt excerpt = config_excerpt (path);

  if (path[0] != '/')
    return config_refuse (report, section->line,
                          "the path of cgroup \"%s\" does not begin with /; "
                          "write it from the root of the cgroups on, "
                          "such as \"/db\"",
                          excerpt.text);
  if (length >= PATH_MAX)
    return config_refuse (report, section->line,
                          "the path of cgroup \"%s\" is too long; "
                          "at most %d bytes are allowed",
                          excerpt.text, PATH_MAX - 1);
  if (length > 1 && path[length - 1] == '/')
    return config_refuse (report, section->line,
                          "the path of cgroup \"%s\" ends with /; leave that "
                          "out",
                          excerpt.text);
  for (const char *name = path + 1; *name != '\0';) {
    size_t end = strcspn (name, "/");

    if (end == 0 || strncmp (name, ".", end) == 0
        || strncmp (name, "..", end) == 0)
      return config_refuse (report, section->line,
                            "the path of cgroup \"%s\" has an empty name, \".\""
                            " or \"..\" in it; write it without",
                            excerpt.text);
    name += end;
    if (*name == '/')
      name++;
  }
  return 0;
}

static int
check_cgroup (cfg_t *section, uint64_t memory, const struct config *config,
              struct config_cgroup *cgroup, struct config_report *report)
{
  struct config_size_rule rule = {
    .memory = memory,
    .least = EXTENT_BYTES, /* a segment */
    .most = config->pool_limit,
    .most_is = "the limit of the pool",
    .remedy = "leave it out for no limit but that of the pool",
    .whole_pages = true,
  };

  cgroup->line = section->line;
  cgroup->path = strdup (section->title);
  if (cgroup->path == NULL)
    return config_refuse_memory (report);
  if (check_path (section, report) == -1)
    return -1;
  cgroup->prio = cgroup->writeback_prio = cgroup->writeback_size = INHERITED;
  if (config_value_number (section, "prio", 1, 4, &cgroup->prio, report) == -1
      || config_value_number (section, "writeback_prio", 0, 4,
                              &cgroup->writeback_prio, report)
             == -1
      || config_value_number (section, "writeback_size", 0, PAGE_BYTES,
                              &cgroup->writeback_size, report)
             == -1)
    return -1;
  cgroup->prio_given = cgroup->prio != INHERITED;
  cgroup->writeback_prio_given = cgroup->writeback_prio != INHERITED;
  cgroup->writeback_size_given = cgroup->writeback_size != INHERITED;
  return config_value_size (section, "limit", &rule, &cgroup->limit, report);
}

static void
inherit (struct config_cgroup *cgroup, const struct config_cgroup *from)
{
  if (cgroup->prio == INHERITED)
    cgroup->prio = from->prio;
  if (cgroup->writeback_prio == INHERITED)
    cgroup->writeback_prio = from->writeback_prio;
  if (cgroup->writeback_size == INHERITED)
    cgroup->writeback_size = from->writeback_size;
}

static bool
is_ancestor (const struct config_cgroup *cgroup,
             const struct config_cgroup *other)
{
  size_t length = strlen (cgroup->path);

  return length == 1
         || (strncmp (cgroup->path, other->path, length) == 0
             && other->path[length] == '/');
}

static int
compare_paths (const void *a, const void *b)
{
  const struct config_cgroup *cgroup = a, *other = b;

  return strcmp (cgroup->path, other->path);
}

int
config_check_cgroups (cfg_t *file, uint64_t memory, struct config *config,
                      struct config_report *report)
{
  unsigned count = cfg_size (file, "cgroup");
  struct config_cgroup root = {
    .prio = config->tiers[0].prio,
    .writeback_prio = config->backings_count > 0 ? config->backings[0].prio : 0,
  };

  if (count > CONFIG_CGROUPS)
    return config_refuse (report,
                          cfg_getnsec (file, "cgroup", CONFIG_CGROUPS)->line,
                          "this is one cgroup too many; at most %d are "
                          "allowed",
                          CONFIG_CGROUPS);
  config->cgroups = calloc (count + 1, sizeof config->cgroups[0]);
  if (config->cgroups == NULL)
    return config_refuse_memory (report);
  for (unsigned i = 0; i < count; i++)
    if (check_cgroup (cfg_getnsec (file, "cgroup", i), memory, config,
                      &config->cgroups[config->cgroups_count++], report)
        == -1)
      return -1;
  if (cfg_gettsec (file, "cgroup", "/") == NULL) {
    root.path = strdup ("/");
    if (root.path == NULL)
      return config_refuse_memory (report);
    config->cgroups[config->cgroups_count++] = root;
  }

  /* In the order of paths "/" is first and a path is behind its ancestors, of
   * which the nearest is the last.
   */
  qsort (config->cgroups, config->cgroups_count, sizeof config->cgroups[0],
         compare_paths);
  inherit (&config->cgroups[0], &root);
  for (unsigned i = 1; i < config->cgroups_count; i++) {
    unsigned ancestor = i - 1;

    while (!is_ancestor (&config->cgroups[ancestor], &config->cgroups[i]))
      ancestor--;
    inherit (&config->cgroups[i], &config->cgroups[ancestor]);
  }
  return 0;
}
