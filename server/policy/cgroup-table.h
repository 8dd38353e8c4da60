/* SPDX-License-Identifier: BSD-3-Clause */
/* From the id of a cgroup to its index and the policy of its pages: what every
 * tagged write asks.
 *
 * Promises:
 * - Looking up takes no lock and does not allocate.
 * - An index is given to another id only when nobody uses it and nothing is
 *   stored under it.
 *
 * An open-addressing hash of twice as many places as there are indexes, and
 * a record an index.  Who looks up counts himself as a user of the index and
 * then looks whether it still is the id's; who takes an index away removes the
 * id first and then looks for users, so that one of the two sees the other.
 */
#ifndef TIERSWAP_CGROUP_TABLE_H
#define TIERSWAP_CGROUP_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

#define CGROUP_NONE UINT32_MAX

struct cgroup_record {
  _Atomic uint64_t id; /* 0: the index is free */
  _Atomic struct store_placement placement;
  _Atomic uint32_t users; /* writes under way; not counted for "/" */
} __attribute__ ((aligned (32)));

struct cgroup_table {
  struct cgroup_place *places;
  struct cgroup_record *records; /* by index */
  pthread_mutex_t lock;  /* of adding and removing; a few instructions */
  _Atomic uint32_t high; /* indexes from here on were never given */
  uint32_t *free;        /* indexes to give first */
  uint32_t free_count;
};

/* Index 0 is "/", of id ROOT.  -1 with errno ENOMEM. */
extern int cgroup_table_create (struct cgroup_table *table, uint64_t root);
extern void cgroup_table_free (struct cgroup_table *table);

/* The index of ID, or CGROUP_NONE. */
extern uint32_t cgroup_table_find (const struct cgroup_table *table,
                                   uint64_t id);

/* The index of ID, a new one with the policy of "/" if it has none: *NEW.
 * CGROUP_NONE: all are in use.
 */
extern uint32_t cgroup_table_add (struct cgroup_table *table, uint64_t id,
                                  bool *new);

/* The index of ID, whose user the caller is from then on, until
 * cgroup_table_leave; not for 0.  CGROUP_NONE: it has none.
 */
extern uint32_t cgroup_table_enter (struct cgroup_table *table, uint64_t id);

static inline void
cgroup_table_leave (struct cgroup_table *table, uint32_t index)
{
  if (index != 0)
    atomic_fetch_sub (&table->records[index].users, 1);
}

/* Give INDEX up if it has no user and UNUSED says that it may go, which is
 * asked when nobody new can come.
 */
extern bool cgroup_table_remove (struct cgroup_table *table, uint32_t index,
                                 bool (*unused) (void *opaque, uint32_t index),
                                 void *opaque);

#endif /* TIERSWAP_CGROUP_TABLE_H */
