/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk file, in the kernel's own protocol (linux/fuse.h): libfuse would
 * allocate for each request.
 *
 * The file never changes its size, is always read and written directly, and
 * requests on it run in parallel.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "control/fuse-internal.h"
#include "control/fuse-node.h"
#include "policy/write.h"

#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

/* How much of COUNT bytes at OFFSET there is. */
static size_t
clip (struct tree *tree, uint64_t offset, size_t count)
{
  uint64_t size = store_size (tree->device->store);

  if (offset >= size)
    return 0;
  return count < size - offset ? count : (size_t) (size - offset);
}

static void
open_disk (struct tree *tree, uint64_t unique)
{
  const struct fuse_open_out out = {
    .open_flags
    = FOPEN_DIRECT_IO | FOPEN_NOFLUSH | FOPEN_PARALLEL_DIRECT_WRITES,
  };

  pthread_mutex_lock (&tree->lock);
  ++tree->disk_opens;
  pthread_mutex_unlock (&tree->lock);
  tree_answer_bytes (tree, unique, &out, sizeof out);
}

static void
close_disk (struct tree *tree, uint64_t unique)
{
  tree_answer (tree, unique, 0);
  pthread_mutex_lock (&tree->lock);
  if (tree->disk_opens > 0 && --tree->disk_opens == 0)
    pthread_cond_broadcast (&tree->closed);
  pthread_mutex_unlock (&tree->lock);
}

static void
read_disk (struct tree *tree, uint64_t unique, const struct fuse_read_in *in,
           void *data)
{
  uint64_t offset = in->offset;
  size_t count
      = clip (tree, offset, in->size < TREE_DATA ? in->size : TREE_DATA);

  if (store_read (tree->device->store, data, count, offset) == -1)
    tree_answer (tree, unique, errno);
  else
    tree_answer_bytes (tree, unique, data, count);
}

static void
write_disk (struct tree *tree, uint64_t unique, const struct fuse_write_in *in,
            size_t room, const void *data)
{
  struct fuse_write_out out = { .size = 0 };

  if (in->size > room) {
    tree_answer (tree, unique, EIO);
    return;
  }
  out.size = (uint32_t) clip (tree, in->offset, in->size);
  if (out.size == 0 && in->size > 0)
    tree_answer (tree, unique, ENOSPC);
  else if (device_write (tree->device, data, out.size, in->offset) == -1)
    tree_answer (tree, unique, errno);
  else
    tree_answer_bytes (tree, unique, &out, sizeof out);
}

/* Holes and zeros; room for anything else is there anyway. */
static void
allocate_disk (struct tree *tree, uint64_t unique,
               const struct fuse_fallocate_in *in)
{
  uint64_t size = store_size (tree->device->store), count = in->length;
  uint32_t kind = in->mode & ~(uint32_t) FALLOC_FL_KEEP_SIZE;

  if (in->offset > size || in->length > size - in->offset) {
    if (!(in->mode & FALLOC_FL_KEEP_SIZE)) {
      tree_answer (tree, unique, EFBIG);
      return;
    }
    count = in->offset > size ? 0 : size - in->offset;
  }
  if (kind != 0 && kind != FALLOC_FL_PUNCH_HOLE && kind != FALLOC_FL_ZERO_RANGE)
    tree_answer (tree, unique, EOPNOTSUPP);
  else if (kind == 0 || count == 0)
    tree_answer (tree, unique, 0);
  else if (device_zero (tree->device, count, in->offset,
                        kind == FALLOC_FL_PUNCH_HOLE)
           == -1)
    tree_answer (tree, unique, errno);
  else
    tree_answer (tree, unique, 0);
}

bool
tree_disk_request (struct tree *tree, const struct fuse_in_header *header,
                   size_t length, void *data)
{
  const void *arguments = header + 1;

  if (header->nodeid != NODE_DISK)
    return false;
  switch (header->opcode) {
  case FUSE_OPEN:
    open_disk (tree, header->unique);
    return true;
  case FUSE_RELEASE:
    close_disk (tree, header->unique);
    return true;
  case FUSE_READ:
    /* What is read overwrites the request's own place. */
    read_disk (tree, header->unique, arguments, data);
    return true;
  case FUSE_WRITE:
    write_disk (tree, header->unique, arguments,
                length - sizeof *header - sizeof (struct fuse_write_in), data);
    return true;
  case FUSE_FALLOCATE:
    allocate_disk (tree, header->unique, arguments);
    return true;
  default:
    return false;
  }
}
