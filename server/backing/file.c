/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backing/file.h"
#include "backing/internal.h"
#include "common/message.h"
#include "common/refuse.h"

int64_t
file_length (int fd, enum backing_kind kind)
{
  struct stat st;
  uint64_t bytes;

  if (kind == BACKING_BLOCK)
    return ioctl (fd, BLKGETSIZE64, &bytes) == -1 ? -1 : (int64_t) bytes;
  return fstat (fd, &st) == -1 ? -1 : st.st_size;
}

/* Past the page cache where that is possible: what is written back would
 * otherwise fill the very memory it was to make room in.
 */
static int
open_direct (const struct backing_options *options, int flags)
{
  int fd;

  fd = open (options->path, flags | O_DIRECT | O_RDWR | O_CLOEXEC, 0600);
  if (fd == -1 && errno == EINVAL) {
    /* The file may have been created before it was refused. */
    if (flags & O_CREAT)
      flags &= ~O_EXCL;
    fd = open (options->path, flags | O_RDWR | O_CLOEXEC, 0600);
    if (fd != -1)
      message (MESSAGE_NOTICE,
               "backing %s: the file system of %s refuses O_DIRECT, so what "
               "is written there passes through the page cache; prefer a file "
               "system like ext4, xfs or btrfs",
               options->name, options->path);
  }
  return fd;
}

static int
open_device (const struct backing_options *options, int *fd, uint64_t *size,
             char **error)
{
  int sector;
  int64_t length;

  *fd = open_direct (options, O_EXCL);
  if (*fd == -1 && errno == EBUSY)
    return refuse (error, EBUSY,
                   "backing %s: %s is in use: it is mounted, swapped "
                   "on, part of another device, or another server's "
                   "backing",
                   options->name, options->path);
  if (*fd == -1)
    return refuse (error, errno, "backing %s: cannot open %s: %s",
                   options->name, options->path, strerror (errno));

  length = file_length (*fd, BACKING_BLOCK);
  if (length == -1 || ioctl (*fd, BLKSSZGET, &sector) == -1)
    return refuse (error, errno, "backing %s: cannot tell the size of %s: %s",
                   options->name, options->path, strerror (errno));
  if (sector > BACKING_ALIGNMENT)
    return refuse (error, EINVAL,
                   "backing %s: %s has sectors of %d bytes, only up to "
                   "%d can be used",
                   options->name, options->path, sector, BACKING_ALIGNMENT);
  if (*size > (uint64_t) length)
    return refuse (error, ENOSPC,
                   "backing %s: %s has %lld bytes, not %llu; give a "
                   "smaller size, or none to use all of it",
                   options->name, options->path, (long long) length,
                   (unsigned long long) *size);
  if (*size == 0)
    *size = length;
  return 0;
}

static int
open_file (const struct backing_options *options, bool exists, int *fd,
           uint64_t *size, char **error)
{
  struct stat st;

  if (!exists && *size == 0)
    return refuse (error, EINVAL,
                   "backing %s: %s does not exist yet, so its size must "
                   "be given",
                   options->name, options->path);
  *fd = open_direct (options, exists ? 0 : O_CREAT | O_EXCL);
  if (*fd == -1)
    return refuse (error, errno, "backing %s: cannot %s %s: %s", options->name,
                   exists ? "open" : "create", options->path, strerror (errno));
  if (flock (*fd, LOCK_EX | LOCK_NB) == -1)
    return errno == EWOULDBLOCK
               ? refuse (error, EBUSY,
                         "backing %s: %s is in use by another server "
                         "or backing; give each its own file",
                         options->name, options->path)
               : refuse (error, errno, "backing %s: cannot lock %s: %s",
                         options->name, options->path, strerror (errno));
  if (fstat (*fd, &st) == -1)
    return refuse (error, errno, "backing %s: %s: %s", options->name,
                   options->path, strerror (errno));
  if (!S_ISREG (st.st_mode))
    return refuse (error, EINVAL, "backing %s: %s changed while it was opened",
                   options->name, options->path);
  if (*size == 0)
    *size = st.st_size;
  if (*size - *size % EXTENT_BYTES > (uint64_t) st.st_size
      && ftruncate (*fd, *size - *size % EXTENT_BYTES) == -1)
    return refuse (error, errno,
                   "backing %s: cannot make %s %llu bytes long: %s",
                   options->name, options->path, (unsigned long long) *size,
                   strerror (errno));
  return 0;
}

int
file_open (const struct backing_options *options, int *fd,
           enum backing_kind *kind, uint64_t *size, char **error)
{
  struct stat st;
  bool exists;
  int r;

  *fd = -1;
  *size = options->size;
  if (*size != 0 && *size < EXTENT_BYTES)
    return refuse (error, EINVAL,
                   "backing %s: a size of %llu bytes is too small, "
                   "give at least %d",
                   options->name, (unsigned long long) *size, EXTENT_BYTES);

  exists = stat (options->path, &st) == 0;
  if (!exists && errno != ENOENT)
    return refuse (error, errno, "backing %s: cannot open %s: %s",
                   options->name, options->path, strerror (errno));
  if (exists && S_ISBLK (st.st_mode)) {
    *kind = BACKING_BLOCK;
    r = open_device (options, fd, size, error);
  }
  else if (!exists || S_ISREG (st.st_mode)) {
    *kind = BACKING_FILE;
    r = open_file (options, exists, fd, size, error);
  }
  else
    return refuse (error, S_ISDIR (st.st_mode) ? EISDIR : EINVAL,
                   "backing %s: %s is neither a file nor a block device",
                   options->name, options->path);

  if (r == 0 && *size < EXTENT_BYTES)
    r = refuse (
        error, EINVAL, "backing %s: %s has %llu bytes, at least %d are needed",
        options->name, options->path, (unsigned long long) *size, EXTENT_BYTES);
  if (r == -1) {
    int saved_errno = errno;

    if (*fd != -1) {
      /* Not when another server was quicker to lock what we created. */
      if (!exists && saved_errno != EBUSY)
        unlink (options->path);
      close (*fd);
      *fd = -1;
    }
    errno = saved_errno;
    return -1;
  }
  *size -= *size % EXTENT_BYTES;
  return 0;
}

int
file_identity (int fd, struct backing_identity *identity)
{
  struct stat st;

  if (fstat (fd, &st) == -1)
    return -1;
  *identity = (struct backing_identity){ 0, 0 };
  if (S_ISBLK (st.st_mode))
    identity->device = st.st_rdev;
  else
    identity->inode = st.st_ino;
  return 0;
}

/* Is it what it was, and as large? */
static int
check_same (const struct backing_options *options, const struct stat *st,
            char **error)
{
  const struct backing_identity *was = &options->identity;
  bool same = options->kind == BACKING_BLOCK
                  ? S_ISBLK (st->st_mode) && st->st_rdev == was->device
                  : S_ISREG (st->st_mode) && st->st_ino == was->inode;

  if (!same)
    return refuse (error, ESTALE,
                   "backing %s: %s is not the file or device that pages "
                   "were written to; put that one back",
                   options->name, options->path);
  if (S_ISREG (st->st_mode) && (uint64_t) st->st_size < options->least)
    return refuse (error, ENOSPC,
                   "backing %s: %s has %lld bytes, pages were written "
                   "to %llu; put the whole one back",
                   options->name, options->path, (long long) st->st_size,
                   (unsigned long long) options->least);
  return 0;
}

int
file_reattach (const struct backing_options *options, int *fd, char **error)
{
  enum backing_kind kind;
  struct stat st;
  uint64_t size;

  *fd = -1;
  if (stat (options->path, &st) == -1)
    return refuse (error, errno, "backing %s: cannot open %s: %s",
                   options->name, options->path, strerror (errno));
  /* Before it is opened: what is somebody else's is left alone. */
  if (check_same (options, &st, error) == -1
      || file_open (options, fd, &kind, &size, error) == -1)
    return -1;
  if (fstat (*fd, &st) == -1)
    refuse (error, errno, "backing %s: %s: %s", options->name, options->path,
            strerror (errno));
  else if (check_same (options, &st, error) == 0)
    return 0;
  close (*fd);
  *fd = -1;
  errno = ESTALE;
  return -1;
}

bool
file_may_block (int fd, enum backing_kind kind)
{
  struct statfs fs;

  if (kind == BACKING_BLOCK)
    return false;
  if (fstatfs (fd, &fs) == -1)
    return true;
  switch (fs.f_type) {
  case EXT4_SUPER_MAGIC:
  case XFS_SUPER_MAGIC:
  case BTRFS_SUPER_MAGIC:
  case TMPFS_MAGIC:
    return false;
  default:
    return true;
  }
}

int
file_discard (int fd, enum backing_kind kind, uint64_t offset, uint64_t length)
{
  uint64_t range[2] = { offset, length };

  if (kind == BACKING_BLOCK)
    return ioctl (fd, BLKDISCARD, range);
  return fallocate (fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                    length);
}
