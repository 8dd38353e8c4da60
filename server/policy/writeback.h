/* SPDX-License-Identifier: BSD-3-Clause */
/* Writeback: what leaves memory, when, and where to.
 *
 * One thread moves segments, many at once in flight.  It works
 *   - when the pool is above `high` percent of its limit, down to `low`, and
 *     whenever a writer finds no room;
 *   - when cgroups have more in memory than the cap they are under allows, and
 *     then only their own;
 *   - when segments were not written to for `age` seconds;
 *   - by command;
 *   - to demote pages into denser memory tiers, by the tiers' demote_age;
 *   - to drain backings, and to merge sparse extents when free ones run low.
 * The coldest segment goes first, those of tiers with higher prio numbers
 * before others; under pressure those of cgroups that hold at least an equal
 * share of the pool before all others.  A segment is written as it is if nearly
 * all of it is live and no page of it was read since; else its pages are packed
 * with others first, and those read since stay in memory.
 *
 * No backing that hangs holds the thread up, nor more than 2 MiB by it.
 * After a second in which nothing that is being written there has ended, it is
 * late: the thread does not wait for it, and others take what it should, by the
 * rules for one that has failed; where none does, the pages stay.  What is in
 * flight ends by its deadline at the latest, and is counted then; a command
 * ends with the last of its own.
 */
#ifndef TIERSWAP_WRITEBACK_H
#define TIERSWAP_WRITEBACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "policy/backings.h"
#include "policy/config.h"
#include "store/store.h"

struct writeback;

struct writeback_counters {
  uint64_t segments, pages, bytes;
  uint64_t pages_demoted;
  uint64_t limit;      /* bytes a day, 0: none */
  uint64_t limit_left; /* bytes that may still be written today */
};

/* What a command writes back. */
struct writeback_command {
  uint32_t age;   /* seconds untouched at least */
  uint32_t least; /* stored bytes at least */
  int64_t cgroup; /* index, or -1 for all */
  /* Those of these cgroups only; NULL: of any. */
  const struct store_cgroup_set *cgroups;
  int tier;                   /* index, or -1 for all */
  uint64_t max;               /* bytes, 0: all there is */
  const _Atomic bool *cancel; /* becomes true when it shall end; NULL: never */
};

/* Start the thread.  BACKINGS and the demotion ages (seconds by tier index)
 * may change while it runs.  NULL with errno.
 */
extern struct writeback *writeback_start (struct store *store,
                                          struct backings *backings);
extern void writeback_stop (struct writeback *writeback);

extern void writeback_configure (struct writeback *writeback,
                                 const struct config_writeback *config);
extern void writeback_set_demote_age (struct writeback *writeback,
                                      unsigned tier, unsigned seconds);

extern void writeback_get_counters (struct writeback *writeback,
                                    struct writeback_counters *counters);

/* Write back by command, and wait for it.  It takes what was there when it
 * began, give or take a second, and so ends although others go on writing. What
 * the cleaner moves while one by size is sorting is left to the next one.  The
 * counters are what it moved. -1 with errno ENOSPC if no backing takes anything
 * (all are full, failed or draining, or there is none), EDQUOT if the daily
 * limit is reached, EBUSY if another command is at work, ECANCELED if the
 * thread ends before it was begun.
 */
extern int writeback_run (struct writeback *writeback,
                          const struct writeback_command *command,
                          struct writeback_counters *done);

/* Look again, now: something was changed. */
extern void writeback_kick (struct writeback *writeback);

#endif /* TIERSWAP_WRITEBACK_H */
