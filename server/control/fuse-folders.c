/* SPDX-License-Identifier: BSD-3-Clause */
/* The folders of the FUSE tree: they are listed, and nothing else can be done
 * to them.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/fuse-internal.h"
#include "control/fuse-node.h"

/* A folder that is open. */
struct listing {
  struct listed {
    char *name;
    uint64_t id;
    mode_t mode;
  } * list;
  size_t count;
};

static void
free_listing (struct listing *listing)
{
  for (size_t i = 0; i < listing->count; ++i)
    free (listing->list[i].name);
  free (listing->list);
  free (listing);
}

static int
add_listed (void *opaque, const char *name, uint64_t id, mode_t mode)
{
  struct listing *listing = opaque;
  struct listed *list = listing->list;

  /* Room grows by doubling, whenever the count is a power of two. */
  if ((listing->count & (listing->count - 1)) == 0) {
    list = realloc (list, (listing->count * 2 + 1) * sizeof *list);
    if (!list)
      return -1;
    listing->list = list;
  }
  list[listing->count] = (struct listed){ strdup (name), id, mode };
  if (!list[listing->count].name)
    return -1;
  ++listing->count;
  return 0;
}

void
tree_open_folder (fuse_req_t request, fuse_ino_t id,
                  struct fuse_file_info *info)
{
  struct tree *tree = fuse_req_userdata (request);
  struct listing *listing = calloc (1, sizeof *listing);
  struct node node;

  if (!listing) {
    fuse_reply_err (request, ENOMEM);
    return;
  }
  if (node_find (tree->device, tree->names, id, &node) == -1
      || add_listed (listing, ".", id, S_IFDIR) == -1
      || add_listed (listing, "..", NODE_ROOT, S_IFDIR) == -1
      || node_list (tree->device, &node, add_listed, listing) != 0) {
    fuse_reply_err (request, errno ? errno : ENOMEM);
    free_listing (listing);
    return;
  }
  info->fh = (uint64_t) (uintptr_t) listing;
  if (fuse_reply_open (request, info) != 0)
    free_listing (listing);
}

static struct listing *
listing_of (const struct fuse_file_info *info)
{
  return (struct listing *) (uintptr_t) info->fh;
}

void
tree_read_folder (fuse_req_t request, fuse_ino_t id, size_t size, off_t offset,
                  struct fuse_file_info *info)
{
  const struct listing *listing = listing_of (info);
  char room[4096];
  size_t used = 0;

  (void) id;
  if (size > sizeof room)
    size = sizeof room;
  for (size_t i = (size_t) offset; i < listing->count; ++i) {
    const struct stat status
        = { .st_ino = listing->list[i].id, .st_mode = listing->list[i].mode };
    size_t length
        = fuse_add_direntry (request, room + used, size - used,
                             listing->list[i].name, &status, (off_t) i + 1);

    if (length > size - used)
      break;
    used += length;
  }
  fuse_reply_buf (request, room, used);
}

void
tree_close_folder (fuse_req_t request, fuse_ino_t id,
                   struct fuse_file_info *info)
{
  (void) id;
  free_listing (listing_of (info));
  fuse_reply_err (request, 0);
}

/* Nothing is made, renamed or removed here. */
void
tree_refuse_name (fuse_req_t request, fuse_ino_t parent, const char *name)
{
  (void) parent;
  (void) name;
  fuse_reply_err (request, EPERM);
}

void
tree_refuse_folder (fuse_req_t request, fuse_ino_t parent, const char *name,
                    mode_t mode)
{
  (void) mode;
  tree_refuse_name (request, parent, name);
}

void
tree_refuse_node (fuse_req_t request, fuse_ino_t parent, const char *name,
                  mode_t mode, dev_t device)
{
  (void) device;
  tree_refuse_folder (request, parent, name, mode);
}

void
tree_refuse_file (fuse_req_t request, fuse_ino_t parent, const char *name,
                  mode_t mode, struct fuse_file_info *info)
{
  (void) info;
  tree_refuse_folder (request, parent, name, mode);
}

void
tree_refuse_link (fuse_req_t request, const char *target, fuse_ino_t parent,
                  const char *name)
{
  (void) target;
  tree_refuse_name (request, parent, name);
}

void
tree_refuse_rename (fuse_req_t request, fuse_ino_t from, const char *name,
                    fuse_ino_t to, const char *new_name, unsigned flags)
{
  (void) to;
  (void) new_name;
  (void) flags;
  tree_refuse_name (request, from, name);
}
