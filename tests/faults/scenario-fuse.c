/* SPDX-License-Identifier: BSD-3-Clause */
/* The FUSE tree: it is mounted, another process lists it, reads and writes its
 * attributes and its disk, and it is unmounted while that has the disk open.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenario.h"
#include "store/codec.h"
#include "tierswap.h"
#include "tierswap_ioctl.h"
#include "workload.h"

#define CLIENT_HANG 90 /* seconds */

/* A moment, in which the server finds the disk in use. */
#define HOLD_ON 60000 /* microseconds */

static char directory[128];

/* Shared by the server and its client. */
static struct {
  _Atomic bool begin, ends;
  _Atomic bool done; /* the client has nothing more to do but to close */
} * shared;

static int disk = -1;

static const char *
in_tree (const char *name, char path[256])
{
  snprintf (path, 256, "%s/%s", directory, name);
  return path;
}

/* ---- the client ---- */

static int
send_to_disk (enum request kind, unsigned first, unsigned count, void *buffer)
{
  off_t offset = (off_t) first * PAGE_BYTES;
  size_t bytes = (size_t) count * PAGE_BYTES;
  ssize_t n;

  switch (kind) {
  case READ:
    n = pread (disk, buffer, bytes, offset);
    break;
  case PATCH:
    bytes = 8;
    n = pwrite (disk, buffer, bytes, offset);
    break;
  case WRITE:
    n = pwrite (disk, buffer, bytes, offset);
    break;
  default:
    return fallocate (
        disk,
        FALLOC_FL_KEEP_SIZE
            | (kind == TRIM ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
        offset, (off_t) bytes);
  }
  if (n >= 0 && (size_t) n != bytes)
    errno = EIO;
  return n >= 0 && (size_t) n == bytes ? 0 : -1;
}

static int
list (const char *path, const char *ignored)
{
  DIR *directory_there = opendir (path);
  unsigned count = 0;

  (void) ignored;
  if (!directory_there)
    return -1;
  errno = 0;
  while (readdir (directory_there))
    ++count;
  closedir (directory_there);
  if (errno)
    return -1;
  return count > 2 ? 0 : -1;
}

static int
read_all (const char *path, const char *ignored)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  char text[16384];
  ssize_t n, all = 0;

  (void) ignored;
  if (fd == -1)
    return -1;
  while ((n = read (fd, text, sizeof text)) > 0)
    all += n;
  close (fd);
  if (n == 0 && all == 0)
    errno = ENODATA;
  return n == -1 || all == 0 ? -1 : 0;
}

static int
write_text (const char *path, const char *text)
{
  int fd = open (path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  ssize_t n;

  if (fd == -1)
    return -1;
  n = write (fd, text, strlen (text));
  close (fd);
  return n == -1 ? -1 : 0;
}

static int
look_at (const char *path, const char *ignored)
{
  struct statvfs system;
  struct stat st;

  (void) ignored;
  return stat (path, &st) == -1 || statvfs (path, &system) == -1 ? -1 : 0;
}

static int
call_control (const char *path, const char *ignored)
{
  struct tierswap_tag tag = { .offset = 0, .length = PAGE_BYTES, .cgroup = 1 };
  uint32_t version;
  int fd = open (path, O_RDWR | O_CLOEXEC), r;

  (void) ignored;
  if (fd == -1)
    return -1;
  r = ioctl (fd, TIERSWAP_IOC_VERSION, &version);
  if (r == 0)
    r = ioctl (fd, TIERSWAP_IOC_TAG, &tag);
  close (fd);
  return r;
}

/* A tag beyond the device. */
static int
call_wrongly (const char *path, const char *ignored)
{
  struct tierswap_tag tag
      = { .offset = UINT64_C (1) << 60, .length = PAGE_BYTES, .cgroup = 1 };
  int fd = open (path, O_RDWR | O_CLOEXEC), r;

  (void) ignored;
  if (fd == -1)
    return -1;
  r = ioctl (fd, TIERSWAP_IOC_TAG, &tag);
  close (fd);
  return r;
}

static int
read_nothing (const char *path, const char *ignored)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  char byte;
  ssize_t n;

  (void) ignored;
  if (fd == -1)
    return -1;
  n = read (fd, &byte, 1);
  close (fd);
  return n == 0 ? 0 : -1;
}

/* Not only text. */
static int
write_null (const char *path, const char *ignored)
{
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  ssize_t n;

  (void) ignored;
  if (fd == -1)
    return -1;
  n = write (fd, "1\0002", 3);
  close (fd);
  return n == -1 ? -1 : 0;
}

static int
open_disk (const char *path, const char *ignored)
{
  (void) ignored;
  disk = open (path, O_RDWR | O_CLOEXEC);
  return disk == -1 ? -1 : 0;
}

static int
seek_disk (const char *ignored, const char *ignored_too)
{
  (void) ignored;
  (void) ignored_too;
  if (lseek (disk, 0, SEEK_DATA) == -1 || lseek (disk, 0, SEEK_HOLE) == -1)
    return -1;
  return lseek (disk, 1 << 23, SEEK_DATA) == -1 && errno == ENXIO ? 0 : -1;
}

/* Where there is data up to the end. */
static int
seek_end (const char *ignored, const char *ignored_too)
{
  const off_t size = lseek (disk, 0, SEEK_END), last = size - PAGE_BYTES;
  int r = 0;

  (void) ignored;
  (void) ignored_too;
  if (size == -1 || pwrite (disk, "last", 4, last) != 4
      || lseek (disk, last, SEEK_HOLE) != size
      || lseek (disk, size, SEEK_DATA) != -1)
    r = -1;
  if (fallocate (disk, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, last,
                 PAGE_BYTES)
      == -1)
    r = -1;
  return r;
}

/* There is none to seek in a text. */
static int
seek_text (const char *path, const char *ignored)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC), r;

  (void) ignored;
  if (fd == -1)
    return -1;
  r = lseek (fd, 0, SEEK_DATA) == -1 && errno == EINVAL ? -1 : 0;
  close (fd);
  return r;
}

/* As with commands: it must work in the end. */
static void
attempt (bool is_refused, int (*act) (const char *path, const char *text),
         const char *name, const char *text)
{
  unsigned tries = 0;
  char path[256];

  while ((act (in_tree (name, path), text) == -1) != is_refused) {
    if (tries == 0)
      failed (&result->commands, name[0] ? name : "the tree");
    if (!worth_another_try (&tries)) {
      bad ("a file fails for ever");
      return;
    }
  }
}

static void
use_disk (void)
{
  workload_send_by (send_to_disk);
  attempt (false, open_disk, "disk", NULL);
  if (disk == -1)
    return;
  use_pages ();
  attempt (false, seek_disk, "", NULL);
  attempt (false, seek_end, "", NULL);
}

static void
use_files (void)
{
  attempt (false, list, "", NULL);
  attempt (false, list, "tiers", NULL);
  attempt (false, list, "tiers/fast", NULL);
  attempt (false, list, "cgroup", NULL);
  attempt (false, look_at, "tiers/fast/limit", NULL);
  attempt (true, look_at, "tiers/slow", NULL);
  attempt (true, look_at, "nothing", NULL);
  attempt (false, read_all, "stats.json", NULL);
  attempt (true, seek_text, "stats.json", NULL);
  attempt (false, read_all, "mm_stat", NULL);
  attempt (false, read_all, "io_stat", NULL);
  attempt (false, read_all, "bd_stat", NULL);
  attempt (false, read_all, "tiers/fast/limit", NULL);
  attempt (false, read_all, "backings/one/state", NULL);
  attempt (false, read_all, "cgroup/zram.prio", NULL);
  attempt (false, write_text, "cgroup/zram.prio", "2\n");
  attempt (true, write_text, "cgroup/zram.prio", "seven\n");
  attempt (true, write_text, "mm_stat", "1\n");
  attempt (false, write_text, "writeback", "all\n");
  attempt (true, write_text, "writeback", "\n");
  attempt (true, write_text, "writeback", "colour=1\n");
  attempt (false, write_text, "compact", "1\n");
  attempt (true, write_text, "compact", "9\n");
  attempt (true, write_null, "cgroup/zram.prio", NULL);
  attempt (false, call_control, "control", NULL);
  attempt (true, call_wrongly, "control", NULL);
  attempt (false, read_nothing, "control", NULL);
}

/* What is done there is not listened to, for it is no call of the server. */
static void __attribute__ ((noreturn)) be_client (void)
{
  alarm (CLIENT_HANG);
  while (!atomic_load (&shared->begin))
    pause_a_moment ();
  use_disk ();
  use_files ();
  if (disk != -1)
    check_pages ();
  atomic_store (&shared->done, true);
  while (!atomic_load (&shared->ends))
    pause_a_moment ();
  usleep (HOLD_ON);
  close (disk);
  _exit (EXIT_SUCCESS);
}

/* ---- the server ---- */

static pid_t client;

static void
show (struct tierswap *device)
{
  if (tierswap_set_fuse (device, directory, true) == -1)
    refused ("fuse");
}

static void
serve (void)
{
  atomic_store (&shared->begin, true);
  while (!atomic_load (&shared->done) && waitpid (client, NULL, WNOHANG) == 0)
    pause_a_moment ();
  if (!atomic_load (&shared->done))
    bad ("the client of the tree did not come to its end");
  atomic_store (&shared->ends, true);
}

static void
mount_and_serve (void)
{
  client = fork ();
  if (client == 0)
    be_client ();
  with_device (show, serve);
  if (!atomic_load (&shared->begin))
    kill (client, SIGKILL);
  waitpid (client, NULL, 0);
}

/* A server that is killed leaves its tree mounted, and dead. */
static void
serve_no_more (void)
{
  end_as_killed ();
}

static void
mount_and_die (void)
{
  with_device (show, serve_no_more);
}

static void
show_again (struct tierswap *device)
{
  if (tierswap_set_fuse (device, "/proc", true) == 0)
    bad ("the tree can be where there is something");
  result->message[0] = '\0';
  show (device);
}

static void
nothing (void)
{
}

static void
mount_again (void)
{
  with_device (show_again, nothing);
}

static void
prepare (void)
{
  if (!shared) {
    shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
      abort ();
    in_folder ("fuse", directory);
  }
  memset (shared, 0, sizeof *shared);
  write_conf ("conf", 0);
}

static void
clean_up (void)
{
  unsigned tries = 0;

  if (umount2 (directory, MNT_DETACH) == 0)
    bad ("the tree was left mounted");
  while (umount2 (directory, MNT_DETACH) == 0 && worth_another_try (&tries))
    ;
}

/* A loop device has the disk, as it seems. */
static void
show_loop (void)
{
  char path[128], text[256];
  FILE *file;

  if (mkdir (in_folder ("block", path), 0700) == -1
      || mount ("none", path, "tmpfs", 0, "mode=0700") == -1)
    return;
  snprintf (text, sizeof text, "%s/loop0", path);
  mkdir (text, 0700);
  snprintf (text, sizeof text, "%s/loop0/loop", path);
  mkdir (text, 0700);
  snprintf (text, sizeof text, "%s/loop0/loop/backing_file", path);
  file = fopen (text, "w");
  if (file) {
    fprintf (file, "%s/disk\n", directory);
    fclose (file);
  }
}

static void
prepare_with_loop (void)
{
  char path[128];

  prepare ();
  if (access (in_folder ("block", path), F_OK) == -1)
    show_loop ();
  mount (path, "/sys/block", NULL, MS_BIND, NULL);
}

static void
clean_up_with_loop (void)
{
  umount2 ("/sys/block", MNT_DETACH);
  clean_up ();
}

static const char *
missing (void)
{
  if (!own_mounts)
    return "no mounts of its own";
  return access ("/dev/fuse", R_OK | W_OK) == 0 ? NULL
                                                : "there is no /dev/fuse";
}

const struct scenario fuse_tree = {
  .name = "fuse",
  .phases = { { mount_and_serve, true, false } },
  .prepare = prepare_with_loop,
  .clean_up = clean_up_with_loop,
  .missing = missing,
};
const struct scenario fuse_stale = {
  .name = "stale",
  .phases = { { mount_and_die, false, false },
              { mount_again, true, false },
              { mount_again, false, false } },
  .prepare = prepare,
  .clean_up = clean_up,
  .missing = missing,
};
