/* SPDX-License-Identifier: BSD-3-Clause */
/* A recovery that is under way, for its parts: the survey of what the state
 * holds, the repair of segments that were being written to, and recover.c,
 * which builds the rest from what they found.
 */
#ifndef TIERSWAP_RECOVERY_H
#define TIERSWAP_RECOVERY_H

#include <time.h>

#include "store/append.h"
#include "store/state.h"

/* The smallest object of one page, in units. */
#define UNITS_LEAST (object_share_units (1, 1))

/* What the slot words say of a segment. */
struct found {
  uint64_t contents;
  uint32_t units;
  uint32_t referenced;
  uint32_t tail; /* of one in memory: where its last object ends */
  bool repair;   /* its headers do not lead from one object to the next, or
                    one may have been written in part */
};

/* An object of a segment to repair. */
struct piece {
  uint32_t segment, units, slot;
  slot_word word;
};

struct recovery {
  struct store *store;
  struct found *found;  /* by number of segment */
  uint32_t mark;        /* segments from here on were never used */
  uint32_t frames_mark; /* frames likewise */
  uint64_t *same;       /* by cgroup */
  uint64_t pages;       /* that have an object */
  uint64_t all_same;    /* same-filled pages */
  uint32_t on_backings; /* segments */
  uint32_t cgroups;
  struct piece *pieces; /* of segments to repair, by segment and place */
  uint64_t pieces_count, to_repair;
  char **error;
  time_t started, told;
};

/* -1 with errno EUCLEAN and the sentence: WHAT is wrong, and in which one. */
extern int recovery_damaged (struct recovery *recovery, const char *what,
                             uint64_t number);

/* A line for who waits. */
extern void recovery_tell (struct recovery *recovery, const char *what,
                           uint64_t done, uint64_t all);

/* The frame of a segment in memory. */
extern const unsigned char *recovery_frame (struct store *store,
                                            uint32_t number);

/* Look at all slot words, then at all segments that they point at, and note
 * what is found.  -1 with errno and the sentence.
 */
extern int survey_slots (struct recovery *recovery);
extern int survey_segments (struct recovery *recovery);

/* Of the segments to repair: look up their objects; is each of them where its
 * word says, and can be filled what lies between?  -1 with errno and the
 * sentence.  Then fill it.
 */
extern int repair_gather (struct recovery *recovery);
extern int repair_check (struct recovery *recovery);
extern void repair_all (struct recovery *recovery);

#endif /* TIERSWAP_RECOVERY_H */
