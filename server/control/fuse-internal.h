/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the FUSE tree share. */
#ifndef TIERSWAP_FUSE_INTERNAL_H
#define TIERSWAP_FUSE_INTERNAL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "policy/device.h"

/* The largest read or write on the disk, bytes: what libfuse agrees upon with
 * the kernel.
 */
#define TREE_DATA (UINT32_C (1) << 20)

/* The largest request on another file, bytes with its headers, and how many of
 * them may wait for the clerk.
 */
#define TREE_MESSAGE 8192
#define TREE_MESSAGES 64

/* Commands at work at once. */
#define TREE_COMMANDS 4

struct tree_message {
  struct tree_message *next;
  size_t length;
  char bytes[TREE_MESSAGE] __attribute__ ((aligned (16)));
};

struct names;        /* fuse-names.h */
struct tree_command; /* fuse-command.c */

struct tree_thread {
  struct tree *tree;
  pthread_t thread;
  char *memory; /* a page, where a request's headers end, and TREE_DATA */
};

struct tree {
  struct device *device;
  char *directory;
  bool others_read;
  struct timespec started; /* the files' times */
  struct names *names;
  struct fuse_session *session; /* NULL: not mounted */
  int fd;                       /* the session's */

  /* Who takes requests. */
  struct tree_thread *threads;
  unsigned threads_count;

  /* The disk: how often it is open, and who waits for it to be closed. */
  pthread_mutex_t lock;
  pthread_cond_t closed;
  unsigned disk_opens;

  /* The clerk and what waits for it. */
  pthread_t clerk;
  bool clerk_runs;
  pthread_mutex_t queue_lock;
  pthread_cond_t queue_filled;
  bool queue_ends;
  struct tree_message *queue, **queue_tail;
  struct tree_message *free_messages;
  struct tree_message *messages; /* all of them */
  uint64_t unique;               /* of the request that the clerk is at */

  pthread_mutex_t commands_lock;
  struct tree_command *commands;
};

/* Answer request UNIQUE with an error (a positive errno, 0: it is done), or
 * with bytes.
 */
extern void tree_answer (struct tree *tree, uint64_t unique, int error);
extern void tree_answer_bytes (struct tree *tree, uint64_t unique,
                               const void *bytes, size_t length);

/* fuse-disk.c: a request on the disk, of LENGTH bytes in all.  False: it is one
 * that the clerk answers.  DATA is room for what is read, TREE_DATA bytes; a
 * request to write has it in there.
 */
extern bool tree_disk_request (struct tree *tree,
                               const struct fuse_in_header *header,
                               size_t length, void *data);

/* fuse-serve.c: start and end the threads. */
extern int tree_serve (struct tree *tree, char **error);
extern void tree_serve_no_more (struct tree *tree);

/* fuse-folders.c: what libfuse calls for them, and what is refused. */
extern void tree_refuse_name (fuse_req_t request, fuse_ino_t parent,
                              const char *name);
extern void tree_refuse_folder (fuse_req_t request, fuse_ino_t parent,
                                const char *name, mode_t mode);
extern void tree_refuse_node (fuse_req_t request, fuse_ino_t parent,
                              const char *name, mode_t mode, dev_t device);
extern void tree_refuse_file (fuse_req_t request, fuse_ino_t parent,
                              const char *name, mode_t mode,
                              struct fuse_file_info *info);
extern void tree_refuse_link (fuse_req_t request, const char *target,
                              fuse_ino_t parent, const char *name);
extern void tree_refuse_rename (fuse_req_t request, fuse_ino_t from,
                                const char *name, fuse_ino_t to,
                                const char *new_name, unsigned flags);
extern void tree_open_folder (fuse_req_t request, fuse_ino_t id,
                              struct fuse_file_info *info);
extern void tree_read_folder (fuse_req_t request, fuse_ino_t id, size_t size,
                              off_t offset, struct fuse_file_info *info);
extern void tree_close_folder (fuse_req_t request, fuse_ino_t id,
                               struct fuse_file_info *info);

/* fuse-files.c: all that libfuse calls. */
extern const struct fuse_lowlevel_ops tree_operations;

#endif /* TIERSWAP_FUSE_INTERNAL_H */
