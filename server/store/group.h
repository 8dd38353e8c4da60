/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups: up to four neighbouring pages compressed as one object (object.h).
 *
 * They are made when pages are demoted.  A page of a group is read by
 * decompressing all of it; it is overwritten and trimmed like any other, since
 * its word accounts for its share alone.  What its dead members take is only
 * freed by making the group anew: the cleaner never copies one of which not all
 * members are live, and so what is live and what is taken meet again.
 */
#ifndef TIERSWAP_GROUP_H
#define TIERSWAP_GROUP_H

#include "store/worker.h"

/* The page of SLOT in a group whose segment is held, and which WORD points
 * at.  It is there until the next group is read.  NULL with errno EIO.
 */
extern const void *group_page (struct worker *worker, enum codec_kind kind,
                               const struct object *object, uint64_t slot,
                               slot_word word);

/* Remember the group read last for the next page of a request: the caller's
 * pin of its segment passes to it.
 */
extern void group_keep (struct worker *worker, uint32_t segment);

/* Forget it.  Due before the segments of what was read are let go. */
extern void group_forget (struct worker *worker);

/* Compress the COUNT pages of LIST, in the order of their slots and of the same
 * four, that stand one after another at PAGES, for TIER into ROOM (COUNT *
 * OBJECT_ROOM bytes).  False, and LIST is as it was, if that makes MOST stored
 * bytes or more.
 */
extern bool group_make (struct worker *worker, unsigned tier,
                        struct append *list, unsigned count,
                        const unsigned char *pages, unsigned char *room,
                        uint32_t most);

/* Of a group of a claimed segment in memory the COUNT live members are LIST:
 * decompress them to the worker's group.pages, one after another.  False if the
 * group cannot be read.
 */
extern bool group_gather (struct worker *worker, const struct segment *segment,
                          const struct append *list, unsigned count);

/* Of such a group, compress them again, together or alone, into the worker's
 * remade.  False, and LIST is as it was, if the group cannot be read.
 */
extern bool group_remake (struct worker *worker, const struct segment *segment,
                          struct append *list, unsigned count);

#endif /* TIERSWAP_GROUP_H */
