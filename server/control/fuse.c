/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/message.h"
#include "common/refuse.h"
#include "control/fuse-internal.h"
#include "control/fuse-mount.h"
#include "control/fuse-names.h"
#include "control/fuse.h"
#include "policy/change.h"

/* Between looks at whether the tree can be unmounted: what else is open in it
 * is of short life, or is not waited for.
 */
#define PATIENCE_SECONDS 1

int
tree_check (const char *directory, char **error)
{
  return mount_check (directory, error);
}

/* What libfuse has to say goes where all messages go. */
static void
tell_for_libfuse (enum fuse_log_level level, const char *format, va_list values)
{
  char text[512];

  if (level > FUSE_LOG_WARNING)
    return;
  vsnprintf (text, sizeof text, format, values);
  text[strcspn (text, "\n")] = '\0';
  message (MESSAGE_WARNING, "%s", text);
}

static void
tell_nothing (enum fuse_log_level level, const char *format, va_list values)
{
  (void) level;
  (void) format;
  (void) values;
}

static void
free_tree (struct tree *tree)
{
  if (tree->session) {
    /* It does not know that the tree is unmounted. */
    fuse_set_log_func (tell_nothing);
    fuse_session_unmount (tree->session);
    fuse_session_destroy (tree->session);
    fuse_set_log_func (NULL);
  }
  names_free (tree->names);
  pthread_mutex_destroy (&tree->lock);
  pthread_cond_destroy (&tree->closed);
  pthread_mutex_destroy (&tree->queue_lock);
  pthread_cond_destroy (&tree->queue_filled);
  pthread_mutex_destroy (&tree->commands_lock);
  free (tree->directory);
  free (tree);
}

static struct tree *
make_tree (struct device *device, const char *directory, bool others_read)
{
  struct tree *tree = calloc (1, sizeof *tree);

  if (!tree)
    return NULL;
  tree->device = device;
  tree->others_read = others_read;
  pthread_mutex_init (&tree->lock, NULL);
  pthread_cond_init (&tree->closed, NULL);
  pthread_mutex_init (&tree->queue_lock, NULL);
  pthread_cond_init (&tree->queue_filled, NULL);
  pthread_mutex_init (&tree->commands_lock, NULL);
  clock_gettime (CLOCK_REALTIME, &tree->started);
  tree->directory = strdup (directory);
  tree->names = names_create ();
  if (!tree->directory || !tree->names) {
    free_tree (tree);
    return NULL;
  }
  return tree;
}

static int
mount_tree (struct tree *tree, char **error)
{
  char *const words[]
      = { (char *) (uintptr_t) "tierswap", (char *) (uintptr_t) "-o",
          (char *) (uintptr_t) (tree->others_read
                                    ? "fsname=tierswap,subtype=tierswap,"
                                      "default_permissions,allow_other"
                                    : "fsname=tierswap,subtype=tierswap,"
                                      "default_permissions") };
  struct fuse_args arguments = FUSE_ARGS_INIT (3, (char **) words);

  fuse_set_log_func (tell_for_libfuse);
  errno = 0;
  tree->session = fuse_session_new (&arguments, &tree_operations,
                                    sizeof tree_operations, tree);
  fuse_opt_free_args (&arguments);
  if (!tree->session)
    return refuse (error, errno ? errno : ENOMEM,
                   "the FUSE session did not start");
  errno = 0;
  if (fuse_session_mount (tree->session, tree->directory) == -1) {
    int code = errno ? errno : EIO;

    return refuse (
        error, code,
        "the FUSE tree could not be mounted at %s: %s; it needs /dev/fuse, "
        "and root or the program fusermount3 (package fuse3)",
        tree->directory, strerror (code));
  }
  tree->fd = fuse_session_fd (tree->session);
  return 0;
}

int
tree_start (struct device *device, const char *directory, bool others_read,
            struct tree **result, char **error)
{
  struct tree *tree;

  if (mount_check (directory, error) == -1)
    return -1;
  tree = make_tree (device, directory, others_read);
  if (!tree)
    return -1;
  if (mount_tree (tree, error) == -1 || tree_serve (tree, error) == -1) {
    int code = errno;

    tree_serve_no_more (tree);
    free_tree (tree);
    errno = code;
    return -1;
  }
  *result = tree;
  return 0;
}

static void
tell_what_to_do (const struct tree *tree)
{
  char *commands = mount_disk_users (tree->directory);

  message (MESSAGE_WARNING,
           "%s/disk is still in use, so it is served on until it is not; %s%s",
           tree->directory,
           commands ? "to end it: " : "close it in the programs that use it",
           commands ? commands : "");
  free (commands);
}

/* True: the disk was open, and it is worth looking again. */
static bool
wait_for_disk (struct tree *tree, bool *told)
{
  struct timespec until;
  bool open;

  pthread_mutex_lock (&tree->lock);
  open = tree->disk_opens > 0;
  pthread_mutex_unlock (&tree->lock);
  if (!open)
    return false;
  if (!*told)
    tell_what_to_do (tree);
  *told = true;
  clock_gettime (CLOCK_REALTIME, &until);
  until.tv_sec += PATIENCE_SECONDS;
  pthread_mutex_lock (&tree->lock);
  while (tree->disk_opens > 0
         && pthread_cond_timedwait (&tree->closed, &tree->lock, &until)
                != ETIMEDOUT)
    ;
  pthread_mutex_unlock (&tree->lock);
  return true;
}

void
tree_stop (struct tree *tree)
{
  bool told = false, ended;

  if (!tree)
    return;
  /* What has the disk open has pages there that somebody will want again. */
  while (!(ended = mount_end (tree->directory) == 0)
         && wait_for_disk (tree, &told))
    ;
  if (!ended)
    mount_end_by_force (tree->directory);
  tree_serve_no_more (tree);
  free_tree (tree);
}
