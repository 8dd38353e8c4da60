/* SPDX-License-Identifier: BSD-3-Clause */
/* The reader of the rings; tierswap_ioctl.h describes them.
 *
 * `done` counts the tags that were moved to the table or are known to be
 * dropped, and is raised after they are.  The kernel's `sequence` counts those
 * that it has begun to make.  While both are equal there is nothing to do, for
 * whichever thread looks; else it takes the lock, and so waits for one that is
 * at it already.
 *
 * Why no tag that is taken is a wrong one:
 * 1. Tags are put in the order of their sequence, which is that in which the
 *    requests of a page were issued.  A record may still be missing whose
 *    sequence is below that of one that is there; but a page is issued again
 *    only when its last request was answered, so it is not of the same page.
 *    The heads are read after the sequence, and records above that sequence
 *    are left, so that no ring is ahead of another.
 * 2. A tag that was dropped leaves an older one of its pages where it is, in
 *    the table or in a ring.  So what was dropped is read before the sequence:
 *    all that is older is below the heads and not above the sequence, is put,
 *    and is forgotten with the rest.
 * 3. A write whose tag is not done finds `done` below the `sequence` that it
 *    read.  Else something was done that began after its tag was whole; by 1
 *    and 2, who saw that, dropped or not, saw its tag as well.
 *
 * A ring that says it holds more records than it has room for is broken: it is
 * taken for one whose tags were all dropped.
 *
 * A source comes and goes while writes look at `sequence` without a lock: its
 * mapping is never unmapped, but replaced by zeros at the same place.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/refuse.h"
#include "policy/shim-source.h"

struct ring {
  struct tierswap_ring *mapped;
  const struct tierswap_record *records;
  uint64_t tail;
};

struct shim {
  /* Looked at by every write. */
  const __u64 *sequence; /* of the rings, or `nothing` */
  _Atomic uint64_t done;
  __u64 nothing; /* 0 for ever */

  struct tags *tags;
  const struct shim_source_kind *kind;
  char *path; /* of the source; NULL: the usual one */

  pthread_mutex_t change; /* of the disks and the source; before `lock` */
  unsigned disks;
  struct shim_source source; /* open while there are disks */
  char *map;                 /* NULL: none yet */
  size_t map_bytes;

  pthread_mutex_t lock; /* of all below */
  struct ring *rings;   /* NULL: no source */
  unsigned rings_count;
  uint32_t records;        /* of a ring */
  uint64_t dropped;        /* by this source, that we know of */
  uint64_t *heads;         /* of the rings, while draining */
  unsigned *active;        /* rings that have records, while draining */
  struct shim_counts past; /* of earlier sources */
};

static uint64_t
load (const __u64 *shared)
{
  return __atomic_load_n (shared, __ATOMIC_ACQUIRE);
}

/* The same of what may become zeros at any moment, which ThreadSanitizer takes
 * for somebody's write.
 */
__attribute__ ((no_sanitize ("thread"))) static __u64
load_sequence (struct shim *shim)
{
  return __atomic_load_n (__atomic_load_n (&shim->sequence, __ATOMIC_ACQUIRE),
                          __ATOMIC_ACQUIRE);
}

struct shim *
shim_create_from (struct tags *tags, const struct shim_source_kind *kind,
                  const char *path)
{
  struct shim *shim = calloc (1, sizeof *shim);
  pthread_mutexattr_t spins_first;

  if (!shim)
    return NULL;
  shim->tags = tags;
  shim->kind = kind;
  shim->sequence = &shim->nothing;
  if (path) {
    shim->path = strdup (path);
    if (!shim->path) {
      free (shim);
      return NULL;
    }
  }
  pthread_mutex_init (&shim->change, NULL);
  /* What is done under the lock takes less than going to sleep. */
  pthread_mutexattr_init (&spins_first);
  pthread_mutexattr_settype (&spins_first, PTHREAD_MUTEX_ADAPTIVE_NP);
  pthread_mutex_init (&shim->lock, &spins_first);
  pthread_mutexattr_destroy (&spins_first);
  return shim;
}

struct shim *
shim_create (struct tags *tags, const char *source)
{
  if (source && strcmp (source, "bpf") == 0)
    return shim_create_from (tags, &shim_source_bpf, NULL);
  return shim_create_from (tags, &shim_source_module,
                           source ? source : SHIM_DEVICE);
}

/* Put what the rings hold, in order; under the lock. */
static uint64_t
move_records (struct shim *shim, uint64_t sequence, unsigned active_count)
{
  uint64_t moved = 0;

  while (active_count > 0) {
    unsigned first = 0;
    uint64_t first_sequence = UINT64_MAX;
    const struct tierswap_record *record = NULL;
    struct ring *ring;

    for (unsigned i = 0; i < active_count; i++) {
      ring = &shim->rings[shim->active[i]];
      const struct tierswap_record *candidate
          = &ring->records[ring->tail & (shim->records - 1)];

      if (candidate->sequence < first_sequence) {
        first = i;
        first_sequence = candidate->sequence;
        record = candidate;
      }
    }
    if (!record || first_sequence > sequence)
      break;
    /* What is not a tag is of no page. */
    tags_put (shim->tags, &record->tag);
    moved++;
    ring = &shim->rings[shim->active[first]];
    ring->tail++;
    __atomic_store_n (&ring->mapped->tail, ring->tail, __ATOMIC_RELEASE);
    if (ring->tail == shim->heads[shim->active[first]])
      shim->active[first] = shim->active[--active_count];
  }
  return moved;
}

static void
drain (struct shim *shim)
{
  uint64_t sequence, dropped = 0, moved;
  unsigned active_count = 0;
  bool broken = false;

  if (!shim->rings)
    return;
  /* In this order: see above. */
  for (unsigned i = 0; i < shim->rings_count; i++)
    dropped += load (&shim->rings[i].mapped->dropped);
  sequence = load (shim->sequence);
  for (unsigned i = 0; i < shim->rings_count; i++) {
    struct ring *ring = &shim->rings[i];

    shim->heads[i] = load (&ring->mapped->head);
    if (shim->heads[i] - ring->tail > shim->records) {
      broken = true;
      ring->tail = shim->heads[i];
      __atomic_store_n (&ring->mapped->tail, ring->tail, __ATOMIC_RELEASE);
    }
    else if (shim->heads[i] != ring->tail)
      shim->active[active_count++] = i;
  }
  moved = move_records (shim, sequence, active_count);
  if (dropped != shim->dropped) {
    tags_forget (shim->tags);
    moved += dropped - shim->dropped;
    shim->dropped = dropped;
  }
  if (broken) {
    tags_forget (shim->tags);
    atomic_store_explicit (&shim->done, sequence, memory_order_release);
    return;
  }
  atomic_fetch_add_explicit (&shim->done, moved, memory_order_release);
}

void
shim_drain (struct shim *shim)
{
  if (!shim
      || load_sequence (shim)
             == atomic_load_explicit (&shim->done, memory_order_acquire))
    return;
  pthread_mutex_lock (&shim->lock);
  drain (shim);
  pthread_mutex_unlock (&shim->lock);
}

static void
count_rings (struct shim *shim, struct shim_counts *counts)
{
  for (unsigned i = 0; shim->rings && i < shim->rings_count; i++) {
    const struct tierswap_ring *ring = shim->rings[i].mapped;
    uint64_t high_water = load (&ring->high_water);

    counts->made += load (&ring->head);
    counts->dropped += load (&ring->dropped);
    if (counts->high_water < high_water)
      counts->high_water = high_water;
  }
}

void
shim_count (struct shim *shim, struct shim_counts *counts)
{
  pthread_mutex_lock (&shim->lock);
  *counts = shim->past;
  count_rings (shim, counts);
  pthread_mutex_unlock (&shim->lock);
  pthread_mutex_lock (&shim->change);
  counts->disks = shim->disks;
  pthread_mutex_unlock (&shim->change);
}

/* Nothing of the source is looked at any more, but through a pointer to the
 * sequence that another thread has in hand.
 */
static void
forget_rings (struct shim *shim)
{
  pthread_mutex_lock (&shim->lock);
  drain (shim);
  tags_forget (shim->tags);
  count_rings (shim, &shim->past);
  __atomic_store_n (&shim->sequence, &shim->nothing, __ATOMIC_RELEASE);
  free (shim->rings);
  free (shim->heads);
  free (shim->active);
  shim->rings = NULL;
  shim->heads = NULL;
  shim->active = NULL;
  shim->dropped = 0;
  atomic_store (&shim->done, 0);
  pthread_mutex_unlock (&shim->lock);
}

static void
close_source (struct shim *shim)
{
  forget_rings (shim);
  /* Zeros in its place; where the kernel refuses, the source stays mapped. */
  (void) mmap (shim->map, shim->map_bytes, PROT_READ,
               MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  shim->kind->close (&shim->source);
}

/* Is it what we can read without looking outside of the mapping? */
static bool
geometry_is_good (const struct tierswap_geometry *geometry)
{
  return geometry->rings > 0 && geometry->rings <= 65536
         && geometry->records > 0
         && (geometry->records & (geometry->records - 1)) == 0
         && geometry->first_ring >= sizeof (struct tierswap_rings)
         && geometry->first_ring % sizeof (uint64_t) == 0
         && geometry->ring_bytes % sizeof (uint64_t) == 0
         && geometry->ring_bytes >= sizeof (struct tierswap_ring)
                                        + (uint64_t) geometry->records
                                              * sizeof (struct tierswap_record)
         && geometry->map_bytes
                >= geometry->first_ring
                       + (uint64_t) geometry->rings * geometry->ring_bytes;
}

static int
map_source (struct shim *shim, char **error)
{
  const struct tierswap_geometry *geometry = &shim->source.geometry;
  bool again = shim->map && shim->map_bytes == geometry->map_bytes;
  char *map;

  if (!geometry_is_good (geometry))
    return refuse (error, EPROTO,
                   "the rings of tags are not laid out as they should be");
  map = mmap (again ? shim->map : NULL, geometry->map_bytes,
              PROT_READ | PROT_WRITE, MAP_SHARED | (again ? MAP_FIXED : 0),
              shim->source.fd, 0);
  if (map == MAP_FAILED)
    return refuse (error, errno, "the rings of tags cannot be mapped: %s",
                   strerror (errno));
  /* One of another size stays where it is, as zeros: it may be looked at. */
  shim->map = map;
  shim->map_bytes = geometry->map_bytes;
  return 0;
}

static int
use_rings (struct shim *shim, char **error)
{
  const struct tierswap_geometry *geometry = &shim->source.geometry;
  struct ring *rings = calloc (geometry->rings, sizeof *rings);
  uint64_t *heads = calloc (geometry->rings, sizeof *heads);
  unsigned *active = calloc (geometry->rings, sizeof *active);

  if (!rings || !heads || !active) {
    free (rings);
    free (heads);
    free (active);
    return refuse (error, ENOMEM, "no memory for the rings of tags");
  }
  for (unsigned i = 0; i < geometry->rings; i++) {
    rings[i].mapped = (void *) (shim->map + geometry->first_ring
                                + (size_t) i * geometry->ring_bytes);
    rings[i].records = (const void *) (rings[i].mapped + 1);
  }
  pthread_mutex_lock (&shim->lock);
  shim->rings = rings;
  shim->heads = heads;
  shim->active = active;
  shim->rings_count = geometry->rings;
  shim->records = geometry->records;
  __atomic_store_n (&shim->sequence,
                    &((struct tierswap_rings *) (void *) shim->map)->sequence,
                    __ATOMIC_RELEASE);
  pthread_mutex_unlock (&shim->lock);
  return 0;
}

static int
open_source (struct shim *shim, char **error)
{
  int saved_errno;

  if (shim->kind->open (&shim->source, shim->path, error) == -1)
    return -1;
  if (map_source (shim, error) == -1) {
    saved_errno = errno;
    shim->kind->close (&shim->source);
    errno = saved_errno;
    return -1;
  }
  if (use_rings (shim, error) == -1) {
    saved_errno = errno;
    close_source (shim);
    errno = saved_errno;
    return -1;
  }
  return 0;
}

int
shim_check (struct shim *shim, char **error)
{
  int result = 0;

  pthread_mutex_lock (&shim->change);
  if (shim->disks == 0) {
    result = open_source (shim, error);
    if (result == 0)
      close_source (shim);
  }
  pthread_mutex_unlock (&shim->change);
  return result;
}

int
shim_watch (struct shim *shim, dev_t disk, char **error)
{
  int result = 0;

  pthread_mutex_lock (&shim->change);
  if (shim->disks == 0)
    result = open_source (shim, error);
  if (result == 0) {
    result = shim->kind->watch (&shim->source, disk, error);
    if (result == 0)
      shim->disks++;
    else if (shim->disks == 0) {
      int saved_errno = errno;

      close_source (shim);
      errno = saved_errno;
    }
  }
  pthread_mutex_unlock (&shim->change);
  return result;
}

/* Writes of the disk will have no tags from now on, so none may be left. */
static void
forget_disk (struct shim *shim)
{
  pthread_mutex_lock (&shim->lock);
  drain (shim);
  tags_forget (shim->tags);
  pthread_mutex_unlock (&shim->lock);
}

int
shim_unwatch (struct shim *shim, dev_t disk, char **error)
{
  int result;

  pthread_mutex_lock (&shim->change);
  if (shim->disks == 0)
    result = refuse (error, ENOENT, "no disk is watched");
  else
    result = shim->kind->unwatch (&shim->source, disk, error);
  if (result == 0 && --shim->disks == 0)
    close_source (shim);
  else if (result == 0)
    forget_disk (shim);
  pthread_mutex_unlock (&shim->change);
  return result;
}

void
shim_free (struct shim *shim)
{
  if (!shim)
    return;
  if (shim->disks > 0)
    close_source (shim);
  if (shim->map)
    munmap (shim->map, shim->map_bytes);
  pthread_mutex_destroy (&shim->change);
  pthread_mutex_destroy (&shim->lock);
  free (shim->path);
  free (shim);
}
