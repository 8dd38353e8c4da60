/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config-memory.h"
#include "policy/config.h"

/* Is WORD one of the words of LIST, which commas separate? */
static bool
has_word (const char *list, const char *word)
{
  size_t length = strlen (word);

  for (const char *p = list; p != NULL; p = strchr (p, ',')) {
    if (*p == ',')
      p++;
    if (strncmp (p, word, length) == 0
        && (p[length] == ',' || p[length] == '\0'))
      return true;
  }
  return false;
}

/* The cgroup of this process in the hierarchy of the memory controller (v1),
 * or in the unified one (v2).
 */
static bool
own_cgroup (const char *root, bool unified, char path[PATH_MAX])
{
  char name[PATH_MAX], *line = NULL;
  size_t size = 0;
  bool found = false;
  FILE *file;

  snprintf (name, sizeof name, "%s/proc/self/cgroup", root);
  file = fopen (name, "re");
  if (file == NULL)
    return false;
  /* A line is number:controllers:path; the unified one has no controllers. */
  while (!found && getline (&line, &size, file) > 0) {
    char *controllers = strchr (line, ':');
    char *where = controllers ? strchr (controllers + 1, ':') : NULL;

    if (where == NULL)
      continue;
    *controllers++ = *where++ = '\0';
    where[strcspn (where, "\n")] = '\0';
    if (unified ? *controllers == '\0' : has_word (controllers, "memory")) {
      snprintf (path, PATH_MAX, "%s", where);
      found = true;
    }
  }
  free (line);
  fclose (file);
  return found;
}

/* The limit of one cgroup.  None is "max" in v2, which is no number, and a
 * huge one in v1.
 */
static uint64_t
limit_of_cgroup (const char *folder, bool unified, uint64_t limit)
{
  uint64_t bytes;
  FILE *file;
  char *path;

  if (asprintf (&path, "%s/%s", folder,
                unified ? "memory.max" : "memory.limit_in_bytes")
      == -1)
    return limit;
  file = fopen (path, "re");
  free (path);
  if (file == NULL)
    return limit;
  if (fscanf (file, "%" SCNu64, &bytes) == 1 && bytes < limit)
    limit = bytes;
  fclose (file);
  return limit;
}

/* A limit of any ancestor counts, up to where the hierarchy is mounted. */
static uint64_t
limit_of_ancestors (const char *point, const char *cgroup, bool unified,
                    uint64_t limit)
{
  char *folder, *slash;

  if (asprintf (&folder, "%s%s", point, cgroup) == -1)
    return limit;
  do {
    limit = limit_of_cgroup (folder, unified, limit);
    slash = strrchr (folder, '/');
    if (slash != NULL)
      *slash = '\0';
  } while (slash != NULL && slash >= folder + strlen (point));
  free (folder);
  return limit;
}

/* One line of mountinfo. */
static uint64_t
limit_of_mount (const char *root, const char *line, uint64_t limit)
{
  char mounted[PATH_MAX], point[PATH_MAX], type[16], options[256];
  char cgroup[PATH_MAX];
  const char *rest = strstr (line, " - ");
  bool unified;
  size_t hidden;
  char *path;

  if (rest == NULL
      || sscanf (line, "%*s %*s %*s %4095s %4095s", mounted, point) != 2
      || sscanf (rest, " - %15s %*s %255s", type, options) != 2)
    return limit;
  unified = strcmp (type, "cgroup2") == 0;
  if (!unified
      && (strcmp (type, "cgroup") != 0 || !has_word (options, "memory")))
    return limit;
  if (!own_cgroup (root, unified, cgroup))
    return limit;

  /* In a container the mount may show only a part of the hierarchy. */
  hidden = strcmp (mounted, "/") == 0 ? 0 : strlen (mounted);
  if (strncmp (cgroup, mounted, hidden) != 0
      || (cgroup[hidden] != '/' && cgroup[hidden] != '\0'))
    cgroup[hidden = 0] = '\0';

  if (asprintf (&path, "%s%s", root, point) == -1)
    return limit;
  limit = limit_of_ancestors (path, cgroup + hidden, unified, limit);
  free (path);
  return limit;
}

uint64_t
config_memory_limit (const char *root, uint64_t memory)
{
  char name[PATH_MAX], *line = NULL;
  size_t size = 0;
  FILE *file;

  snprintf (name, sizeof name, "%s/proc/self/mountinfo", root);
  file = fopen (name, "re");
  if (file == NULL)
    return memory;
  while (getline (&line, &size, file) > 0)
    memory = limit_of_mount (root, line, memory);
  free (line);
  fclose (file);
  return memory;
}

uint64_t
config_machine_memory (void)
{
  int saved_errno = errno;
  uint64_t memory
      = (uint64_t) sysconf (_SC_PHYS_PAGES) * (uint64_t) sysconf (_SC_PAGESIZE);

  memory = config_memory_limit ("", memory);
  errno = saved_errno;
  return memory;
}
