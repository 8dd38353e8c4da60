/* SPDX-License-Identifier: BSD-3-Clause */
/* What changes while a device is used: backings grow, shrink, come and go with
 * the configuration, and cgroups appear and vanish.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scenario.h"
#include "store/codec.h"
#include "tierswap.h"
#include "tierswap_ioctl.h"
#include "workload.h"

static struct tierswap *device;

static void
keep (struct tierswap *made)
{
  device = made;
}

/* ---- the configuration ---- */

/* TEXT has folders as %s. */
static void
write_text (const char *name, const char *one_size, const char *more)
{
  char path[128];
  FILE *file = fopen (in_folder (name, path), "w");

  if (!file)
    abort ();
  fprintf (file,
           "size = \"16M\"\npool { limit = \"8M\" }\n"
           "tier \"fast\" { prio = 1  codec = \"lz4hc\"  limit = \"4M\" }\n"
           "tier \"dense\" { prio = 2  codec = \"zstd\" }\n"
           "backing \"one\" { prio = 1  path = \"%s/one\"  size = \"%s\" }\n",
           folder, one_size);
  fprintf (file, "%s", more);
  fclose (file);
}

static void
change (void)
{
  write_pages (0, PAGES);
  command (false, "writeback", NULL, NULL, NULL);
  swap_conf ("conf-larger");
  command (false, "reload", NULL, NULL, NULL);
  check_pages ();
  swap_conf ("conf-cannot");
  command (true, "reload", NULL, NULL, NULL);
  swap_conf ("conf-smaller");
  command (false, "reload", NULL, NULL, NULL);
  check_pages ();
  command (false, "drain", "one", "--no-wait", NULL);
  command (true, "drain", "nothing", NULL, NULL);
  command (true, "cgroup", NULL, NULL, NULL);
  check_pages ();
}

/* One of the embedded configuration is made, and never started. */
static void
make_default (struct tierswap *made)
{
  struct tierswap *other;

  keep (made);
  if (tierswap_create (NULL, "16M", &other) == -1)
    refused ("default");
  else
    tierswap_free (other);
}

static void
changes (void)
{
  with_device (make_default, change);
}

static void
prepare_changes (void)
{
  char cannot[400];

  snprintf (
      cannot, sizeof cannot,
      "backing \"two\" { prio = 2  path = \"%s/two\"  size = \"4M\" }\n"
      "backing \"three\" { prio = 3  path = \"%s/no/\377\"  size = \"4M\" "
      "}\n",
      folder, folder);
  write_text ("conf-larger", "1G", "");
  write_text ("conf-cannot", "1G", cannot);
  write_text ("conf-smaller", "4M", "");
  write_text ("conf", "4M", "");
}

/* ---- cgroups ---- */

static char hierarchy[128];

static const char *const cgroups[] = { "a", "a/b", "c", "a/new" };
#define CGROUPS 4
#define AT_FIRST 3
#define RENAMED "d"

static const char *
cgroup_path (unsigned i, char path[192])
{
  snprintf (path, 192, "%s/%s", hierarchy, cgroups[i]);
  return path;
}

static void
make_cgroup (unsigned i)
{
  char path[192];

  if (mkdir (cgroup_path (i, path), 0700) == -1)
    abort ();
}

static void
use_cgroups_there (struct tierswap *made)
{
  device = made;
  if (tierswap_set_cgroups (made, hierarchy) == -1)
    refused ("cgroups");
}

/* 16 pages at a time of another cgroup. */
static void
write_tagged (void)
{
  for (unsigned first = 0; first < PAGES; first += REQUEST) {
    struct tierswap_tag tag = { .offset = (uint64_t) first * PAGE_BYTES,
                                .length = REQUEST * PAGE_BYTES };
    struct stat st;
    char path[192];

    if (stat (cgroup_path (first / REQUEST % CGROUPS, path), &st) == 0) {
      tag.cgroup = st.st_ino;
      if (tierswap_tag (device, &tag, 1) == -1)
        failed (&result->requests, "tag");
    }
    write_pages (first, REQUEST);
  }
}

static void
look_at_cgroups (void)
{
  char *text = tierswap_stats (device, "stats");

  if (!text)
    failed (&result->requests, "statistics");
  free (text);
}

/* Its watch goes on, under another name. */
static void
rename_cgroup (void)
{
  char from[192], to[192];

  snprintf (to, sizeof to, "%s/%s", hierarchy, RENAMED);
  if (rename (cgroup_path (2, from), to) == -1)
    bad ("a cgroup cannot be renamed");
}

static void
use_cgroups (void)
{
  char path[192];

  write_tagged ();
  look_at_cgroups ();
  make_cgroup (3);
  command (false, "cgroup", "/a", "prio=2", NULL);
  write_tagged ();
  command (false, "cgroup", "/a/b", NULL, NULL);
  command (true, "cgroup", "/later", "writeback_prio=0", NULL);
  look_at_cgroups ();
  command (false, "writeback", "cgroup=/a", NULL, NULL);
  rmdir (cgroup_path (3, path));
  rmdir (cgroup_path (1, path));
  rename_cgroup ();
  command (false, "check", NULL, NULL, NULL);
  look_at_cgroups ();
  check_pages ();
}

static void
follow_cgroups (void)
{
  with_device (use_cgroups_there, use_cgroups);
}

static void
remove_cgroups (void)
{
  char path[192];

  for (unsigned i = CGROUPS; i-- > 0;)
    rmdir (cgroup_path (i, path));
  snprintf (path, sizeof path, "%s/%s", hierarchy, RENAMED);
  rmdir (path);
  rmdir (hierarchy);
}

static void
prepare_cgroups (void)
{
  in_folder ("cgroup", hierarchy);
  remove_cgroups ();
  if (mkdir (hierarchy, 0700) == -1)
    abort ();
  for (unsigned i = 0; i < AT_FIRST; ++i)
    make_cgroup (i);
  write_text ("conf", "4M",
              "cgroup \"/\" { prio = 1 }\n"
              "cgroup \"/a\" { prio = 1  limit = \"2M\" }\n"
              "cgroup \"/gone\" { prio = 2 }\n");
}

const struct scenario device_changes = {
  .name = "changes",
  .phases = { { changes, true, false } },
  .prepare = prepare_changes,
};
const struct scenario device_cgroups = {
  .name = "cgroups",
  .phases = { { follow_cgroups, true, false } },
  .prepare = prepare_cgroups,
  .clean_up = remove_cgroups,
};
