/* SPDX-License-Identifier: BSD-3-Clause */
/* The names of the objects (tiers, backings, cgroups) whose nodes the kernel
 * knows, by their hash, which is a part of the node ids.
 *
 * The kernel counts how often it was told of a node, and tells how often it
 * forgot it; a name is kept for as long as one of its nodes is known.
 */
#ifndef TIERSWAP_FUSE_NAMES_H
#define TIERSWAP_FUSE_NAMES_H

#include <stdint.h>

struct names;

/* NULL with errno ENOMEM. */
extern struct names *names_create (void);
extern void names_free (struct names *names);

/* The 48 bits that stand for a name. */
extern uint64_t names_hash (const char *name);

/* The kernel is told of a node of NAME once more.  -1 with errno ENOMEM, or
 * EBUSY if another name has the same hash.
 */
extern int names_hold (struct names *names, const char *name);

/* It forgot TIMES of those.  Allocates and frees nothing. */
extern void names_release (struct names *names, uint64_t hash, uint64_t times);

/* The name, to free().  NULL with errno ENOENT or ENOMEM. */
extern char *names_find (struct names *names, uint64_t hash);

#endif /* TIERSWAP_FUSE_NAMES_H */
