/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading pages: from frames at once, from backings many together. */
#ifndef TIERSWAP_READER_H
#define TIERSWAP_READER_H

#include "store/worker.h"

/* What a page held when it was read, for who wants to replace it: its word,
 * and for a same-filled one its pattern.
 */
struct reading {
  slot_word word;
  uint64_t pattern;
  uint64_t held; /* control units to drop: a pin or a hold, or 0 */
};

/* Read the page of SLOT into PAGE.  If its word is an object, its segment
 * stays held until reader_let_go: the word cannot come to mean something else
 * meanwhile.  -1 with errno EIO; nothing is held then.
 */
extern int reader_page (struct store *store, struct worker *worker,
                        uint64_t slot, void *page, struct reading *reading);
extern void reader_let_go (struct store *store, const struct reading *reading);

#endif /* TIERSWAP_READER_H */
