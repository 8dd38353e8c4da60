/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attach/disk.h"

/* The N of "nbdN", -1: it is something else. */
static int
index_of (const char *name)
{
  int index, length = 0;

  if (sscanf (name, "nbd%6d%n", &index, &length) != 1 || length == 0
      || name[length] != '\0' || index < 0)
    return -1;
  return index;
}

static int
no_such_disk (const char *path, struct why *why)
{
  if (access ("/sys/module/nbd", F_OK) == -1
      && access ("/sys/block/nbd0", F_OK) == -1)
    return why_set (why, ENODEV,
                    "%s is not there, because the kernel's nbd driver is not "
                    "loaded: modprobe nbd",
                    path);
  return why_set (why, ENOENT,
                  "%s is not there: ls /dev/nbd* shows those that are", path);
}

int
disk_find (struct disk *disk, const char *path, struct why *why)
{
  char link[64], target[512];
  struct stat status;
  ssize_t length;
  int index = -1;

  if (stat (path, &status) == -1) {
    if (errno == ENOENT)
      return no_such_disk (path, why);
    return why_set (why, errno, "%s: %s", path, strerror (errno));
  }
  if (!S_ISBLK (status.st_mode))
    return why_set (why, ENOTBLK,
                    "%s is not a block device: name one such as /dev/nbd0",
                    path);
  snprintf (link, sizeof link, "/sys/dev/block/%u:%u", major (status.st_rdev),
            minor (status.st_rdev));
  length = readlink (link, target, sizeof target - 1);
  if (length > 0) {
    const char *name;

    target[length] = '\0';
    name = strrchr (target, '/');
    index = index_of (name ? name + 1 : target);
  }
  else if (major (status.st_rdev) == 43)
    return no_such_disk (path, why); /* a node that has no driver */
  if (index == -1)
    return why_set (why, EINVAL,
                    "%s is not a whole disk of the nbd driver: name one such "
                    "as /dev/nbd0",
                    path);
  *disk = (struct disk){ .path = path,
                         .index = (unsigned) index,
                         .number = status.st_rdev };
  return 0;
}

/* The first line of a file of sysfs.  It is read without stdio, which would
 * allocate.
 */
static bool
read_line (const char *path, char *text, size_t room)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t length;
  int saved_errno;

  text[0] = '\0';
  if (fd == -1)
    return false;
  length = read (fd, text, room - 1);
  saved_errno = errno;
  close (fd);
  errno = saved_errno;
  text[length > 0 ? length : 0] = '\0';
  text[strcspn (text, "\n")] = '\0';
  return length >= 0;
}

/* The kernel has no such file: what it would tell is not so. */
static bool
is_not_there (void)
{
  return errno == ENOENT || errno == ENODEV;
}

long
disk_owner (const struct disk *disk)
{
  char path[64], text[32];
  long owner;

  snprintf (path, sizeof path, "/sys/block/nbd%u/pid", disk->index);
  if (!read_line (path, text, sizeof text) && is_not_there ())
    return 0;
  owner = strtol (text, NULL, 10);
  return owner > 0 ? owner : 1; /* one of another namespace has no number */
}

int
disk_size (const struct disk *disk, uint64_t *bytes, struct why *why)
{
  char path[64], text[32];

  snprintf (path, sizeof path, "/sys/block/nbd%u/size", disk->index);
  if (!read_line (path, text, sizeof text))
    return why_set (why, errno, "%s: %s", path, strerror (errno));
  *bytes = strtoull (text, NULL, 10) * 512;
  return 0;
}

long
disk_timeout (const struct disk *disk)
{
  char path[64], text[32];

  snprintf (path, sizeof path, "/sys/block/nbd%u/queue/io_timeout",
            disk->index);
  return read_line (path, text, sizeof text) ? strtol (text, NULL, 10) / 1000
                                             : 0;
}

int
disk_backend (unsigned index, char text[DISK_BACKEND_ROOM], struct why *why)
{
  char path[64];

  snprintf (path, sizeof path, "/sys/block/nbd%u/backend", index);
  if (read_line (path, text, DISK_BACKEND_ROOM) || is_not_there ())
    return 0;
  return why_set (why, errno, "%s: %s", path, strerror (errno));
}

int
disk_of_backend (const struct disk *disk, const char *backend, struct why *why)
{
  char other[DISK_BACKEND_ROOM];
  const struct dirent *entry;
  DIR *directory = opendir ("/sys/block");
  int found = -1, saved_errno;

  if (!directory) {
    why_set (why, errno, "/sys/block: %s", strerror (errno));
    return -2;
  }
  for (errno = 0; found == -1 && (entry = readdir (directory)); errno = 0) {
    int index = index_of (entry->d_name);

    if (index == -1 || (unsigned) index == disk->index)
      continue;
    if (disk_backend ((unsigned) index, other, why) == -1)
      found = -2;
    else if (strcmp (other, backend) == 0)
      found = index;
  }
  if (found == -1 && errno != 0) {
    why_set (why, errno, "/sys/block: %s", strerror (errno));
    found = -2;
  }
  saved_errno = errno;
  closedir (directory);
  errno = saved_errno;
  return found;
}

int
disk_is_claimed (const struct disk *disk, struct why *why)
{
  int fd = open (disk->path, O_RDONLY | O_EXCL | O_CLOEXEC);

  if (fd != -1) {
    close (fd);
    return 0;
  }
  if (errno == EBUSY)
    return 1;
  if (is_not_there () || errno == ENXIO)
    return 0;
  return why_set (why, errno, "%s: %s", disk->path, strerror (errno));
}
