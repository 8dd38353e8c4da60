/* SPDX-License-Identifier: BSD-3-Clause */
/* Tags come out of the kernel's rings in the order in which they were made,
 * are in the table when a drain is over, and are never taken for a newer one
 * that was lost.  The kernel is played by the test.
 */
#define _GNU_SOURCE
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/refuse.h"
#include "policy/shim-source.h"

#define PAGE UINT64_C (4096)
#define RINGS 4

/* The kernel's side. */
static struct kernel {
  struct tierswap_geometry geometry;
  char *map;
  unsigned opened;
  int open_error, watch_error;
  unsigned watched;
} kernel;

static int
fake_open (struct shim_source *source, const char *path, char **error)
{
  size_t bytes = 4096 + (size_t) RINGS * kernel.geometry.ring_bytes;

  assert_string_equal (path, "fake");
  if (kernel.open_error)
    return refuse (error, kernel.open_error, "it does not open");
  source->fd = memfd_create ("rings", MFD_CLOEXEC);
  assert_true (source->fd != -1);
  assert_int_equal (ftruncate (source->fd, (off_t) bytes), 0);
  kernel.map
      = mmap (NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, source->fd, 0);
  assert_true (kernel.map != MAP_FAILED);
  source->geometry = kernel.geometry;
  kernel.opened++;
  return 0;
}

static void
fake_close (struct shim_source *source)
{
  munmap (kernel.map, 4096 + (size_t) RINGS * kernel.geometry.ring_bytes);
  kernel.map = NULL;
  close (source->fd);
  kernel.opened--;
}

static int
fake_watch (struct shim_source *source, dev_t disk, char **error)
{
  (void) source;
  if (kernel.watch_error)
    return refuse (error, kernel.watch_error, "%u is not watched",
                   minor (disk));
  kernel.watched++;
  return 0;
}

static int
fake_unwatch (struct shim_source *source, dev_t disk, char **error)
{
  (void) source;
  if (minor (disk) >= 8)
    return refuse (error, ENOENT, "no such disk");
  kernel.watched--;
  return 0;
}

static const struct shim_source_kind fake = {
  .open = fake_open,
  .close = fake_close,
  .watch = fake_watch,
  .unwatch = fake_unwatch,
};

static void
set_records (uint32_t records)
{
  uint32_t ring_bytes
      = (uint32_t) (sizeof (struct tierswap_ring)
                    + records * sizeof (struct tierswap_record));

  kernel.geometry = (struct tierswap_geometry){
    .map_bytes = 4096 + (uint64_t) RINGS * ring_bytes,
    .rings = RINGS,
    .records = records,
    .first_ring = 4096,
    .ring_bytes = ring_bytes,
  };
}

static struct tierswap_ring *
ring_of (unsigned cpu)
{
  return (void *) (kernel.map + 4096
                   + (size_t) cpu * kernel.geometry.ring_bytes);
}

/* What the probe does up to the point where the reader may see it. */
static bool
begin (unsigned cpu, uint64_t page, uint64_t pages, uint64_t cgroup)
{
  struct tierswap_rings *rings = (void *) kernel.map;
  struct tierswap_ring *ring = ring_of (cpu);
  struct tierswap_record *record = (void *) (ring + 1);
  uint64_t sequence
      = __atomic_add_fetch (&rings->sequence, 1, __ATOMIC_SEQ_CST);

  if (ring->head - __atomic_load_n (&ring->tail, __ATOMIC_ACQUIRE)
      >= kernel.geometry.records) {
    __atomic_store_n (&ring->dropped, ring->dropped + 1, __ATOMIC_RELEASE);
    return false;
  }
  record[ring->head % kernel.geometry.records] = (struct tierswap_record){
    .sequence = sequence,
    .tag = { .offset = page * PAGE,
             .length = (uint32_t) (pages * PAGE),
             .cgroup = cgroup },
  };
  return true;
}

static bool
make_tag (unsigned cpu, uint64_t page, uint64_t pages, uint64_t cgroup)
{
  struct tierswap_ring *ring = ring_of (cpu);

  if (!begin (cpu, page, pages, cgroup))
    return false;
  __atomic_store_n (&ring->head, ring->head + 1, __ATOMIC_RELEASE);
  return true;
}

/* The server's side. */
struct server {
  struct tags *tags;
  struct shim *shim;
};

static int
setup (void **state)
{
  static struct server server;

  memset (&kernel, 0, sizeof kernel);
  set_records (64);
  server.tags = tags_create ();
  server.shim = shim_create_from (server.tags, &fake, "fake");
  *state = &server;
  return server.tags && server.shim ? 0 : -1;
}

static int
teardown (void **state)
{
  struct server *server = *state;

  shim_free (server->shim);
  tags_free (server->tags);
  return kernel.opened == 0 ? 0 : -1;
}

static uint64_t
take (const struct server *server, uint64_t page)
{
  uint64_t cgroup, covered;

  tags_take (server->tags, page * PAGE, PAGE, &cgroup, &covered);
  return cgroup;
}

static void
watch (const struct server *server, unsigned disk)
{
  char *error = NULL;

  assert_int_equal (shim_watch (server->shim, makedev (43, disk), &error), 0);
  assert_null (error);
}

static void
unwatch (const struct server *server, unsigned disk)
{
  char *error = NULL;

  assert_int_equal (shim_unwatch (server->shim, makedev (43, disk), &error), 0);
  assert_null (error);
}

static void
test_order (void **state)
{
  struct server *server = *state;
  struct shim_counts counts;

  shim_drain (NULL);
  shim_drain (server->shim);
  watch (server, 0);
  shim_drain (server->shim);

  /* Rings are numbered against the order in which the tags are made. */
  for (unsigned i = 0; i < 100; i++) {
    assert_true (make_tag (3, 10, 4, 1));
    assert_true (make_tag (2, 11, 2, 2));
    assert_true (make_tag (0, 12, 1, 3));
    assert_true (make_tag (1, 20, 1, 4));
    shim_drain (server->shim);
    for (unsigned cpu = 0; cpu < RINGS; cpu++)
      assert_int_equal (ring_of (cpu)->tail, i + 1);
    assert_int_equal (take (server, 10), 1);
    assert_int_equal (take (server, 11), 2);
    assert_int_equal (take (server, 12), 3);
    assert_int_equal (take (server, 13), 1);
    assert_int_equal (take (server, 20), 4);
    shim_drain (server->shim);
    assert_int_equal (take (server, 12), 0);
  }
  shim_count (server->shim, &counts);
  assert_int_equal (counts.made, 400);
  assert_int_equal (counts.dropped, 0);
  assert_int_equal (counts.disks, 1);
}

/* One that is being made keeps none from being taken. */
static void
test_unfinished (void **state)
{
  struct server *server = *state;
  struct tierswap_ring *ring;

  watch (server, 0);
  assert_true (begin (1, 1, 1, 7));
  assert_true (make_tag (2, 2, 1, 8));
  shim_drain (server->shim);
  assert_int_equal (take (server, 1), 0);
  assert_int_equal (take (server, 2), 8);
  ring = ring_of (1);
  ring->head++;
  shim_drain (server->shim);
  assert_int_equal (take (server, 1), 7);
}

/* What was there when a tag was lost is not taken. */
static void
test_dropped (void **state)
{
  struct server *server = *state;
  struct shim_counts counts;

  watch (server, 0);
  /* A write that never came leaves its tag in the table, others in the ring.
   * All are made again of another cgroup: some have no room.
   */
  assert_true (make_tag (0, 1000, 1, 1));
  shim_drain (server->shim);
  for (unsigned i = 0; i < 60; i++)
    assert_true (make_tag (0, 1001 + i, 1, 1));
  for (unsigned i = 0; i < 61; i++)
    assert_int_equal (make_tag (0, 1060 - i, 1, 2), i < 4);
  shim_drain (server->shim);
  for (unsigned i = 0; i < 61; i++)
    assert_int_equal (take (server, 1000 + i), 0);

  shim_count (server->shim, &counts);
  assert_int_equal (counts.made, 65);
  assert_int_equal (counts.dropped, 57);

  /* Then all is well again. */
  assert_true (make_tag (0, 1000, 1, 3));
  shim_drain (server->shim);
  assert_int_equal (take (server, 1000), 3);
}

/* The source is open while a disk is watched, and starts anew. */
static void
test_reopen (void **state)
{
  struct server *server = *state;
  struct shim_counts counts;
  char *error = NULL;

  for (unsigned i = 0; i < 10; i++) {
    set_records (i % 4 < 2 ? 64 : 256);
    watch (server, 0);
    watch (server, 1);
    assert_int_equal (kernel.opened, 1);
    assert_true (make_tag (0, i, 1, i + 1));
    assert_true (make_tag (1, 100 + i, 1, i + 1));
    shim_drain (server->shim);
    assert_int_equal (take (server, i), i + 1);
    unwatch (server, 0);
    assert_int_equal (take (server, 100 + i), 0);
    assert_true (make_tag (0, i, 1, i + 1));
    unwatch (server, 1);
    assert_int_equal (kernel.opened, 0);
    assert_int_equal (take (server, i), 0);
    shim_drain (server->shim);
    shim_count (server->shim, &counts);
    assert_int_equal (counts.made, 3 * (i + 1));
    assert_int_equal (counts.disks, 0);
  }
  assert_int_equal (shim_unwatch (server->shim, makedev (43, 0), &error), -1);
  assert_int_equal (errno, ENOENT);
  free (error);
}

static void
test_errors (void **state)
{
  struct server *server = *state;
  const dev_t disk = makedev (43, 0);
  char *error = NULL;

  assert_int_equal (shim_check (server->shim, &error), 0);
  assert_int_equal (kernel.opened, 0);

  kernel.open_error = EACCES;
  assert_int_equal (shim_check (server->shim, &error), -1);
  assert_int_equal (errno, EACCES);
  assert_string_equal (error, "it does not open");
  free (error);
  assert_int_equal (shim_watch (server->shim, disk, &error), -1);
  assert_int_equal (errno, EACCES);
  free (error);
  kernel.open_error = 0;

  kernel.watch_error = EBUSY;
  assert_int_equal (shim_watch (server->shim, disk, &error), -1);
  assert_int_equal (errno, EBUSY);
  assert_string_equal (error, "0 is not watched");
  free (error);
  assert_int_equal (kernel.opened, 0);
  kernel.watch_error = 0;

  watch (server, 0);
  assert_int_equal (shim_check (server->shim, &error), 0);
  assert_int_equal (shim_unwatch (server->shim, makedev (43, 9), &error), -1);
  assert_int_equal (errno, ENOENT);
  free (error);
  assert_int_equal (kernel.opened, 1);
  unwatch (server, 0);
}

/* Rings that lie beyond the mapping, or that cannot be counted in. */
static void
test_geometry (void **state)
{
  struct server *server = *state;
  char *error = NULL;

  for (unsigned i = 0; i < 6; i++) {
    set_records (64);
    switch (i) {
    case 0:
      kernel.geometry.rings = 0;
      break;
    case 1:
      kernel.geometry.rings++;
      break;
    case 2:
      kernel.geometry.records = 63;
      break;
    case 3:
      kernel.geometry.records = 128;
      break;
    case 4:
      kernel.geometry.first_ring = 8;
      break;
    case 5:
      kernel.geometry.map_bytes--;
      break;
    }
    assert_int_equal (shim_check (server->shim, &error), -1);
    assert_int_equal (errno, EPROTO);
    free (error);
  }
  assert_int_equal (kernel.opened, 0);
}

/* Every "CPU" issues writes, each of which is then handled by the thread: it
 * finds its own tag.  When the rings overflow it finds its own or none, though
 * an older one of the page is around.
 */
enum { ROUNDS = 20000 };

struct cpu {
  struct server *server;
  unsigned number, burst;
  uint64_t wrong, taken, made;
};

static void *
cpu_main (void *argument)
{
  struct cpu *cpu = argument;
  unsigned random = cpu->number + 1;

  for (uint64_t round = 1; round <= ROUNDS / cpu->burst; round++) {
    uint64_t first = rand_r (&random) % 1000u;
    uint64_t id = round * 2 * RINGS + cpu->number;

    for (unsigned i = 0; i < cpu->burst; i++)
      make_tag (cpu->number, (first + i) * RINGS + cpu->number, 1, id + RINGS);
    for (unsigned i = 0; i < cpu->burst; i++)
      cpu->made
          += make_tag (cpu->number, (first + i) * RINGS + cpu->number, 1, id);
    for (unsigned i = 0; i < cpu->burst; i++) {
      uint64_t cgroup;

      shim_drain (cpu->server->shim);
      cgroup = take (cpu->server, (first + i) * RINGS + cpu->number);
      cpu->taken += cgroup == id;
      cpu->wrong += cgroup != 0 && cgroup != id;
    }
  }
  return NULL;
}

static void
run_cpus (struct server *server, unsigned burst)
{
  struct cpu cpus[RINGS] = { 0 };
  struct shim_counts counts;
  pthread_t ids[RINGS];
  uint64_t made = 0;

  for (unsigned i = 0; i < RINGS; i++) {
    cpus[i] = (struct cpu){ server, i, burst, 0, 0, 0 };
    assert_int_equal (pthread_create (&ids[i], NULL, cpu_main, &cpus[i]), 0);
  }
  for (unsigned i = 0; i < RINGS; i++) {
    assert_int_equal (pthread_join (ids[i], NULL), 0);
    assert_int_equal (cpus[i].wrong, 0);
    made += cpus[i].made;
    if (burst == 1)
      assert_int_equal (cpus[i].taken, ROUNDS);
  }
  shim_count (server->shim, &counts);
  assert_true (counts.made >= made);
  if (burst == 1)
    assert_int_equal (counts.dropped, 0);
  else
    assert_true (counts.dropped > 0);
}

static void
test_threads (void **state)
{
  struct server *server = *state;

  watch (server, 0);
  run_cpus (server, 1);
}

static void
test_threads_overflow (void **state)
{
  struct server *server = *state;

  watch (server, 0);
  for (unsigned i = 0; i < 65; i++)
    make_tag (0, i, 1, 1);
  run_cpus (server, 50);
}

/* The source comes and goes while others drain. */
static _Atomic bool stop;

static void *
drain_main (void *argument)
{
  const struct server *server = argument;

  while (!atomic_load (&stop))
    shim_drain (server->shim);
  return NULL;
}

static void
test_threads_reopen (void **state)
{
  struct server *server = *state;
  pthread_t ids[2];

  atomic_store (&stop, false);
  for (unsigned i = 0; i < 2; i++)
    assert_int_equal (pthread_create (&ids[i], NULL, drain_main, server), 0);
  for (unsigned i = 0; i < 300; i++) {
    set_records (i % 32 < 16 ? 64 : 256);
    watch (server, 0);
    for (unsigned j = 0; j < 20; j++) {
      assert_true (make_tag (j % RINGS, j, 1, i + 1));
      shim_drain (server->shim);
      assert_int_equal (take (server, j), i + 1);
    }
    unwatch (server, 0);
  }
  atomic_store (&stop, true);
  for (unsigned i = 0; i < 2; i++)
    assert_int_equal (pthread_join (ids[i], NULL), 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (test_order, setup, teardown),
    cmocka_unit_test_setup_teardown (test_unfinished, setup, teardown),
    cmocka_unit_test_setup_teardown (test_dropped, setup, teardown),
    cmocka_unit_test_setup_teardown (test_reopen, setup, teardown),
    cmocka_unit_test_setup_teardown (test_errors, setup, teardown),
    cmocka_unit_test_setup_teardown (test_geometry, setup, teardown),
    cmocka_unit_test_setup_teardown (test_threads, setup, teardown),
    cmocka_unit_test_setup_teardown (test_threads_overflow, setup, teardown),
    cmocka_unit_test_setup_teardown (test_threads_reopen, setup, teardown),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
