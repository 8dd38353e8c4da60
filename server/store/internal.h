/* SPDX-License-Identifier: BSD-3-Clause */
/* The store's own parts, for the files of this folder and its tests. */
#ifndef TIERSWAP_STORE_INTERNAL_H
#define TIERSWAP_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/wake.h"
#include "store/frame.h"
#include "store/segment.h"
#include "store/slots.h"
#include "store/store.h"

/* Objects of one owner go to segments of their own by where they come from:
 * what was just written is likely to be overwritten before what has survived
 * a cleaning.
 */
enum stream { STREAM_FRESH, STREAM_SURVIVORS, STREAMS };

/* An owner is one (cgroup, memory tier, writeback class). */
struct owner {
  pthread_mutex_t lock;           /* of the list, and of opening segments */
  _Atomic uint32_t open[STREAMS]; /* segment + 1, 0: none */
  uint32_t oldest, newest;        /* sealed segments in memory, + 1 */
} __attribute__ ((aligned (64)));

struct tier {
  unsigned prio;
  enum codec_kind kind;
  _Atomic int level;
  _Atomic uint64_t limit;  /* bytes, 0: none */
  _Atomic uint32_t frames; /* in use */
  _Atomic bool full;       /* a hint: do not compress for it in vain */
};

struct cleaner {
  struct wake wake;
  pthread_mutex_t lock;  /* of the victims */
  pthread_mutex_t round; /* its thread is at work */
  uint32_t *victims;    /* segments, the emptiest first */
  uint32_t victims_count, victims_next;
  _Atomic uint64_t dead_units, used_units; /* sealed segments, when scanned */
  _Atomic bool behind; /* writers help */
  _Atomic bool asleep; /* at rest until a request changes something */
  _Atomic uint64_t scanned_at; /* store.opened when last scanned */
  _Atomic uint64_t segments_cleaned, bytes_copied, nanoseconds;
};

struct store {
  uint64_t size;
  struct slots slots;
  struct arena arena;
  struct segments segments;
  struct owner *owners; /* by owner_index, sparse */
  struct tier tiers[STORE_TIERS];
  unsigned tiers_count;
  _Atomic uint64_t pool_limit;
  _Atomic uint32_t frames; /* in use, of all tiers */
  _Atomic uint64_t peak;   /* most bytes ever used */
  _Atomic uint64_t *same;  /* same-filled pages, by cgroup */
  _Atomic uint32_t cgroups; /* those below this number have pages */
  _Atomic uint64_t opened; /* segments ever opened */
  struct cleaner cleaner;

  pthread_key_t worker_key;
  pthread_mutex_t workers_lock; /* taken when a thread first comes or ends */
  struct worker *workers, *idle_workers;

  _Atomic bool stop;
  pthread_t keeper_thread, cleaner_thread;
  unsigned threads; /* started */
};

static inline uint32_t
owner_index (uint32_t cgroup, unsigned tier, unsigned class)
{
  return (cgroup * STORE_TIERS + tier) * STORE_CLASSES + class;
}

static inline unsigned
owner_tier (uint32_t owner)
{
  return owner / STORE_CLASSES % STORE_TIERS;
}

static inline uint32_t
owner_cgroup (uint32_t owner)
{
  return owner / (STORE_CLASSES * STORE_TIERS);
}

#define STORE_OWNERS (SLOT_CGROUPS * STORE_TIERS * STORE_CLASSES)

static inline struct segment *
store_segment (struct store *store, uint32_t number)
{
  return &store->segments.table[number];
}

/* Bytes of memory that stored pages cost now. */
extern uint64_t store_memory_used (struct store *store);
extern uint64_t store_meta_bytes (struct store *store);

#endif /* TIERSWAP_STORE_INTERNAL_H */
