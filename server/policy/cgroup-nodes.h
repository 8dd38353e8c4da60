/* SPDX-License-Identifier: BSD-3-Clause */
/* The cgroups behind cgroups.h: what is known of each index beside what the
 * table knows.  For the files that do cgroups.h; all under one lock, which the
 * I/O path never takes.
 */
#ifndef TIERSWAP_CGROUP_NODES_H
#define TIERSWAP_CGROUP_NODES_H

#include <pthread.h>
#include <time.h>

#include "policy/cgroup-rules.h"
#include "policy/cgroup-table.h"
#include "policy/cgroup-tree.h"
#include "policy/cgroups.h"

enum cgroup_state {
  CGROUP_UNKNOWN, /* the index is free, or its id was not looked for yet */
  CGROUP_PRESENT, /* its folder is there */
  CGROUP_GONE     /* it was removed, or is none that can be seen */
};

struct cgroup_node {
  enum cgroup_state state;
  uint32_t hash; /* of the path */
  uint32_t heir; /* index of whom its pages are counted for, if it is gone */
  uint32_t seen; /* the scan that it was last met in */
  char *path;    /* NULL: not known */
  time_t empty;  /* it is gone, and has had no pages since; 0: it has some */
};

struct cgroups {
  struct store *store;
  struct cgroup_table table;
  struct cgroup_tree *tree; /* NULL: there is no hierarchy */

  pthread_mutex_t lock; /* of all that follows */
  struct cgroup_rules rules;
  struct cgroup_node *nodes; /* by index */
  _Atomic uint32_t gone;     /* how many are */
  uint32_t scans;
  bool full; /* it was said that there are too many */

  /* The thread that follows the hierarchy. */
  pthread_t thread;
  bool running, stop;
  int wake;              /* eventfd */
  uint64_t asked, done;  /* looks that were asked for, by number */
  pthread_cond_t looked; /* done has changed */
};

/* The index of the cgroup at PATH that is there, or CGROUP_NONE. */
extern uint32_t cgroup_nodes_find (const struct cgroups *cgroups,
                                   const char *path);

/* Have the policy of INDEX be what the rules say. */
extern void cgroup_nodes_apply (struct cgroups *cgroups, uint32_t index);

/* The same for all, and for the caps of all rules. */
extern void cgroup_nodes_apply_all (struct cgroups *cgroups);

/* Indexes below this one may be in use. */
static inline uint32_t
cgroup_nodes_high (const struct cgroups *cgroups)
{
  return atomic_load (&cgroups->table.high);
}

/* It has an id: the index is in use. */
static inline bool
cgroup_nodes_used (const struct cgroups *cgroups, uint32_t index)
{
  return atomic_load (&cgroups->table.records[index].id) != 0;
}

/* Is PATH that of ABOVE, or below it? */
extern bool cgroup_path_below (const char *path, const char *above);

#endif /* TIERSWAP_CGROUP_NODES_H */
