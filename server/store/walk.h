/* SPDX-License-Identifier: BSD-3-Clause */
/* Walking over the live objects of a claimed segment in memory, a few at a
 * time, so that their slot words are fetched together.
 */
#ifndef TIERSWAP_WALK_H
#define TIERSWAP_WALK_H

#include "store/append.h"
#include "store/internal.h"

#define WALK_OBJECTS 32

struct walk {
  struct store *store;
  uint32_t segment, stamp;
  const unsigned char *base;
  uint32_t offset, tail; /* units */
};

extern struct walk walk_start (struct store *store, uint32_t segment);

/* Where the objects of a segment go that is emptied: to STREAM with their age.
 */
extern struct append_target
walk_target (struct store *store, struct segment *segment, enum stream stream);

/* Where those go that stay with their owner, and are what they were: survivors,
 * or still such as were tried to be demoted.
 */
extern struct append_target walk_target_staying (struct store *store,
                                                 struct segment *segment);

/* Where those go that were read since: they start a new life among the
 * youngest, unread.
 */
extern struct append_target walk_target_young (struct store *store,
                                               struct segment *segment);

/* The next live pages, with the slot words that point at their objects: how
 * many, 0 at the end.  The live pages of a group come together.  A header that
 * makes no sense is the end, too.
 */
extern unsigned walk_next (struct walk *walk, struct append live[WALK_OBJECTS]);

/* Append the COUNT objects of LIST to TARGET, where they replace those of the
 * walked segment; what was moved is subtracted from it.  -1 if there is no
 * room for all.
 */
extern int walk_move (struct walk *walk, const struct append_target *target,
                      struct append *list, unsigned count);

#endif /* TIERSWAP_WALK_H */
