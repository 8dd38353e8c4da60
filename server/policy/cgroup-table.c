/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>

#include "policy/cgroup-table.h"
#include "store/region.h"

#define PLACES_BITS 17
#define PLACES (UINT32_C (1) << PLACES_BITS)

#define ID_NONE UINT64_C (0)
#define ID_GONE UINT64_MAX /* was one: others may be behind it */

struct cgroup_place {
  _Atomic uint64_t id;
  _Atomic uint32_t index;
};

_Static_assert(PLACES >= 2 * STORE_CGROUPS, "the hash is never more than half "
                                            "full");

int
cgroup_table_create (struct cgroup_table *table, uint64_t root)
{
  bool new;

  *table = (struct cgroup_table){ .places = NULL };
  pthread_mutex_init (&table->lock, NULL);
  table->places = region_reserve (PLACES * sizeof *table->places);
  table->records = region_reserve (STORE_CGROUPS * sizeof *table->records);
  table->free = region_reserve (STORE_CGROUPS * sizeof *table->free);
  if (!table->places || !table->records || !table->free) {
    cgroup_table_free (table);
    errno = ENOMEM;
    return -1;
  }
  cgroup_table_add (table, root, &new);
  return 0;
}

void
cgroup_table_free (struct cgroup_table *table)
{
  if (table->places)
    region_free (table->places, PLACES * sizeof *table->places);
  if (table->records)
    region_free (table->records, STORE_CGROUPS * sizeof *table->records);
  if (table->free)
    region_free (table->free, STORE_CGROUPS * sizeof *table->free);
  pthread_mutex_destroy (&table->lock);
  table->places = NULL;
  table->records = NULL;
  table->free = NULL;
}

static uint32_t
first_place (uint64_t id)
{
  return (uint32_t) (id * UINT64_C (0x9e3779b97f4a7c15) >> (64 - PLACES_BITS));
}

/* The place of ID, or NULL. */
static struct cgroup_place *
find_place (const struct cgroup_table *table, uint64_t id)
{
  for (uint32_t i = first_place (id);; i = (i + 1) % PLACES) {
    uint64_t there = atomic_load (&table->places[i].id);

    if (there == id)
      return &table->places[i];
    if (there == ID_NONE)
      return NULL;
  }
}

uint32_t
cgroup_table_find (const struct cgroup_table *table, uint64_t id)
{
  struct cgroup_place *place = find_place (table, id);

  return place ? atomic_load (&place->index) : CGROUP_NONE;
}

/* A free index, or CGROUP_NONE.  Under the lock. */
static uint32_t
take_index (struct cgroup_table *table)
{
  uint32_t high = atomic_load (&table->high);

  if (table->free_count > 0)
    return table->free[--table->free_count];
  if (high == STORE_CGROUPS)
    return CGROUP_NONE;
  atomic_store (&table->high, high + 1);
  return high;
}

uint32_t
cgroup_table_add (struct cgroup_table *table, uint64_t id, bool *new)
{
  struct store_placement placement;
  struct cgroup_place *place;
  uint32_t index;

  *new = false;
  if (id == ID_NONE || id == ID_GONE)
    return CGROUP_NONE;
  pthread_mutex_lock (&table->lock);
  index = cgroup_table_find (table, id);
  if (index == CGROUP_NONE && (index = take_index (table)) != CGROUP_NONE) {
    uint32_t i = first_place (id);

    while (place = &table->places[i],
           atomic_load (&place->id) != ID_NONE
               && atomic_load (&place->id) != ID_GONE)
      i = (i + 1) % PLACES;
    placement = atomic_load (&table->records[0].placement);
    placement.cgroup = index;
    atomic_store (&table->records[index].placement, placement);
    atomic_store (&table->records[index].id, id);
    atomic_store (&place->index, index);
    atomic_store (&place->id, id);
    *new = true;
  }
  pthread_mutex_unlock (&table->lock);
  return index;
}

uint32_t
cgroup_table_enter (struct cgroup_table *table, uint64_t id)
{
  struct cgroup_place *place;
  uint32_t index;

  while ((place = find_place (table, id)) != NULL) {
    index = atomic_load (&place->index);
    if (index == 0)
      return 0;
    atomic_fetch_add (&table->records[index].users, 1);
    if (atomic_load (&table->records[index].id) == id
        && atomic_load (&place->id) == id)
      return index;
    atomic_fetch_sub (&table->records[index].users, 1);
  }
  return CGROUP_NONE;
}

/* Places at the end of a run need no mark.  Under the lock. */
static void
clear_place (struct cgroup_table *table, uint32_t i)
{
  if (atomic_load (&table->places[(i + 1) % PLACES].id) != ID_NONE)
    return;
  while (atomic_load (&table->places[i].id) == ID_GONE) {
    atomic_store (&table->places[i].id, ID_NONE);
    i = (i + PLACES - 1) % PLACES;
  }
}

bool
cgroup_table_remove (struct cgroup_table *table, uint32_t index,
                     bool (*unused) (void *opaque, uint32_t index),
                     void *opaque)
{
  struct cgroup_record *record = &table->records[index];
  struct cgroup_place *place;
  uint64_t id;
  bool gone;

  pthread_mutex_lock (&table->lock);
  id = atomic_load (&record->id);
  place = find_place (table, id);
  atomic_store (&place->id, ID_GONE);
  gone = atomic_load (&record->users) == 0 && unused (opaque, index);
  if (gone) {
    atomic_store (&record->id, ID_NONE);
    table->free[table->free_count++] = index;
    clear_place (table, (uint32_t) (place - table->places));
  }
  else
    atomic_store (&place->id, id);
  pthread_mutex_unlock (&table->lock);
  return gone;
}
