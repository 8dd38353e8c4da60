/* SPDX-License-Identifier: BSD-3-Clause */
/* The hierarchy of cgroups as folders: which there are, by a walk, and what
 * comes and goes, by inotify.  Of one thread at a time.
 */
#ifndef TIERSWAP_CGROUP_TREE_H
#define TIERSWAP_CGROUP_TREE_H

#include <stdbool.h>
#include <stdint.h>

struct cgroup_tree;

/* What is told of it.  Paths begin with / and are those below the root. */
struct cgroup_tree_events {
  /* It is there.  It may be told again, and may have replaced another one. */
  void (*appeared) (void *opaque, const char *path, uint64_t id);
  /* It is not there any more, and neither is what was below it. */
  void (*vanished) (void *opaque, const char *path);
  void *opaque;
};

/* Where cgroup2 is mounted, to free().  NULL with errno ENOENT: nowhere. */
extern char *cgroup_tree_find (void);

/* NULL with errno. */
extern struct cgroup_tree *
cgroup_tree_open (const char *root, const struct cgroup_tree_events *events);
extern void cgroup_tree_close (struct cgroup_tree *tree);

/* The id of the root.  0: it is not there. */
extern uint64_t cgroup_tree_root_id (const struct cgroup_tree *tree);

/* Readable when there is something to read; -1: it is not watched. */
extern int cgroup_tree_fd (const struct cgroup_tree *tree);

/* Tell what has happened so far.  False if some of that is not known: it must
 * be looked at as a whole.
 */
extern bool cgroup_tree_read (struct cgroup_tree *tree);

/* Look at all of it, and tell everything that is there. */
extern void cgroup_tree_scan (struct cgroup_tree *tree);

/* Some folders could not be watched: what happens there is not told. */
extern bool cgroup_tree_blind (const struct cgroup_tree *tree);

#endif /* TIERSWAP_CGROUP_TREE_H */
