/* SPDX-License-Identifier: BSD-3-Clause */
/* What a tag costs a write: made as the kernel makes it, moved from the ring
 * to the table, and taken.
 *
 * usage: bench-tag
 *
 * The ring is one of memory, written by the program itself just as the kernel
 * module does, in the thread that then handles the write; the cost of the
 * tracepoint is not in it.  With several threads, each is a CPU with a ring of
 * its own.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "figures.h"
#include "policy/shim-source.h"

#define WRITES (1u << 20)
#define ROUNDS 5
#define RINGS 4
#define RECORDS 1024
#define DEVICE_PAGES (1u << 20)

static char *map;
static struct tags *tags;
static struct shim *shim;

static int
memory_open (struct shim_source *source, const char *path, char **error)
{
  uint32_t ring_bytes
      = (uint32_t) (sizeof (struct tierswap_ring)
                    + RECORDS * sizeof (struct tierswap_record));

  (void) path;
  (void) error;
  source->geometry = (struct tierswap_geometry){
    .map_bytes = 4096 + (uint64_t) RINGS * ring_bytes,
    .rings = RINGS,
    .records = RECORDS,
    .first_ring = 4096,
    .ring_bytes = ring_bytes,
  };
  source->fd = memfd_create ("rings", MFD_CLOEXEC);
  if (source->fd == -1
      || ftruncate (source->fd, (off_t) source->geometry.map_bytes) == -1)
    fail ("memfd_create");
  map = mmap (NULL, source->geometry.map_bytes, PROT_READ | PROT_WRITE,
              MAP_SHARED, source->fd, 0);
  if (map == MAP_FAILED)
    fail ("mmap");
  return 0;
}

static void
memory_close (struct shim_source *source)
{
  munmap (map, source->geometry.map_bytes);
  close (source->fd);
}

static int
memory_watch (struct shim_source *source, dev_t disk, char **error)
{
  (void) source;
  (void) disk;
  (void) error;
  return 0;
}

static const struct shim_source_kind memory = {
  .open = memory_open,
  .close = memory_close,
  .watch = memory_watch,
  .unwatch = memory_watch,
};

static void
make_tag (unsigned cpu, const struct tierswap_tag *tag)
{
  struct tierswap_rings *rings = (void *) map;
  struct tierswap_ring *ring
      = (void *) (map + 4096
                  + cpu
                        * (sizeof (struct tierswap_ring)
                           + RECORDS * sizeof (struct tierswap_record)));
  struct tierswap_record *records = (void *) (ring + 1);
  uint64_t sequence
      = __atomic_add_fetch (&rings->sequence, 1, __ATOMIC_SEQ_CST);

  if (ring->head - __atomic_load_n (&ring->tail, __ATOMIC_ACQUIRE) >= RECORDS) {
    __atomic_store_n (&ring->dropped, ring->dropped + 1, __ATOMIC_RELEASE);
    return;
  }
  records[ring->head % RECORDS]
      = (struct tierswap_record){ .sequence = sequence, .tag = *tag };
  __atomic_store_n (&ring->head, ring->head + 1, __ATOMIC_RELEASE);
}

struct work {
  unsigned cpu;
  uint32_t length; /* of a write, bytes */
  bool tagged;
  double seconds;
};

static void *
work_main (void *argument)
{
  struct work *work = argument;
  uint64_t x = 88172645463325252 + work->cpu, found = 0;
  double start = clock_seconds (CLOCK_THREAD_CPUTIME_ID);

  for (unsigned i = 0; i < WRITES; i++) {
    struct tierswap_tag tag = { .length = work->length };
    uint64_t cgroup, covered, at = 0;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    tag.offset
        = x % DEVICE_PAGES / (work->length / PAGE_BYTES) * RINGS * work->length
          + work->cpu * work->length;
    tag.cgroup = 1 + (x >> 40) % 100;
    if (work->tagged)
      make_tag (work->cpu, &tag);
    shim_drain (shim);
    do {
      tags_take (tags, tag.offset + at, work->length - at, &cgroup, &covered);
      found += cgroup == tag.cgroup;
      at += covered;
    } while (at < work->length);
  }
  work->seconds = clock_seconds (CLOCK_THREAD_CPUTIME_ID) - start;
  if (found != (work->tagged ? WRITES : 0)) {
    errno = ENODATA;
    fail ("tags are missing");
  }
  return NULL;
}

/* Nanoseconds a write: the median of some rounds. */
static double
measure (unsigned threads, uint32_t length, bool tagged)
{
  double times[ROUNDS];

  for (unsigned round = 0; round < ROUNDS; round++) {
    struct work works[RINGS];
    pthread_t ids[RINGS];

    times[round] = 0;
    for (unsigned i = 0; i < threads; i++) {
      works[i] = (struct work){ i, length, tagged, 0 };
      errno = pthread_create (&ids[i], NULL, work_main, &works[i]);
      if (errno)
        fail ("pthread_create");
    }
    for (unsigned i = 0; i < threads; i++) {
      pthread_join (ids[i], NULL);
      times[round] += works[i].seconds * 1e9 / WRITES / threads;
    }
  }
  return median (times, ROUNDS);
}

static void
show (const char *name, unsigned threads, uint32_t length)
{
  double without = measure (threads, length, false);
  double with = measure (threads, length, true);

  figure (name, text ("%.0f ns", with), text ("untagged: %.0f ns", without),
          (with - without) / 1000, "<=0.30",
          text ("us a write, median of %d rounds of %u", ROUNDS, WRITES));
}

int
main (void)
{
  char *error = NULL;

  tags = tags_create ();
  shim = tags ? shim_create_from (tags, &memory, NULL) : NULL;
  if (!shim || shim_watch (shim, 1, &error) == -1)
    fail (error ? error : "shim_watch");
  figure_heading ("tag: its cost to a write, from the kernel's ring on");
  show ("4 KiB", 1, PAGE_BYTES);
  show ("256 KiB", 1, 64 * PAGE_BYTES);
  show ("4 KiB, two CPUs", 2, PAGE_BYTES);
  shim_free (shim);
  tags_free (tags);
  return EXIT_SUCCESS;
}
