/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/message.h"
#include "common/refuse.h"
#include "control/fuse-mount.h"
#include "policy/change.h"

#define FUSE_MAGIC 0x65735546 /* of statfs */

extern char **environ;

/* Without privileges the program of libfuse's package does it.  OPTION: "-u",
 * or "-uz" for one that is in use.
 */
static int
unmount_by_program (const char *directory, const char *option)
{
  char *arguments[] = { "fusermount3",
                        "-q",
                        (char *) (uintptr_t) option,
                        "--",
                        (char *) (uintptr_t) directory,
                        NULL };
  int status;
  pid_t pid;

  if (posix_spawnp (&pid, arguments[0], NULL, NULL, arguments, environ) != 0
      || waitpid (pid, &status, 0) != pid || status != 0) {
    errno = EBUSY;
    return -1;
  }
  return 0;
}

int
mount_end (const char *directory)
{
  if (umount2 (directory, UMOUNT_NOFOLLOW) == 0 || errno == EINVAL
      || errno == ENOENT)
    return 0;
  if (errno == EPERM)
    return unmount_by_program (directory, "-u");
  return -1;
}

void
mount_end_by_force (const char *directory)
{
  /* Forced: requests that wait for an answer end now. */
  if (umount2 (directory, UMOUNT_NOFOLLOW | MNT_FORCE | MNT_DETACH) == -1
      && errno == EPERM)
    (void) unmount_by_program (directory, "-uz");
}

static int
refused (const char *directory, const char *why, int code, char **error)
{
  return refuse (error, code, "the FUSE tree cannot be at %s: %s", directory,
                 why);
}

/* A dead server's tree answers everything with ENOTCONN. */
static int
end_stale (const char *directory, char **error)
{
  struct stat status;

  if (stat (directory, &status) == 0 || errno != ENOTCONN)
    return 0;
  mount_end_by_force (directory);
  if (stat (directory, &status) == -1 && errno == ENOTCONN)
    return refuse (error, EBUSY,
                   "the FUSE tree of a server that is dead is still at "
                   "%s and cannot be unmounted: %s; umount -l %s",
                   directory, strerror (errno), directory);
  message (MESSAGE_NOTICE,
           "the FUSE tree of a server that is dead was still at %s; it is "
           "unmounted now",
           directory);
  return 0;
}

/* 1 or 0; -1 with errno. */
static int
is_empty (DIR *folder)
{
  const struct dirent *entry;

  errno = 0;
  while ((entry = readdir (folder)))
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      return 0;
  return errno ? -1 : 1;
}

int
mount_check (const char *directory, char **error)
{
  struct statfs system;
  DIR *folder;
  int empty, code;

  *error = NULL;
  if (directory[0] != '/')
    return refused (directory, "it is not an absolute path", EINVAL, error);
  if (end_stale (directory, error) == -1)
    return -1;
  folder = opendir (directory);
  if (!folder) {
    code = errno;
    return refuse (error, code, "the FUSE tree cannot be at %s: %s%s",
                   directory, strerror (code),
                   code == ENOENT ? "; make this folder first" : "");
  }
  empty = is_empty (folder);
  code = errno;
  closedir (folder);
  if (empty == -1)
    return refuse (error, code, "the FUSE tree cannot be at %s: %s", directory,
                   strerror (code));
  if (empty)
    return 0;
  if (statfs (directory, &system) == 0 && system.f_type == FUSE_MAGIC)
    return refused (directory,
                    "another FUSE file system, which is alive, is mounted "
                    "there; give another folder, or end the other server",
                    EBUSY, error);
  return refused (directory, "the folder is not empty; give an empty one",
                  ENOTEMPTY, error);
}

static bool
is_swapped_on (const char *device)
{
  FILE *swaps = fopen ("/proc/swaps", "re");
  char line[512];
  size_t length = strlen (device);
  bool found = false;

  while (swaps && !found && fgets (line, sizeof line, swaps))
    found = strncmp (line, device, length) == 0 && line[length] == ' ';
  if (swaps)
    fclose (swaps);
  return found;
}

/* The loop device of /sys/block/NAME/loop/backing_file if DISK is in there. */
static bool
uses (const char *path, const char *disk, char device[64])
{
  FILE *file = fopen (path, "re");
  char line[4200] = "";

  if (!file)
    return false;
  (void) !fgets (line, sizeof line, file);
  fclose (file);
  line[strcspn (line, "\n")] = '\0';
  return strcmp (line, disk) == 0
         && sscanf (path, "/sys/block/%50[^/]", device) == 1;
}

char *
mount_disk_users (const char *directory)
{
  char *disk = NULL, *text = NULL;
  size_t length;
  FILE *stream = open_memstream (&text, &length);
  glob_t found;

  if (!stream)
    return NULL;
  if (asprintf (&disk, "%s/disk", directory) == -1)
    disk = NULL;
  if (disk
      && glob ("/sys/block/loop*/loop/backing_file", 0, NULL, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      char name[64], device[80];

      if (!uses (found.gl_pathv[i], disk, name))
        continue;
      snprintf (device, sizeof device, "/dev/%s", name);
      if (is_swapped_on (device))
        fprintf (stream, "swapoff %s; ", device);
      fprintf (stream, "losetup -d %s; ", device);
    }
    globfree (&found);
  }
  free (disk);
  if (fclose (stream) == EOF || length < 2) {
    free (text);
    return NULL;
  }
  text[length - 2] = '\0';
  return text;
}
