/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of policy by path, and what follows from them for any path.  All
 * under one lock of the caller's.
 */
#ifndef TIERSWAP_CGROUP_RULES_H
#define TIERSWAP_CGROUP_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/config.h"

struct cgroup_rule {
  char *path;
  int prio, writeback_prio, writeback_size; /* -1: that of the rule above */
  uint64_t limit;                           /* bytes, 0: none */
  uint32_t cap; /* its number in the store, from 1 on */
};

struct cgroup_rules {
  struct cgroup_rule *list; /* by path; "/" is first, there and gives all */
  unsigned count, room;
};

/* What holds for the pages of a path. */
struct cgroup_policy {
  unsigned prio, writeback_prio, writeback_size;
  uint64_t limit; /* of its own rule */
  uint32_t cap;   /* of the nearest rule, 0: that has no limit */
  bool named;     /* the path itself has a rule */
};

/* -1 with errno ENOMEM. */
extern int cgroup_rules_take (struct cgroup_rules *rules,
                              const struct config *config);
extern void cgroup_rules_free (struct cgroup_rules *rules);

extern struct cgroup_policy
cgroup_rules_resolve (const struct cgroup_rules *rules, const char *path);

extern struct cgroup_rule *cgroup_rules_find (const struct cgroup_rules *rules,
                                              const char *path);

/* The rule of PATH, an empty one if there was none.  NULL with errno ENOMEM,
 * or ENOSPC if there are too many.
 */
extern struct cgroup_rule *cgroup_rules_add (struct cgroup_rules *rules,
                                             const char *path);

#endif /* TIERSWAP_CGROUP_RULES_H */
