/* SPDX-License-Identifier: BSD-3-Clause */
/* A device with cgroups, for tests: a hierarchy of folders (or a real one), a
 * configuration written by the test, and pages that are written with the tags
 * of cgroups.  It remembers what each page holds, and can tell whose it is and
 * where.
 */
#ifndef TIERSWAP_TEST_CGROUP_RIG_H
#define TIERSWAP_TEST_CGROUP_RIG_H

#include "pages.h"
#include "policy/cgroup-nodes.h"
#include "policy/write.h"
#include "store/append.h"

#define CGROUP_RIG_PAGES 32768 /* 128 MiB */

struct cgroup_rig {
  struct device *device;
  char folder[64];    /* of the files */
  char hierarchy[96]; /* the root of the cgroups */
  bool real;          /* it is one of the kernel's */
  struct {
    bool written;
    enum page_kind kind;
    uint64_t seed;
  } pages[CGROUP_RIG_PAGES];
};

/* Where hierarchies are made; NULL: folders of our own.  For a real one, a
 * folder of cgroup2.
 */
extern void cgroup_rig_use (const char *hierarchy);

/* Of a process that has started a device: this thread, and those that it
 * starts, are no real-time threads as the server's are.  They work without a
 * pause, and would leave a small machine to nothing else.  cgroup_rig_start
 * does it.
 */
extern void cgroup_rig_as_client (void);

/* SECTIONS are added to a configuration of a pool of POOL bytes with lz4 at
 * prio 1, zstd at prio 2, and file backings "one" and "two" of 32 MiB each.
 */
extern struct cgroup_rig *cgroup_rig_start (const char *pool,
                                            const char *sections);
/* Everything written is right, and the store is sound. */
extern void cgroup_rig_stop (struct cgroup_rig *rig);

/* Write another configuration, and reload it. */
extern void cgroup_rig_reload (struct cgroup_rig *rig, const char *pool,
                               const char *sections);

/* Create or remove the folder of a cgroup, "/db"; create tells its id. */
extern uint64_t cgroup_rig_create (struct cgroup_rig *rig, const char *path);
extern void cgroup_rig_remove (struct cgroup_rig *rig, const char *path);

/* Write COUNT pages from FIRST on with tags of cgroup ID, in requests of at
 * most MERGED pages.  How many were, before there was no room.
 */
extern unsigned cgroup_rig_write (struct cgroup_rig *rig, unsigned first,
                                  unsigned count, enum page_kind kind,
                                  uint64_t id, unsigned merged);
extern void cgroup_rig_trim (struct cgroup_rig *rig, unsigned first,
                             unsigned count);
extern void cgroup_rig_check (struct cgroup_rig *rig, unsigned first,
                              unsigned count);

/* Of how many pages of a range this is true: they have an object; it is in
 * memory, or on BACKING (-1: either); its tier has PRIO (0: any); its cgroup
 * has INDEX (CGROUP_NONE: any).
 */
#define CGROUP_RIG_ANYWHERE (-1)
#define CGROUP_RIG_MEMORY (-2)
extern unsigned cgroup_rig_count (struct cgroup_rig *rig, unsigned first,
                                  unsigned count, int where, unsigned prio,
                                  uint32_t index);

/* What is known of a cgroup; there must be one.  The cleaner rests meanwhile:
 * what it moves at that moment is counted at both places.
 */
extern struct cgroup_info cgroup_rig_info (struct cgroup_rig *rig,
                                           const char *path);

/* Write back what may be, now; at most so many bytes, 0: all. */
extern void cgroup_rig_write_back (struct cgroup_rig *rig, uint64_t most);

#endif /* TIERSWAP_TEST_CGROUP_RIG_H */
