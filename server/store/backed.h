/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading objects that are on backings: a worker gathers those of a request,
 * reads exactly the blocks that hold them, neighbours together, and checks
 * each object before it is decompressed.
 */
#ifndef TIERSWAP_BACKED_H
#define TIERSWAP_BACKED_H

#include <stdint.h>

#include "backing/backing.h"
#include "store/segment.h"
#include "store/slot.h"

struct store;
struct worker;

#define BACKED_READS 32
/* A page's object of any offset touches at most three blocks, a group six. */
#define BACKED_ROOM (BACKED_READS * 6 * BACKING_ALIGNMENT)

/* One object to read.  Its segment has a hold. */
struct backed {
  uint64_t slot;
  slot_word word;
  uint64_t place;
  void *to; /* the page's bytes from START on, LENGTH of them */
  uint32_t start, length;
  uint32_t io, io_offset; /* where its header is, once it is read */
};

struct backed_reads {
  unsigned count;
  struct backing_queue *queue; /* made when first needed */
  unsigned char *blocks;       /* BACKED_ROOM bytes, aligned */
  struct backed list[BACKED_READS];
  struct backing_io ios[BACKED_READS];
};

/* Read all that were gathered, and drop their holds.  -1 with errno EIO if
 * any of them failed; the others are there.
 */
extern int backed_read (struct store *store, struct worker *worker);

/* The same for one, whose hold is kept unless it fails. */
extern int backed_read_one (struct store *store, struct worker *worker,
                            const struct backed *one);

extern void backed_free (struct backed_reads *reads);

/* Count, and the first time tell, that what was read from the backing of this
 * INDEX is not what was written to it.
 */
extern void backed_wrong (struct store *store, unsigned index);

#endif /* TIERSWAP_BACKED_H */
