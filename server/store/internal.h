/* SPDX-License-Identifier: BSD-3-Clause */
/* The store's own parts, for the files of this folder and its tests. */
#ifndef TIERSWAP_STORE_INTERNAL_H
#define TIERSWAP_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backing/backing.h"
#include "common/wake.h"
#include "store/cgroup.h"
#include "store/damage.h"
#include "store/frame.h"
#include "store/segment.h"
#include "store/slots.h"
#include "store/store.h"

/* Objects of one owner go to segments of their own by where they come from:
 * what was just written is likely to be overwritten before what has survived
 * a cleaning.  What was read and therefore spared is as young as what was just
 * written, and goes there; the others keep their age.
 */
enum stream {
  STREAM_FRESH,     /* just written, or read and spared */
  STREAM_SURVIVORS, /* copied by the cleaner */
  STREAM_OUTGOING,  /* packed for writeback, next in line for it */
  STREAM_TRIED,     /* the next tier would not make it shorter */
  STREAMS
};

/* An owner is one (cgroup, memory tier, writeback class). */
struct owner {
  pthread_mutex_t lock;           /* of the lists, and of opening segments */
  _Atomic uint32_t open[STREAMS]; /* segment + 1, 0: none */
  /* Sealed segments in memory, + 1, in the order of sealing. */
  struct {
    uint32_t oldest, newest;
  } list[STREAMS];
  /* Dead space of its segments that may be merged; of the writeback thread. */
  uint64_t mergeable_units;
} __attribute__ ((aligned (64)));

/* A memory tier.  Its index is its prio - 1; some may be absent. */
struct tier {
  _Atomic bool present;
  enum codec_kind kind; /* from when it is present on, for ever */
  _Atomic int level;
  _Atomic uint64_t limit;   /* bytes, 0: none */
  _Atomic uint32_t frames;  /* in use */
  _Atomic uint32_t lowered; /* frames in use when the limit was set last */
  _Atomic bool full;        /* a hint: do not compress for it in vain */
  /* Neighbouring pages that are compressed together when they are demoted
   * into the tier; 0 and 1: none.
   */
  _Atomic unsigned group;
  _Atomic bool grouped; /* it has had groups: objects may be large */
};

struct cleaner {
  struct wake wake;
  pthread_mutex_t lock;  /* of the victims */
  pthread_mutex_t round; /* its thread is at work */
  uint32_t *victims;     /* segments, the emptiest first */
  uint32_t victims_count, victims_next;
  _Atomic uint64_t dead_units, used_units; /* sealed segments, when scanned */
  _Atomic bool behind;                     /* writers help */
  _Atomic bool asleep;         /* at rest until a request changes something */
  _Atomic uint64_t scanned_at; /* store.opened when last scanned */
  _Atomic uint64_t segments_cleaned, bytes_copied, nanoseconds;
};

/* A segment in which something is live that its headers do not lead to. */
struct suspect {
  uint32_t segment;  /* claimed */
  unsigned searches; /* of the slot table that were made for it */
  uint64_t since;    /* milliseconds: found, or searched for last */
};

struct damage {
  pthread_mutex_t lock; /* of the suspects */
  struct suspect suspects[DAMAGE_SUSPECTS];
  _Atomic uint32_t count;
  _Atomic uint64_t pages_mended, pages_lost;
  _Atomic bool told_mended, told_lost;
};

/* Where segments go that leave memory.  Set and cleared live. */
struct store_backing {
  struct backing *_Atomic backing; /* NULL: none */
  _Atomic uint64_t *mark; /* in the state: extents from here on were never
                             written to; NULL: there is no state */
  _Atomic bool promote;
  _Atomic uint64_t patience; /* see store_set_patience */
  /* Threads that are giving an extent back: when it counts as free already,
   * they are still about to leave the backing.
   */
  _Atomic uint32_t leaving;
  _Atomic uint64_t checksum_errors;
  _Atomic bool told_wrong; /* there was one */
};

/* Writers that wait for frames. */
struct room_wait {
  _Atomic uint32_t freed; /* counts frames given back; a futex */
  _Atomic uint32_t waiters;
  _Atomic uint32_t missed;     /* the highest count that one waits beyond */
  _Atomic uint64_t asked;      /* requests for writeback */
  _Atomic uint64_t in_vain;    /* up to this one nothing could be written */
  struct wake *_Atomic writer; /* wakes who writes back; NULL: nobody does */
  _Atomic uint64_t high;       /* bytes used above which to wake it */
  /* Writers are slowed down above so many bytes used, by how long writing back
   * one page takes; 0: not now.
   */
  _Atomic uint64_t throttle_from, page_nanoseconds;
  /* Cgroups whose load is at least this cause the pressure: only they are
   * slowed down, and where others write too the last frames are not theirs.
   */
  _Atomic uint32_t fair_load;
  _Atomic bool contended;
};

struct state;

struct store {
  uint64_t size;
  struct state *state; /* NULL: it ends with the process */
  struct slots slots;
  struct arena arena;
  struct segments segments;
  struct owner *owners; /* by owner_index, sparse */
  struct tier tiers[STORE_TIERS];
  _Atomic uint64_t pool_limit;
  _Atomic uint32_t frames;     /* in use, of all tiers */
  _Atomic uint32_t lowered;    /* frames in use when the limit was set last */
  _Atomic uint32_t overdraft;  /* cleaners that need more than the headroom */
  _Atomic uint64_t peak;       /* most bytes ever used */
  _Atomic uint64_t *same;      /* same-filled pages, by cgroup */
  _Atomic uint32_t cgroups;    /* those below this number have pages */
  struct store_cgroup *cgroup; /* by index, sparse */
  struct store_cap *caps;      /* by number, sparse */
  _Atomic uint32_t caps_count; /* those below this number may be in use */
  _Atomic uint32_t begun;      /* open segments */
  _Atomic uint64_t opened;     /* segments ever opened */
  _Atomic uint64_t looked;     /* segments ever looked at to pick one */
  _Atomic bool verify;         /* objects in memory, each time they are read */
  _Atomic bool wipe;           /* frames, when they are given back */
  struct cleaner cleaner;
  struct damage damage;
  struct store_backing backings[STORE_BACKINGS];
  struct room_wait room;

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

static inline bool
tier_present (struct store *store, unsigned tier)
{
  return atomic_load_explicit (&store->tiers[tier].present,
                               memory_order_acquire);
}

/* The next tier that is present, or STORE_TIERS. */
static inline unsigned
tier_after (struct store *store, unsigned tier)
{
  do
    tier++;
  while (tier < STORE_TIERS && !tier_present (store, tier));
  return tier;
}

#define STORE_OWNERS (SLOT_CGROUPS * STORE_TIERS * STORE_CLASSES)

/* The bit of OWNER in the words of its cgroup. */
static inline uint32_t
owner_bit (uint32_t owner)
{
  return UINT32_C (1) << owner % (STORE_TIERS * STORE_CLASSES);
}

static inline struct segment *
store_segment (struct store *store, uint32_t number)
{
  return &store->segments.table[number];
}

static inline uint32_t
owner_class (uint32_t owner)
{
  return owner % STORE_CLASSES;
}

/* What a word of an object accounts for, in units and in contents. */
static inline uint32_t
word_units (slot_word word)
{
  return object_share_units (slot_length (word), slot_pages (word));
}

static inline uint64_t
word_contents (slot_word word)
{
  uint32_t length = slot_length (word);

  return contents_of (1, length == PAGE_BYTES, length);
}

/* The word of a page of OBJECT, which is OFFSET units into SEGMENT. */
static inline slot_word
word_of (const struct object *object, uint32_t segment, uint32_t offset)
{
  return slot_member (segment, offset, object_share (object),
                      object_pages (object));
}

/* Does OBJECT have the page that SLOT's WORD says is in it? */
static inline bool
word_is_of (slot_word word, uint64_t slot, const struct object *object)
{
  return object_is_of (object, slot, slot_length (word), slot_pages (word));
}

extern uint64_t store_meta_bytes (struct store *store);

#endif /* TIERSWAP_STORE_INTERNAL_H */
