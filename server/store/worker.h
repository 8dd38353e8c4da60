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

/* A group as it was read last: all its pages, so that neighbours are
 * decompressed once for a request.
 */
struct group_read {
  slot_word word; /* of its members, unreferenced; 0: none */
  /* Its segment + 1 where a pin keeps the word from coming to mean something
   * else; 0: the caller knows that it does not.
   */
  uint32_t pinned;
  unsigned char pages[GROUP_PAGES * PAGE_BYTES] __attribute__ ((aligned (64)));
};

/* A page is stored raw unless compression saves at least this, in bytes. */
#define LEAST_SAVING 64

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
  struct group_read group;
  /* The cleaner's own: it may come while a batch waits for room. */
  unsigned char remade[GROUP_PAGES * OBJECT_ROOM]
      __attribute__ ((aligned (64)));
  bool groups; /* its thread may take memory for compressing groups */
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

/* May a page in memory be made into another object?  Not if it is damaged, as
 * far as that is looked at (store_set_verify): a new checksum would hide it.
 */
extern bool worker_may_remake (const struct worker *worker,
                               const struct append *old);

/* Decompress the page of SLOT, which WORD says is in OBJECT, of a segment that
 * is held, into PAGE.  -1 with errno EIO.
 */
extern int worker_unpack (struct worker *worker, enum codec_kind kind,
                          const struct object *object, uint64_t slot,
                          slot_word word, void *page);

static inline void
worker_count (_Atomic uint64_t *counter, uint64_t n)
{
  atomic_store_explicit (
      counter, atomic_load_explicit (counter, memory_order_relaxed) + n,
      memory_order_relaxed);
}

#endif /* TIERSWAP_WORKER_H */
