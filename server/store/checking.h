/* SPDX-License-Identifier: BSD-3-Clause */
/* A check that is under way, for its parts: check.c, which walks over the slot
 * words and the places, and check-counts.c.
 */
#ifndef TIERSWAP_CHECKING_H
#define TIERSWAP_CHECKING_H

#include "store/append.h"
#include "store/check.h"

/* What of the control word says that nothing came or went. */
#define CONTROL_COUNTS                                                         \
  (CONTROL_STATE | CONTROL_UNITS << CONTROL_LIVE_SHIFT                         \
   | CONTROL_UNITS << CONTROL_TAIL_SHIFT | CONTROL_HOLDS * CONTROL_HOLD)

/* Of a segment: as it was, and what was found to point at it. */
struct found {
  uint64_t control, before;
  uint64_t contents; /* found */
  uint32_t units;    /* found */
  bool counting;
};

struct checking {
  struct store *store;
  struct store_check *check;
  struct found *found;
  uint32_t segments; /* how many of them */
  uint32_t *backed;  /* segments on backings that did not add up at once */
  uint32_t backed_count;
  uint64_t *places; /* of all segments on backings */
  uint32_t places_count;
};

/* Say WHAT is wrong, and in which one.  -1 with errno EUCLEAN. */
extern int check_wrong (struct store_check *check, const char *what,
                        uint64_t number);

/* True, with errno ECANCELED, if it was called off. */
extern bool check_cancelled (const struct store_check *check);

extern uint64_t check_milliseconds (void);
extern void check_pause (void);

/* Keep a segment as a reader does. */
extern void check_pin (struct store *store, uint32_t number);

/* The object at so many units of a frame. */
extern const struct object *check_object_at (struct store *store,
                                             uint64_t place, uint32_t units);

/* Do the live counts of all segments add up?  -1 with errno. */
extern int check_segments (struct checking *checking);

#endif /* TIERSWAP_CHECKING_H */
