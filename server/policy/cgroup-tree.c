/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/message.h"
#include "policy/cgroup-tree.h"

#define WATCHED (IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR | IN_DONT_FOLLOW)

/* A folder that is watched. */
struct watch {
  int number;
  char *path;
};

struct cgroup_tree {
  char *root;
  struct cgroup_tree_events events;
  int inotify;
  struct watch *watches; /* by number */
  unsigned count, room;
  bool blind;
};

char *
cgroup_tree_find (void)
{
  FILE *mounts = setmntent ("/proc/self/mounts", "re");
  struct mntent *entry;
  char *root = NULL;

  if (!mounts)
    return NULL;
  while (!root && (entry = getmntent (mounts)))
    if (strcmp (entry->mnt_type, "cgroup2") == 0)
      root = strdup (entry->mnt_dir);
  endmntent (mounts);
  if (!root)
    errno = ENOENT;
  return root;
}

struct cgroup_tree *
cgroup_tree_open (const char *root, const struct cgroup_tree_events *events)
{
  struct cgroup_tree *tree = calloc (1, sizeof *tree);

  if (!tree)
    return NULL;
  tree->events = *events;
  tree->root = strdup (root);
  tree->inotify = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
  tree->blind = tree->inotify == -1;
  if (!tree->root) {
    cgroup_tree_close (tree);
    errno = ENOMEM;
    return NULL;
  }
  return tree;
}

void
cgroup_tree_close (struct cgroup_tree *tree)
{
  if (!tree)
    return;
  if (tree->inotify != -1)
    close (tree->inotify);
  for (unsigned i = 0; i < tree->count; ++i)
    free (tree->watches[i].path);
  free (tree->watches);
  free (tree->root);
  free (tree);
}

uint64_t
cgroup_tree_root_id (const struct cgroup_tree *tree)
{
  struct stat status;

  return stat (tree->root, &status) == 0 ? status.st_ino : 0;
}

int
cgroup_tree_fd (const struct cgroup_tree *tree)
{
  return tree->inotify;
}

bool
cgroup_tree_blind (const struct cgroup_tree *tree)
{
  return tree->blind;
}

/* Where the watch of this number is, or would be. */
static unsigned
position (const struct cgroup_tree *tree, int number)
{
  unsigned low = 0, high = tree->count;

  while (low < high) {
    unsigned middle = (low + high) / 2;

    if (tree->watches[middle].number < number)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static struct watch *
find (const struct cgroup_tree *tree, int number)
{
  unsigned i = position (tree, number);

  return i < tree->count && tree->watches[i].number == number
             ? &tree->watches[i]
             : NULL;
}

static void
forget (struct cgroup_tree *tree, struct watch *watch)
{
  unsigned i = (unsigned) (watch - tree->watches);

  free (watch->path);
  tree->count--;
  memmove (watch, watch + 1, (tree->count - i) * sizeof *watch);
}

/* Folder PATH has the watch of this NUMBER from now on. */
static int
remember (struct cgroup_tree *tree, int number, const char *path)
{
  struct watch *watch = find (tree, number), *watches;
  char *copy;
  unsigned i;

  if (watch && strcmp (watch->path, path) == 0)
    return 0;
  copy = strdup (path);
  if (!copy)
    return -1;
  if (watch) {
    free (watch->path);
    watch->path = copy;
    return 0;
  }
  if (tree->count == tree->room) {
    watches = realloc (tree->watches,
                       (2 * tree->room + 64) * sizeof *tree->watches);
    if (!watches) {
      free (copy);
      return -1;
    }
    tree->watches = watches;
    tree->room = 2 * tree->room + 64;
  }
  i = position (tree, number);
  memmove (&tree->watches[i + 1], &tree->watches[i],
           (tree->count - i) * sizeof *tree->watches);
  tree->watches[i] = (struct watch){ number, copy };
  tree->count++;
  return 0;
}

/* NAME below the folder PATH; to free(). */
static char *
join (const char *path, const char *name)
{
  char *joined;

  return asprintf (&joined, "%s/%s", strcmp (path, "/") == 0 ? "" : path, name)
                 == -1
             ? NULL
             : joined;
}

static void
watch_folder (struct cgroup_tree *tree, const char *path, const char *folder)
{
  int number, saved_errno;

  if (tree->inotify == -1)
    return;
  number = inotify_add_watch (tree->inotify, folder, WATCHED);
  if (number >= 0 && remember (tree, number, path) == 0)
    return;
  saved_errno = number >= 0 ? ENOMEM : errno;
  if (saved_errno == ENOENT || saved_errno == ENOTDIR || tree->blind)
    return;
  tree->blind = true;
  message (MESSAGE_WARNING,
           "%s cannot be watched: %s; new cgroups are noticed some seconds "
           "late; fs.inotify.max_user_watches may be raised",
           folder, strerror (saved_errno));
}

static void look_at (struct cgroup_tree *tree, const char *path);

static void
look_below (struct cgroup_tree *tree, const char *path, DIR *folder)
{
  struct dirent *entry;

  while ((entry = readdir (folder))) {
    char *below;

    if (entry->d_name[0] == '.'
        && (entry->d_name[1] == '\0' || strcmp (entry->d_name, "..") == 0))
      continue;
    if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
      continue;
    below = join (path, entry->d_name);
    if (below)
      look_at (tree, below);
    free (below);
  }
}

/* Tell of the folder PATH, if it is one, and of all below it.  It is watched
 * before it is read, so that nothing comes about unseen.
 */
static void
look_at (struct cgroup_tree *tree, const char *path)
{
  char *name = join (tree->root, path + 1);
  struct stat status;
  DIR *folder = NULL;
  int fd;

  if (!name)
    return;
  fd = open (name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd != -1) {
    watch_folder (tree, path, name);
    folder = fdopendir (fd);
    if (!folder)
      close (fd);
  }
  free (name);
  if (!folder)
    return;
  if (fstat (fd, &status) == 0) {
    tree->events.appeared (tree->events.opaque, path, status.st_ino);
    look_below (tree, path, folder);
  }
  closedir (folder);
}

void
cgroup_tree_scan (struct cgroup_tree *tree)
{
  look_at (tree, "/");
}

/* Something happened to NAME in a folder: see what there is now. */
static void
look_again (struct cgroup_tree *tree, const char *folder, const char *name)
{
  char *path = join (folder, name), *file = NULL;
  struct stat status;

  if (path)
    file = join (tree->root, path + 1);
  if (file && lstat (file, &status) == 0 && S_ISDIR (status.st_mode))
    look_at (tree, path);
  else if (path)
    tree->events.vanished (tree->events.opaque, path);
  free (file);
  free (path);
}

/* False: what it means for others is not known. */
static bool
handle (struct cgroup_tree *tree, const struct inotify_event *event)
{
  struct watch *watch;

  if (event->mask & IN_Q_OVERFLOW)
    return false;
  watch = find (tree, event->wd);
  if (!watch)
    return true;
  if (event->mask & IN_IGNORED) {
    forget (tree, watch);
    return true;
  }
  if (!(event->mask & IN_ISDIR) || event->len == 0)
    return true;
  /* The paths of all below it are others then. */
  if (event->mask & IN_MOVE)
    return false;
  look_again (tree, watch->path, event->name);
  return true;
}

bool
cgroup_tree_read (struct cgroup_tree *tree)
{
  char buffer[16384] __attribute__ ((aligned (8)));
  bool all = true;
  ssize_t length;

  if (tree->inotify == -1)
    return true;
  while ((length = read (tree->inotify, buffer, sizeof buffer)) > 0)
    for (char *at = buffer; at < buffer + length;) {
      const struct inotify_event *event = (const struct inotify_event *) at;

      all &= handle (tree, event);
      at += sizeof *event + event->len;
    }
  return all;
}
