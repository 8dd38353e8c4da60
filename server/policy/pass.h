/* SPDX-License-Identifier: BSD-3-Clause */
/* A pass of the writeback thread: segments are picked, the coldest first, and
 * written as they are or packed first, until enough has left or nothing fits
 * any more.  Beside it, what the parts of writeback share.
 */
#ifndef TIERSWAP_PASS_H
#define TIERSWAP_PASS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/wake.h"
#include "policy/writeback.h"
#include "store/mover.h"
#include "store/pick.h"

/* Segments moved in one go before looking whether something else is more
 * urgent.
 */
#define TURN 64

/* While a backing is late (mover_late), milliseconds after which is looked
 * whether it goes on.
 */
#define LATE_POLL_MILLISECONDS 50

/* Who drains the backing of one index. */
struct drainer {
  struct writeback *writeback;
  unsigned index;
  bool started; /* of the writeback thread */
  pthread_t thread;
  struct wake wake;
  _Atomic bool at_work;
  unsigned fruitless; /* times in a row that it only met errors */
};

/* One pass: how far to go. */
struct pass {
  struct pick pick;
  uint32_t least;             /* stored bytes: shorter objects stay */
  uint64_t down_to;           /* bytes used in the pool, or under the cap; 0:
                                 everything that fits */
  uint32_t cap;               /* 0: none */
  uint64_t max;               /* bytes to write, 0: no bound */
  uint64_t most_pages;        /* that the command writes, 0: no bound */
  unsigned most;              /* segments to look at, 0: no bound */
  bool seal;                  /* open segments too, when the others are gone */
  uint64_t started;           /* bytes whose writing was started */
  uint64_t pages_looked;      /* pages of segments that were looked at */
  unsigned progress;          /* segments that were written or packed */
  int error;                  /* why it ended early: ENOSPC, EDQUOT, ETIMEDOUT
                                 (those that would take it are late) */
  const _Atomic bool *cancel; /* NULL: it cannot be called off */
};

/* How a command ended. */
struct command_result {
  struct writeback_counters counters;
  int error;
  bool ended;
};

struct writeback {
  struct store *store;
  struct backings *backings;
  struct mover *mover;
  struct wake wake;
  pthread_t thread;
  _Atomic bool stop;

  _Atomic unsigned high, low, age;
  _Atomic uint64_t limit;
  _Atomic unsigned demote_ages[STORE_TIERS];

  _Atomic uint64_t segments, pages, bytes, pages_demoted;
  _Atomic uint64_t spent;        /* of the daily limit, bytes */
  _Atomic uint64_t writing;      /* bytes in flight to backings */
  time_t day;                    /* when it was last reset */
  struct writeback_counters own; /* what the writeback thread itself moved */
  _Atomic unsigned late;         /* a bit for each backing that was at last */

  struct drainer drainers[STORE_BACKINGS];
  bool told; /* that one could not be started */
  /* Drainers hold it while they use backings, the writeback thread to close
   * one: it is the only one that does, so it needs no lock to use them.
   */
  pthread_rwlock_t in_use;
  _Atomic bool closing; /* it is waiting for that */

  bool merging;        /* a sweep is under way */
  unsigned merged;     /* the backing that it is on */
  uint32_t merge_next; /* the segment that it has come to */
  time_t merge_after[STORE_BACKINGS];

  pthread_mutex_t lock; /* of the command */
  pthread_cond_t done;
  const struct writeback_command *command; /* NULL: none */
  struct command_result *result;           /* of its caller */
  /* Of the thread: */
  const struct writeback_command *begun; /* the command that it is at */
  struct pass command_pass;
  uint32_t command_began;  /* in this second */
  uint64_t command_pages;  /* that were there at first, if all are to go */
  uint64_t command_tag;    /* of its moves, unlike that of any before */
  bool commanding;         /* its passes are run */
  unsigned command_late;   /* it waits while these backings are late */
  uint64_t command_flying; /* and so many of its pages are in flight */
  struct writeback_counters commanded; /* what it moved so far */
  /* A bit for each backing that gave up one of its moves.  It gives it no
   * other: a server whose disk hangs would take that, too, and again, for ever.
   */
  unsigned command_avoids;
};

/* A pass over what was not written to for AGE seconds (0: over all), with no
 * other bound.
 */
extern struct pass pass_for (uint32_t age);
extern void pass_run (struct writeback *writeback, struct pass *pass);

/* Seal the open segments that fit, but for those that are packed for writeback,
 * which are still filled.
 */
extern void pass_seal (struct writeback *writeback, const struct pass *pass);

/* Has so much left, or is on its way, as the pass is for?  What is in flight on
 * a backing that is late is not.
 */
extern bool pass_enough (struct writeback *writeback, const struct pass *pass);

/* The clock that segments tell their age by. */
extern time_t pass_seconds (void);

/* Bytes of the daily limit that are left, and whether so many may be written
 * beside what is being written.
 */
extern uint64_t writeback_limit_left (struct writeback *writeback);
extern bool writeback_limit_allows (struct writeback *writeback,
                                    uint64_t bytes);

/* Start to write a claimed segment to BACKING.  -1 as mover_write. */
extern int writeback_start_write (struct writeback *writeback,
                                  struct mover *mover, uint32_t segment,
                                  int backing);

/* A move has ended: count it. */
extern void writeback_count (struct writeback *writeback,
                             const struct moved *moved);

/* A bit for each backing that is late for the writeback thread.  By it alone;
 * others see what it found last.
 */
extern unsigned writeback_late (struct writeback *writeback);

/* Count the moves of the writeback thread that have ended. */
extern void writeback_collect_ended (struct writeback *writeback);

/* Wait for one to end; false if there is none, but on backings that are late or
 * become so meanwhile.  Take it, for who wants to know which it was.  For all
 * of those.
 */
extern bool writeback_collect (struct writeback *writeback);
extern bool writeback_take (struct writeback *writeback, struct moved *moved);
extern void writeback_collect_all (struct writeback *writeback);

/* Wait for those that are late, too. */
extern void writeback_collect_late (struct writeback *writeback);

#endif /* TIERSWAP_PASS_H */
