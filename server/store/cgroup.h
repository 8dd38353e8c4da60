/* SPDX-License-Identifier: BSD-3-Clause */
/* What the store keeps of each cgroup: how much of the pool it has, how fast
 * it fills it, where there is something of it to pick, and who inherits it.
 *
 * Promises:
 * - Nothing here is looked at per page: counts change when a segment is
 *   opened, sealed, moved or freed.
 * - Looking for segments costs one word a cgroup that ever had pages.
 */
#ifndef TIERSWAP_CGROUP_H
#define TIERSWAP_CGROUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct store_cgroup {
  _Atomic uint32_t segments; /* of it, wherever they are */
  _Atomic uint32_t frames;   /* those in memory, and old places of others */
  /* A bit an owner (tier * STORE_CLASSES + class): it has sealed segments in
   * memory; it has open ones.  Changed under the owner's lock.
   */
  _Atomic uint32_t listed, open;
  _Atomic uint64_t load; /* segments opened lately, see cgroup_load */
  _Atomic uint32_t heir; /* whose its pages become, + 1; 0: they stay its */
  _Atomic uint32_t cap;  /* number of what bounds it, 0: none */
} __attribute__ ((aligned (64)));

/* A bound on what the cgroups under it have in memory.  The count is nearly
 * right, and made right by store_count_caps.
 */
struct store_cap {
  _Atomic uint64_t limit; /* bytes, 0: not used */
  _Atomic uint32_t frames;
  _Atomic uint64_t page_nanoseconds; /* writers are slowed by this, 0: not */
};

/* -1 with errno ENOMEM. */
extern int cgroup_create (struct store *store);
extern void cgroup_free (struct store *store);

/* A segment was opened by a writer of CGROUP. */
extern void cgroup_note_load (struct store *store, uint32_t cgroup);

/* How much it has written lately: 16 for each segment opened, half of that a
 * second later.
 */
extern uint32_t cgroup_load (struct store *store, uint32_t cgroup,
                             uint32_t now);

/* A frame was taken for a segment of CGROUP, or given back. */
extern void cgroup_count_frame (struct store *store, uint32_t cgroup, int by);

/* To whose segments of STREAM objects of OWNER go.  Usually to its own; or to
 * those of its heir.  What is just written, and has no segment open yet, goes
 * to those of "/", of the same tier and class, when a quarter of the pool is
 * in segments that were only begun: many small cgroups do not fill the pool
 * with what is not used.
 */
extern uint32_t cgroup_home (struct store *store, uint32_t owner,
                             unsigned stream);

#endif /* TIERSWAP_CGROUP_H */
