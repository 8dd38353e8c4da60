/* SPDX-License-Identifier: BSD-3-Clause */
/* All of the FUSE tree but reading and writing the disk: what the clerk does
 * for libfuse.
 */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/message.h"
#include "control/fuse-command.h"
#include "control/fuse-internal.h"
#include "control/fuse-node.h"
#include "control/fuse-reports.h"
#include "control/registry.h"
#include "policy/config-report.h"
#include "policy/write.h"
#include "tierswap_ioctl.h"

/* Seconds that the kernel may rely on names and modes: others change them. */
#define TIMEOUT 0

/* What a file of attributes says its size is, as in sysfs. */
#define ATTRIBUTE_BYTES 4096

/* A file that is open. */
struct file {
  uint64_t id;
  char *name;     /* of the attribute, in the registry; NULL: it is none */
  unsigned fixed; /* then */
  char *text;     /* what is read, taken when its beginning is; NULL: not yet */
  size_t length;
};

static struct tree *
tree_of (fuse_req_t request)
{
  return fuse_req_userdata (request);
}

/* Others may read what the owner may, but for the disk. */
static mode_t
mode_for_others (const struct tree *tree, const struct node *node)
{
  mode_t mode = node_mode (node);

  if (!tree->others_read || node->id == NODE_DISK || node->id == NODE_CONTROL)
    return mode;
  if (S_ISDIR (mode))
    mode |= 0055;
  else if (mode & 0400)
    mode |= 0044;
  return mode;
}

static struct stat
status_of (struct tree *tree, const struct node *node)
{
  struct stat s = {
    .st_ino = node->id,
    .st_mode = mode_for_others (tree, node),
    .st_nlink = 1,
    .st_uid = geteuid (),
    .st_gid = getegid (),
    .st_blksize = PAGE_BYTES,
    .st_atim = tree->started,
    .st_mtim = tree->started,
    .st_ctim = tree->started,
  };

  if (S_ISDIR (s.st_mode))
    s.st_nlink = 2;
  else if (node->id == NODE_DISK) {
    struct store_statistics statistics;

    store_get_statistics (tree->device->store, &statistics);
    s.st_size = (off_t) store_size (tree->device->store);
    s.st_blocks = (blkcnt_t) (statistics.pages_stored * (PAGE_BYTES / 512));
  }
  else if (node->kind == NODE_ATTRIBUTE)
    s.st_size = ATTRIBUTE_BYTES;
  return s;
}

/* Nodes have long names: none of them on the stack of a recursion, and the
 * clerk has one at a time.
 */
static void
lookup (fuse_req_t request, fuse_ino_t parent, const char *name)
{
  struct tree *tree = tree_of (request);
  struct fuse_entry_param entry
      = { .attr_timeout = TIMEOUT, .entry_timeout = TIMEOUT };
  struct node folder, node;

  if (node_find (tree->device, tree->names, parent, &folder) == -1
      || node_lookup (tree->device, &folder, name, &node) == -1
      || (node.object[0] && names_hold (tree->names, node.object) == -1)) {
    fuse_reply_err (request, errno);
    return;
  }
  entry.ino = node.id;
  entry.attr = status_of (tree, &node);
  if (fuse_reply_entry (request, &entry) != 0 && node.object[0])
    names_release (tree->names, names_hash (node.object), 1);
}

static void
get_attributes (fuse_req_t request, fuse_ino_t id, struct fuse_file_info *info)
{
  struct tree *tree = tree_of (request);
  struct node node;
  struct stat status;

  (void) info;
  if (node_find (tree->device, tree->names, id, &node) == -1) {
    fuse_reply_err (request, errno);
    return;
  }
  status = status_of (tree, &node);
  fuse_reply_attr (request, &status, TIMEOUT);
}

/* Only what a shell's > does to a file before it writes is allowed, and does
 * nothing.  The disk keeps its size.
 */
static void
set_attributes (fuse_req_t request, fuse_ino_t id, struct stat *status,
                int which, struct fuse_file_info *info)
{
  const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME
                    | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW
                    | FUSE_SET_ATTR_CTIME;

  if (which & ~(times | FUSE_SET_ATTR_SIZE))
    fuse_reply_err (request, EPERM);
  else if ((which & FUSE_SET_ATTR_SIZE) && id == NODE_DISK
           && (uint64_t) status->st_size
                  != store_size (tree_of (request)->device->store))
    fuse_reply_err (request, EPERM);
  else
    get_attributes (request, id, info);
}

static void
free_file (struct file *file)
{
  free (file->name);
  free (file->text);
  free (file);
}

static struct file *
make_file (const struct node *node)
{
  struct file *file = calloc (1, sizeof *file);
  char name[REGISTRY_NAME];

  if (!file)
    return NULL;
  file->id = node->id;
  if (node->kind == NODE_FIXED)
    file->fixed = (unsigned) node->id;
  else {
    node_registry_name (node, name);
    file->name = strdup (name);
    if (!file->name) {
      free (file);
      return NULL;
    }
  }
  return file;
}

static void
open_file (fuse_req_t request, fuse_ino_t id, struct fuse_file_info *info)
{
  struct tree *tree = tree_of (request);
  struct file *file;
  struct node node;

  if (node_find (tree->device, tree->names, id, &node) == -1
      || !(file = make_file (&node))) {
    fuse_reply_err (request, errno);
    return;
  }
  info->fh = (uint64_t) (uintptr_t) file;
  info->direct_io = 1;
  info->noflush = 1;
  if (fuse_reply_open (request, info) != 0)
    free_file (file);
}

static struct file *
file_of (const struct fuse_file_info *info)
{
  return (struct file *) (uintptr_t) info->fh;
}

static void
close_file (fuse_req_t request, fuse_ino_t id, struct fuse_file_info *info)
{
  (void) id;
  free_file (file_of (info));
  fuse_reply_err (request, 0);
}

static int
take_text (struct tree *tree, struct file *file)
{
  char value[REGISTRY_VALUE], *text, *error = NULL;

  if (!file->name)
    text = report_text (tree->device, file->fixed);
  else if (registry_show (tree->device, file->name, value, &error) == -1
           || asprintf (&text, "%s\n", value) == -1)
    text = NULL;
  free (error);
  if (!text)
    return -1;
  free (file->text);
  file->text = text;
  file->length = strlen (text);
  return 0;
}

/* Who reads from the beginning sees what is now; who reads on, the same. */
static void
read_file (fuse_req_t request, fuse_ino_t id, size_t size, off_t offset,
           struct fuse_file_info *info)
{
  struct file *file = file_of (info);
  size_t left;

  (void) id;
  if ((offset == 0 || !file->text)
      && take_text (tree_of (request), file) == -1) {
    fuse_reply_err (request, errno);
    return;
  }
  if ((uint64_t) offset >= file->length) {
    fuse_reply_buf (request, NULL, 0);
    return;
  }
  left = file->length - (size_t) offset;
  fuse_reply_buf (request, file->text + offset, size < left ? size : left);
}

/* Without the space at both ends. */
static char *
trim (char *text)
{
  char *end = text + strlen (text);

  while (end > text && isspace ((unsigned char) end[-1]))
    *--end = '\0';
  while (isspace ((unsigned char) *text))
    ++text;
  return text;
}

static void
store_value (fuse_req_t request, struct file *file, const char *value,
             size_t size)
{
  char *error = NULL;

  if (registry_store (tree_of (request)->device, file->name, value, &error)
      == 0) {
    fuse_reply_write (request, size);
    return;
  }
  fuse_reply_err (request, errno);
  if (error)
    message (MESSAGE_ERROR, "%s", error);
  free (error);
}

static void
write_compact (fuse_req_t request, const char *text, size_t size)
{
  if (strcmp (text, "1") == 0) {
    tree_command_begin (tree_of (request), request, "compact", "", size);
    return;
  }
  message (MESSAGE_ERROR, "compact cannot be \"%s\": 1 compacts",
           config_excerpt (text).text);
  fuse_reply_err (request, EINVAL);
}

/* zram's word for the pages that do not compress is understood, too. */
static void
write_writeback (fuse_req_t request, const char *text, size_t size)
{
  if (strcmp (text, "all") == 0)
    text = "";
  else if (strcmp (text, "huge") == 0)
    text = "size=4096";
  else if (text[0] == '\0') {
    message (MESSAGE_ERROR,
             "writeback cannot be \"\": it is all, huge, or any of "
             "age=SECONDS size=BYTES cgroup=PATH tier=NAME max=BYTES");
    fuse_reply_err (request, EINVAL);
    return;
  }
  tree_command_begin (tree_of (request), request, "writeback", text, size);
}

static void
write_file (fuse_req_t request, fuse_ino_t id, const char *bytes, size_t size,
            off_t offset, struct fuse_file_info *info)
{
  struct file *file = file_of (info);
  char *copy, *text;

  (void) id;
  (void) offset;
  if (memchr (bytes, '\0', size)) {
    fuse_reply_err (request, EINVAL);
    return;
  }
  copy = strndup (bytes, size);
  if (!copy) {
    fuse_reply_err (request, ENOMEM);
    return;
  }
  text = trim (copy);
  if (file->name)
    store_value (request, file, text, size);
  else if (file->fixed == NODE_WRITEBACK)
    write_writeback (request, text, size);
  else if (file->fixed == NODE_COMPACT)
    write_compact (request, text, size);
  else
    fuse_reply_err (request, EINVAL);
  free (copy);
}

/* A loop device takes from here in what units it may discard. */
static void
file_system_status (fuse_req_t request, fuse_ino_t id)
{
  struct tree *tree = tree_of (request);
  struct store_statistics statistics;
  struct statvfs status = { .f_bsize = PAGE_BYTES, .f_frsize = PAGE_BYTES };
  uint64_t pages = store_size (tree->device->store) / PAGE_BYTES;

  (void) id;
  store_get_statistics (tree->device->store, &statistics);
  status.f_blocks = pages;
  status.f_bfree
      = pages > statistics.pages_stored ? pages - statistics.pages_stored : 0;
  status.f_bavail = status.f_bfree;
  status.f_namemax = 255;
  fuse_reply_statfs (request, &status);
}

struct seek {
  bool data; /* what is sought */
  uint64_t offset;
};

enum { SEEK_ON, SEEK_FOUND };

static int
seek_extent (void *opaque, uint64_t offset, uint64_t length,
             enum store_extent kind)
{
  struct seek *seek = opaque;

  (void) length;
  if ((kind == STORE_DATA) != seek->data)
    return SEEK_ON;
  if (offset > seek->offset)
    seek->offset = offset;
  return SEEK_FOUND;
}

/* SEEK_DATA and SEEK_HOLE on the disk; all else the kernel does itself. */
static void
seek_file (fuse_req_t request, fuse_ino_t id, off_t offset, int whence,
           struct fuse_file_info *info)
{
  struct store *store = tree_of (request)->device->store;
  uint64_t size = store_size (store);
  struct seek seek = { whence == SEEK_DATA, (uint64_t) offset };
  int r;

  (void) info;
  if (id != NODE_DISK || (whence != SEEK_DATA && whence != SEEK_HOLE)) {
    fuse_reply_err (request, EINVAL);
    return;
  }
  if (offset < 0 || (uint64_t) offset >= size) {
    fuse_reply_err (request, ENXIO);
    return;
  }
  r = store_extents (store, size - (uint64_t) offset, (uint64_t) offset,
                     seek_extent, &seek);
  if (r == SEEK_FOUND)
    fuse_reply_lseek (request, (off_t) seek.offset);
  else if (r == -1)
    fuse_reply_err (request, errno);
  else if (seek.data)
    fuse_reply_err (request, ENXIO);
  else
    fuse_reply_lseek (request, (off_t) size);
}

/* A tag for user space, on the file that is there for it. */
static void
control_device (fuse_req_t request, fuse_ino_t id, unsigned call,
                void *argument, struct fuse_file_info *info, unsigned flags,
                const void *in, size_t in_length, size_t out_length)
{
  static const uint32_t version = TIERSWAP_IOC_INTERFACE;
  struct tierswap_tag tag;

  (void) argument;
  (void) info;
  (void) flags;
  if (id == NODE_CONTROL && call == TIERSWAP_IOC_VERSION
      && out_length >= sizeof version) {
    fuse_reply_ioctl (request, 0, &version, sizeof version);
    return;
  }
  if (id != NODE_CONTROL || call != TIERSWAP_IOC_TAG
      || in_length < sizeof tag) {
    fuse_reply_err (request, ENOTTY);
    return;
  }
  memcpy (&tag, in, sizeof tag);
  if (device_tag (tree_of (request)->device, &tag, 1) == -1)
    fuse_reply_err (request, errno);
  else
    fuse_reply_ioctl (request, 0, NULL, 0);
}

static void
agree (void *userdata, struct fuse_conn_info *connection)
{
  (void) userdata;
  /* Each request is read into one piece of memory, and a file's size is never
   * 0 for the time between an open that truncates and the next look: a loop
   * device would read nothing then.
   */
  connection->want
      &= ~(unsigned) (FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE
                      | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC);
  /* What a loop device asks for is all "in the background". */
  connection->max_background = 1024;
  connection->congestion_threshold = 768;
}

const struct fuse_lowlevel_ops tree_operations = {
  .init = agree,
  .lookup = lookup,
  .getattr = get_attributes,
  .setattr = set_attributes,
  .open = open_file,
  .read = read_file,
  .write = write_file,
  .release = close_file,
  .opendir = tree_open_folder,
  .readdir = tree_read_folder,
  .releasedir = tree_close_folder,
  .statfs = file_system_status,
  .lseek = seek_file,
  .ioctl = control_device,
  .create = tree_refuse_file,
  .mknod = tree_refuse_node,
  .mkdir = tree_refuse_folder,
  .symlink = tree_refuse_link,
  .rename = tree_refuse_rename,
  .unlink = tree_refuse_name,
  .rmdir = tree_refuse_name,
};
