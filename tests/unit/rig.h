/* SPDX-License-Identifier: BSD-3-Clause */
/* A store with file backings in a folder of its own and writeback, for tests
 * of what moves where.  It remembers what each page holds, and can tell where
 * each page is.
 */
#ifndef TIERSWAP_TEST_RIG_H
#define TIERSWAP_TEST_RIG_H

#include "pages.h"
#include "policy/writeback.h"
#include "store/append.h"

#define MIB (UINT64_C (1) << 20)
#define RIG_PAGES 16384 /* 64 MiB */

/* Where a page is, else the index of a backing. */
#define RIG_NOWHERE (-1) /* empty or same-filled */
#define RIG_MEMORY (-2)

struct rig {
  struct store *store;
  struct backings backings;
  struct writeback *writeback;
  pthread_mutex_t lock;
  char folder[64];
  bool cleaner_rests;
  struct {
    bool written;
    enum page_kind kind;
    uint64_t seed;
  } pages[RIG_PAGES];
};

/* A store of so much memory with lz4 at prio 1 and zstd at prio 2, nothing
 * that moves by itself, and no backing.
 */
extern struct rig *rig_start (uint64_t pool_limit);

/* Everything stored is right (unless the test lost it), the store is sound,
 * and all goes away.
 */
extern void rig_stop (struct rig *rig);

/* See rest.h.  rig_stop lets it go on. */
extern void rig_rest_cleaner (struct rig *rig);
extern void rig_resume_cleaner (struct rig *rig);

/* Add a file backing of so many extents; its index. */
extern unsigned rig_add (struct rig *rig, const char *name, unsigned prio,
                         unsigned extents);
extern unsigned rig_add_config (struct rig *rig,
                                const struct config_backing *config);

/* Drain a backing; LEAVE: and close it then. */
extern void rig_drain (struct rig *rig, unsigned backing, bool leave);

/* Has all been punched out of the file of a backing?  Until then extents that
 * were freed may be kept back for a moment.
 */
extern bool rig_is_empty (struct rig *rig, const char *name);

/* Write COUNT pages from FIRST on.  How many were, before the first one for
 * which there was no room.
 */
extern unsigned rig_write (struct rig *rig, unsigned first, unsigned count,
                           enum page_kind kind,
                           const struct store_placement *placement);

/* Read COUNT pages from FIRST on: they are right. */
extern void rig_check (struct rig *rig, unsigned first, unsigned count);

/* Where a page is, and how many of a range are there. */
extern int rig_where (struct rig *rig, unsigned page);
extern unsigned rig_count (struct rig *rig, unsigned first, unsigned count,
                           int where);

/* Trim one page. */
extern void rig_trim (struct rig *rig, unsigned page);

/* The slot word of a page, but for whether it was read. */
extern slot_word rig_word (struct rig *rig, unsigned page);

/* Make the segments of the range look so many seconds older. */
extern void rig_age (struct rig *rig, unsigned first, unsigned count,
                     unsigned seconds);

/* Write back by command; it must work.  The cleaner rests meanwhile. */
extern struct writeback_counters
rig_command (struct rig *rig, const struct writeback_command *command);

/* Everything, of any cgroup and tier. */
#define RIG_ALL ((struct writeback_command){ .cgroup = -1, .tier = -1 })

/* Wait until writeback has looked at all that it does by itself, and found
 * nothing to do.  The cleaner rests meanwhile.
 */
extern void rig_settle (struct rig *rig);

/* Wait until a condition holds, with a bound that is far from it. */
#define rig_wait(condition)                                                    \
  do {                                                                         \
    for (unsigned tries_ = 0; !(condition); ++tries_) {                        \
      if (tries_ == 30000)                                                     \
        fail_msg ("this did not come about: %s", #condition);                  \
      rig_pause ();                                                            \
    }                                                                          \
  } while (0)
extern void rig_pause (void);

#endif /* TIERSWAP_TEST_RIG_H */
