/* SPDX-License-Identifier: BSD-3-Clause */
/* The cgroups of a device: which there are, whose page is whose, and the policy
 * of each.
 *
 * A cgroup is known by three names: its id (the inode number of its directory
 * in the cgroup2 hierarchy), which tags carry; its index, which the store
 * counts pages by; its path, which people and configurations use.
 *
 * Promises:
 * - A write finds the index and the policy of its cgroup without a lock and
 *   without allocating.  Only the first tag of an id never seen before takes
 *   a lock, for a few instructions.
 * - Pages are counted under an index of their own from the first tag on.  Its
 *   policy is that of "/" until a thread has found out the path, off the I/O
 *   path; that takes milliseconds, and mostly the path is known already, since
 *   the hierarchy is watched.
 * - A cgroup that was removed keeps its policy, and its index as long as a
 *   page is stored under it or a write uses it.  Its pages are counted as
 *   those of its nearest ancestor that is still there, and the store moves
 *   them there as it cleans.
 * - Policies are rules by path.  A value that a rule does not give is that of
 *   the nearest ancestor whose rule does.
 */
#ifndef TIERSWAP_CGROUPS_H
#define TIERSWAP_CGROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/config.h"
#include "store/store.h"

struct cgroups;

/* The hierarchy at ROOT is watched: a folder, usually that where cgroup2 is
 * mounted.  NULL: find it; if there is none, no path is ever known.  Values
 * come from CONFIG.  NULL with errno.
 */
extern struct cgroups *cgroups_create (struct store *store, const char *root,
                                       const struct config *config);
/* No write is in progress any more. */
extern void cgroups_free (struct cgroups *cgroups);

/* The I/O path.  The placement of pages of cgroup ID (0: not known, "/"), good
 * until cgroups_leave is called with it.
 */
extern struct store_placement cgroups_enter (struct cgroups *cgroups,
                                             uint64_t id);
extern void cgroups_leave (struct cgroups *cgroups,
                           const struct store_placement *placement);

/* The policy of "/" alone: nothing to leave. */
extern struct store_placement cgroups_root (struct cgroups *cgroups);

/* Have the rules of CONFIG and no others, live. */
extern void cgroups_configure (struct cgroups *cgroups,
                               const struct config *config);

/* Wait until the hierarchy has been looked at once more: what was created or
 * removed before is known then.
 */
extern void cgroups_settle (struct cgroups *cgroups);

/* What is known of a cgroup. */
struct cgroup_info {
  char *path;    /* "/", "/db"; "#ID" while it is not known.  To free(). */
  uint64_t id;   /* 0: its directory is not there */
  bool named;    /* a rule has its path: the configuration's or a command's */
  unsigned prio; /* and so on: what holds for its pages, inherited or not */
  unsigned writeback_prio, writeback_size;
  uint64_t limit;      /* its own, bytes; 0: none */
  uint64_t used_bytes; /* of the pool: its segments in memory */
  struct store_cgroup_statistics pages; /* with those of removed ones */
};

/* All cgroups that are named or have pages, "/" first, then by path; ALL: and
 * those that only exist.  *LIST is to be given to cgroups_free_list.  -1 with
 * errno ENOMEM.
 */
extern int cgroups_list (struct cgroups *cgroups, bool all,
                         struct cgroup_info **list, uint32_t *count);
extern void cgroups_free_list (struct cgroup_info *list, uint32_t count);

/* One of them.  -1 with errno ENOENT and *ERROR, one line to free(), if no
 * such cgroup exists, is named, or has pages.
 */
extern int cgroups_get (struct cgroups *cgroups, const char *path,
                        struct cgroup_info *info, char **error);

/* The names, not paths, of the cgroups right below PATH, for a folder of
 * files.  The walk ends when the callback returns non-zero, and returns that.
 * -1 with errno ENOENT: there is no such cgroup.
 */
extern int cgroups_children (struct cgroups *cgroups, const char *path,
                             int (*callback) (void *opaque, const char *name),
                             void *opaque);

/* Change what a cgroup's rule says; a negative value stays as it is, given or
 * inherited.  It holds for pages stored from then on, of it and of those below
 * it that inherit it, until the configuration is read again.  -1 with errno
 * and *ERROR: ENOENT as above, EINVAL for a value that cannot be.
 */
struct cgroup_change {
  int64_t prio, writeback_prio, writeback_size;
  int64_t limit; /* bytes, 0: none */
};
#define CGROUP_NO_CHANGE ((struct cgroup_change){ -1, -1, -1, -1 })
extern int cgroups_set (struct cgroups *cgroups, const char *path,
                        const struct cgroup_change *change, char **error);

/* The indexes of a cgroup and those below it, also of removed ones, for
 * commands: -1 with errno ENOENT and *ERROR as above.
 */
extern int cgroups_below (struct cgroups *cgroups, const char *path,
                          struct store_cgroup_set *set, char **error);

#endif /* TIERSWAP_CGROUPS_H */
