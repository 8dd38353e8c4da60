/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker: what one thread that serves requests has for itself.
 *
 * It is made when the thread first comes (or taken over from a thread that has
 * ended) and then has everything a request needs: codec contexts, room for a
 * batch of compressed pages, counters that nobody else writes.
 */
#ifndef TIERSWAP_WORKER_H
#define TIERSWAP_WORKER_H

#include "store/append.h"
#include "store/backed.h"
#include "store/internal.h"

/* Pages compressed before they are appended together. */
#define BATCH_PAGES 16
#define OBJECT_ROOM                                                            \
  ((OBJECT_HEADER + PAGE_BYTES + OBJECT_UNIT - 1) / OBJECT_UNIT * OBJECT_UNIT)

struct worker_counters {
  /* Written by the worker's thread alone, read by statistics. */
  _Atomic uint64_t reads, writes, trims, read_errors, write_errors;
  _Atomic uint64_t writes_raw;
};

struct worker {
  struct store *store;
  struct worker *next, *next_idle;
  struct codec_context *codec;
  struct worker_counters counters;
  struct backed_reads backed;
  uint64_t room_deadline; /* of the request: how long it may wait for room */
  struct append batch[BATCH_PAGES];
  const unsigned char *pages[BATCH_PAGES]; /* the batch, uncompressed */
  unsigned char page[PAGE_BYTES] __attribute__ ((aligned (64)));
  unsigned char room[BATCH_PAGES * OBJECT_ROOM] __attribute__ ((aligned (64)));
};

/* The worker of this thread.  NULL with errno ENOMEM. */
extern struct worker *worker_get (struct store *store);

/* The store has no workers yet.  -1 with errno. */
extern int workers_create (struct store *store);

/* Make one ready for a thread that will come. */
extern int worker_prepare (struct store *store);
extern void workers_free (struct store *store);

/* Compress the page of SLOT for TIER into ROOM, OBJECT_ROOM bytes, as an
 * object with its header.
 */
extern void worker_make_object (struct worker *worker, unsigned tier,
                                uint64_t slot, const void *page,
                                unsigned char *room);

static inline void
worker_count (_Atomic uint64_t *counter, uint64_t n)
{
  atomic_store_explicit (
      counter, atomic_load_explicit (counter, memory_order_relaxed) + n,
      memory_order_relaxed);
}

#endif /* TIERSWAP_WORKER_H */
