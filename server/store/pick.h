/* SPDX-License-Identifier: BSD-3-Clause */
/* Picking segments to move: the coldest first, at a cost that depends on how
 * many owners there are, never on how many pages are stored.
 */
#ifndef TIERSWAP_PICK_H
#define TIERSWAP_PICK_H

#include <stdbool.h>
#include <stdint.h>

struct store;
struct store_cgroup_set;

#define PICK_ANY UINT32_MAX
#define PICK_NONE UINT32_MAX

struct pick {
  uint32_t tier;   /* index, or PICK_ANY: those of higher prio number first */
  uint32_t cgroup; /* index, or PICK_ANY */
  /* Only those of these cgroups; NULL: of any. */
  const struct store_cgroup_set *cgroups;
  unsigned classes; /* a bit a writeback class that may be picked */
  bool packed;      /* only those packed for writeback */
  bool unpacked;    /* not those packed for writeback */
  bool untried;     /* not those that were tried to be demoted in vain */
  uint32_t before;  /* written until this second of the monotonic clock */
  /* Not segments that others were copied to since pick_bound; 0: all.  Those
   * packed for writeback are always looked at.
   */
  uint32_t bound;
};

/* For pick.bound: segments that are opened from now on are beyond it. */
extern uint32_t pick_bound (struct store *store);

/* Claim the coldest segment in memory that fits, those packed for writeback
 * first.  PICK_NONE if there is none.
 */
extern uint32_t pick_coldest (struct store *store, const struct pick *pick);

/* The pages in memory that fit, at a cost that depends on how many segments
 * there are.
 */
extern uint64_t pick_pages (struct store *store, const struct pick *pick);

/* Seal the open segments that fit, so that they can be picked.  Returns how
 * many were.
 */
extern unsigned pick_seal (struct store *store, const struct pick *pick);

/* Does it give back extents to merge the segments on a backing of which at
 * least DEAD_BYTES are dead, those of each owner together?  Remembers for
 * which owners.
 */
extern bool pick_mergeable (struct store *store, unsigned backing,
                            uint32_t dead_bytes);

/* Walk over the segments on a backing, from *NEXT on (0 at first): claim the
 * next one of which at least DEAD_BYTES are dead; if that is not 0, only of
 * owners for which merging gives back extents.  PICK_NONE past the end.
 */
extern uint32_t pick_on_backing (struct store *store, unsigned backing,
                                 uint32_t dead_bytes, uint32_t *next);

#endif /* TIERSWAP_PICK_H */
