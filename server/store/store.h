/* SPDX-License-Identifier: BSD-3-Clause */
/* The store: where every page of the device is.
 *
 * Promises:
 * - A page is found by one atomic word (slot.h).  Readers and writers of
 *   different pages share no lock; readers of one page share none either.
 * - Requests allocate nothing and wait only for memory to be made room in.
 * - The slot table is the truth; all else (live counts, lists, statistics)
 *   can be rebuilt from it and from the segment table.
 * - A page read is the page last written, or the read fails.
 */
#ifndef TIERSWAP_STORE_H
#define TIERSWAP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/codec.h"

#define STORE_TIERS 4
#define STORE_BACKINGS 4
#define STORE_CLASSES 5 /* writeback_prio 0 (never) to 4 */
#define STORE_GROUP 4   /* most pages that are compressed together */
#define STORE_CGROUPS (1 << 16)

struct store;
struct state;
struct backing;

struct store_tier_options {
  unsigned prio; /* 1 to 4, ascending in the array */
  struct codec codec;
  uint64_t limit; /* bytes of memory, 0: only the pool's */
};

struct store_options {
  uint64_t size;       /* bytes of the device, a multiple of 4096 */
  uint64_t pool_limit; /* bytes of memory, of segments and tables together */
  struct store_tier_options tiers[STORE_TIERS];
  unsigned tiers_count; /* 1 to 4 */
  /* Where tables and pages are kept beyond the process (state.h), or NULL.
   * The store takes it, also when it fails.
   */
  struct state *state;
};

/* Whose page it is and what is to become of it: the policy of its cgroup at
 * the time it is written.
 */
struct store_placement {
  uint32_t cgroup;         /* index of the cgroup, 0: "/" */
  uint8_t prio;            /* of the memory tier tried first, 1 to 4 */
  uint8_t writeback_prio;  /* 0: never written back; 1 to 4 */
  uint16_t writeback_size; /* stored bytes from which on it is eligible */
};

/* Map the tables and the arena, sparse.  -1 with errno ENOMEM or EINVAL. */
extern int store_create (const struct store_options *options,
                         struct store **store);

/* Of a store whose state was there before: find out what it holds and rebuild
 * all that follows from it; nothing to do for others.  Call it next.  -1 with
 * errno, and *ERROR is a sentence to free(): EUCLEAN if it is damaged, EINVAL
 * if it does not go with these tiers.  The state is then as it was.
 */
extern int store_recover (struct store *store, char **error);

/* Then, for each backing that segments are placed on: tell it which extents
 * they are in.  -1 likewise.
 */
extern int store_recover_backing (struct store *store, unsigned index,
                                  struct backing *backing, char **error);

/* The extents of a backing that segments are in are all below this one. */
extern uint64_t store_extents_end (struct store *store, unsigned index);

/* The state, or NULL. */
extern struct state *store_state (const struct store *store);

/* Start the threads: the one that keeps frames in reserve and the cleaner.
 * -1 with errno.
 */
extern int store_start (struct store *store);

/* Stop the threads and unmap everything.  No request may be in progress. */
extern void store_free (struct store *store);

extern uint64_t store_size (const struct store *store);

/* Requests: see tierswap_read and its neighbours in tierswap.h. */
extern int store_read (struct store *store, void *buffer, size_t count,
                       uint64_t offset);
extern int store_write (struct store *store, const void *buffer, size_t count,
                        uint64_t offset,
                        const struct store_placement *placement);
extern int store_trim (struct store *store, uint64_t count, uint64_t offset);
extern int store_zero (struct store *store, uint64_t count, uint64_t offset,
                       bool punch, const struct store_placement *placement);

enum store_extent { STORE_DATA, STORE_HOLE, STORE_ZERO };
extern int store_extents (struct store *store, uint64_t count, uint64_t offset,
                          int (*callback) (void *opaque, uint64_t offset,
                                           uint64_t length,
                                           enum store_extent kind),
                          void *opaque);

/* Make a backing known by its INDEX, or NULL when no segment is placed there
 * any more.  PROMOTE: a page read from it returns to its memory tier.
 */
extern void store_set_backing (struct store *store, unsigned index,
                               struct backing *backing);
extern void store_set_promote (struct store *store, unsigned index,
                               bool promote);

/* Nanoseconds until the moves of a backing are late (see mover_late), 0: the
 * usual.  For tests: no other may depend on how fast a disk is just now.
 */
extern void store_set_patience (struct store *store, unsigned index,
                                uint64_t nanoseconds);

extern uint64_t store_pool_limit (const struct store *store);

/* Bytes of memory that stored pages cost now. */
extern uint64_t store_memory_used (struct store *store);

/* Live changes.  A limit below what is in use is approached by cleaning (and
 * writeback, where there is any); meanwhile nothing new is stored above it.
 */
/* Tiers are told apart by their index, which is their prio - 1. */
extern int store_add_tier (struct store *store,
                           const struct store_tier_options *options);
extern bool store_has_tier (struct store *store, unsigned tier);
extern void store_set_pool_limit (struct store *store, uint64_t limit);
extern void store_set_tier_limit (struct store *store, unsigned tier,
                                  uint64_t limit);
/* The kind stays; pages already stored are not touched. */
extern void store_set_tier_level (struct store *store, unsigned tier,
                                  int level);

/* Compress up to so many neighbouring pages (1 to STORE_GROUP) together when
 * they are demoted into the tier.  Off (1) at first.
 */
extern void store_set_tier_group (struct store *store, unsigned tier,
                                  unsigned pages);

/* VERIFY: the checksum of an object in memory is compared each time it is read,
 * as that of one on a backing always is; a page that was damaged reads EIO.
 * WIPE: a frame is filled with zeros when it is given back.
 */
extern void store_set_verify (struct store *store, bool verify);
extern void store_set_wipe (struct store *store, bool wipe);

/* Clean until no segment is worth cleaning: at most 1/32 of each is dead. */
extern void store_compact (struct store *store);

/* The same, one segment a call: false when none is worth it any more. */
extern bool store_compact_one (struct store *store);

struct store_tier_statistics {
  uint64_t pages, pages_raw;
  uint64_t compr_bytes;    /* stored lengths, without headers and padding */
  uint64_t mem_used_bytes; /* frames of the tier's segments, open ones too */
  uint64_t segments;
  uint64_t limit_bytes;
  struct codec codec;
};

struct store_backing_statistics {
  uint64_t pages, compr_bytes, segments;
  uint64_t checksum_errors; /* objects that came back wrong */
};

struct store_cgroup_statistics {
  uint64_t pages_memory, pages_backing, pages_same, compr_bytes;
};

/* Some of the cgroups, a bit an index. */
struct store_cgroup_set {
  uint64_t bits[STORE_CGROUPS / 64];
};

static inline void
store_cgroup_set_add (struct store_cgroup_set *set, uint32_t cgroup)
{
  set->bits[cgroup / 64] |= UINT64_C (1) << cgroup % 64;
}

static inline bool
store_cgroup_set_has (const struct store_cgroup_set *set, uint32_t cgroup)
{
  return set->bits[cgroup / 64] >> cgroup % 64 & 1;
}

struct store_statistics {
  uint64_t pages_stored; /* with pages_same */
  uint64_t pages_same;
  uint64_t compr_bytes;
  uint64_t mem_used_bytes; /* segments and tables */
  uint64_t mem_used_peak_bytes;
  uint64_t mem_limit_bytes;
  uint64_t meta_bytes;    /* the tables' part of mem_used_bytes */
  uint64_t reserve_bytes; /* empty frames kept ready, not in mem_used_bytes */
  uint64_t reads, writes, trims;      /* pages */
  uint64_t writes_raw;                /* whole pages that did not compress */
  uint64_t read_errors, write_errors; /* requests */
  /* Found damaged in memory by the cleaner: mended, or lost. */
  uint64_t pages_mended, pages_damaged;
  uint64_t segments_cleaned, bytes_copied;
  uint64_t cleaner_nanoseconds; /* of CPU, all threads that cleaned */
  struct store_tier_statistics tiers[STORE_TIERS]; /* by prio - 1 */
  struct store_backing_statistics backings[STORE_BACKINGS];
};

/* A snapshot, not atomic as a whole: what moves meanwhile may be counted
 * twice or not at all.  Exact when nothing moves.
 */
extern void store_get_statistics (struct store *store,
                                  struct store_statistics *statistics);

/* The same by cgroup: fill the array for the first COUNT cgroups. */
extern void
store_get_cgroup_statistics (struct store *store,
                             struct store_cgroup_statistics *cgroups,
                             uint32_t count);

/* Cgroups, by index.  Policy gives out indexes, and heirs and caps to them. */

/* The pages of CGROUP are HEIR's from now on: it was removed.  They are moved
 * to it as they are copied.  HEIR is itself: they are its own.
 */
extern void store_set_heir (struct store *store, uint32_t cgroup,
                            uint32_t heir);

/* Write no more to the segments that CGROUP has open. */
extern void store_seal_cgroup (struct store *store, uint32_t cgroup);

/* Nothing is stored under this index.  It stays so if no write uses it. */
extern bool store_cgroup_is_empty (struct store *store, uint32_t cgroup);

/* From this index on no cgroup ever had pages. */
extern uint32_t store_cgroups_end (const struct store *store);

/* Bytes of the pool that its segments in memory take. */
extern uint64_t store_cgroup_used (struct store *store, uint32_t cgroup);

/* Caps are numbered from 1 on.  A cgroup is under one or none (0), and what is
 * under a cap shall have no more than its limit (bytes, 0: none) in memory.
 * That it is kept is up to who writes back.
 */
#define STORE_CAPS 8192
extern void store_set_cgroup_cap (struct store *store, uint32_t cgroup,
                                  uint32_t cap);
extern void store_set_cap (struct store *store, uint32_t cap, uint64_t limit);
extern uint64_t store_cap_limit (struct store *store, uint32_t cap);
extern uint64_t store_cap_used (struct store *store, uint32_t cap);

/* The next cap behind AFTER (0 at first) whose limit is exceeded, or 0. */
extern uint32_t store_caps_above (struct store *store, uint32_t after);

/* Count anew what is under each cap. */
extern void store_count_caps (struct store *store);

extern void store_cgroups_under (struct store *store, uint32_t cap,
                                 struct store_cgroup_set *set);

/* Those that have an equal share of the pool in use, or more.  False if there
 * are no others.
 */
extern bool store_cgroups_above_share (struct store *store,
                                       struct store_cgroup_set *set);

/* Walk the live state and prove its invariants (tests; nothing may be in
 * progress): every slot word points at an object of its slot, live counts add
 * up, no frame has two owners.  -1 with a message for what is wrong.
 */
extern int store_check (struct store *store);

#endif /* TIERSWAP_STORE_H */
