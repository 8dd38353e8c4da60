/* SPDX-License-Identifier: BSD-3-Clause */
/* Writeback to a file, beside fio on the same file.
 *
 * usage: bench-writeback PAGES FILE [ROUNDS [COPIES]]
 *
 * PAGES as capture-pages made them; each is stored COPIES times, in random
 * order, so that neighbours on the device are no neighbours on the backing.
 * FILE does not exist yet, and is removed at the end.
 *
 * Rates are taken in rounds: in each one, tierswap and fio write the file when
 * nothing of it is allocated, and when all of it is, fio at several depths.
 * fio writes the same few buffers over and over, which stay in the caches of
 * the CPU; so a bare loop over io_uring, which writes from as much memory as
 * tierswap does, is measured beside both.
 * Closing a backing punches out all of its file, and so the file comes back to
 * where it was.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>

#include "figures.h"
#include "policy/backings.h"
#include "policy/writeback.h"
#include "store/mover.h"
#include "store/store.h"

#define MIB (1024.0 * 1024)
#define ROUNDS_MOST 32
#define SCATTERED 32 /* pages of a request, or threads */
#define READ_SECONDS 1.0
#define SETTLE_SECONDS 0.3

static const unsigned depths[] = { 2, 8, 32 };
#define DEPTHS (sizeof depths / sizeof depths[0])

static const struct store_placement placement
    = { .prio = 1, .writeback_prio = 1 };

static struct pages pages;
static const char *file;
static uint64_t slots;
static uint32_t *order; /* of the slots */

struct setup {
  struct store *store;
  struct backings backings;
  pthread_mutex_t lock;
  struct writeback *writeback;
};

static void
open_setup (struct setup *setup)
{
  const struct store_options options = {
    .size = slots * PAGE_BYTES,
    .pool_limit = 2 * slots * PAGE_BYTES,
    .tiers = { { .prio = 1, .codec = { .kind = CODEC_LZ4 } } },
    .tiers_count = 1,
  };
  const struct config_writeback policy = { .high = 100, .low = 99 };
  struct config_backing backing = {
    .name = "bench",
    .prio = 1,
    .path = (char *) file,
    .size = slots * PAGE_BYTES,
  };
  struct backing *opened;
  char *error = NULL;

  memset (setup, 0, sizeof *setup);
  pthread_mutex_init (&setup->lock, NULL);
  if (store_create (&options, &setup->store) == -1)
    fail ("store_create");
  if (store_start (setup->store) == -1)
    fail ("store_start");
  setup->backings.store = setup->store;
  setup->backings.lock = &setup->lock;
  if (backings_open (&backing, &opened, &error) == -1
      || backings_add (&setup->backings, &backing, opened, true, &error) == -1)
    fail (error ? error : "backings_add");
  setup->writeback = writeback_start (setup->store, &setup->backings);
  if (setup->writeback == NULL)
    fail ("writeback_start");
  writeback_configure (setup->writeback, &policy);
}

static void
close_setup (struct setup *setup)
{
  writeback_stop (setup->writeback);
  store_free (setup->store);
  backings_close (&setup->backings);
  pthread_mutex_destroy (&setup->lock);
}

/* Page i goes to the slot order[i]; SHIFT chooses other pages for them. */
static void
fill (struct setup *setup, uint64_t count, uint64_t shift)
{
  for (uint64_t i = 0; i < count; i++)
    if (store_write (setup->store, pages_at (&pages, (i + shift) % pages.count),
                     PAGE_BYTES, (uint64_t) order[i] * PAGE_BYTES, &placement)
        == -1)
      fail ("store_write");
}

/* Write everything back: bytes a second. */
static double
write_back (struct setup *setup)
{
  const struct writeback_command all = { .cgroup = -1, .tier = -1 };
  struct writeback_counters done;
  const double start = clock_seconds (CLOCK_MONOTONIC);

  if (writeback_run (setup->writeback, &all, &done) == -1)
    fail ("writeback_run");
  return (double) done.bytes / (clock_seconds (CLOCK_MONOTONIC) - start);
}

static void
statistics_of (struct setup *setup, struct store_statistics *statistics,
               struct backing_counters *counters)
{
  store_get_statistics (setup->store, statistics);
  backing_get_counters (atomic_load (&setup->backings.list[0].backing),
                        counters);
  if (statistics->backings[0].pages + statistics->pages_same != slots) {
    errno = EINVAL;
    fail ("not every page was written back");
  }
}

/* A run of fio on BYTES of the file: FIELD of its terse output. */
static double
fio (const char *rw, unsigned block, unsigned depth, uint64_t bytes,
     double seconds, int field, const char *more)
{
  char *command, *line = NULL, *rest, *token = NULL;
  size_t room = 0;
  double value = 0;
  FILE *output;
  char timed[64] = "";

  if (seconds > 0)
    snprintf (timed, sizeof timed, "--time_based --runtime=%.0f", seconds);
  if (asprintf (&command,
                "fio --name=bench --filename='%s' --rw=%s --bs=%u "
                "--iodepth=%u --size=%" PRIu64 " --direct=1 "
                "--ioengine=io_uring --fallocate=none --norandommap %s %s "
                "--output-format=terse --terse-version=3",
                file, rw, block, depth, bytes, timed, more)
      == -1)
    fail ("asprintf");
  output = popen (command, "re");
  if (output == NULL)
    fail ("fio");
  while (getline (&line, &room, output) != -1)
    if (strncmp (line, "3;", 2) == 0) {
      rest = line;
      for (int i = 0; i < field; i++)
        token = strsep (&rest, ";");
      value = token ? strtod (token, NULL) : 0;
    }
  free (line);
  if (pclose (output) != 0 || value <= 0) {
    errno = EINVAL;
    fail (command);
  }
  free (command);
  return value;
}

/* Bytes a second of one pass over the file. */
static double
fio_write (unsigned depth, uint64_t bytes)
{
  return fio ("write", EXTENT_BYTES, depth, bytes, 0, 48, "") * 1024;
}

static double
fio_read (unsigned depth, uint64_t bytes, const char *more)
{
  return fio ("randread", PAGE_BYTES, depth, bytes, READ_SECONDS, 8, more);
}

/* The same pass over the file by nothing but io_uring: bytes a second. */
static double
bare_write (uint64_t bytes)
{
  const uint64_t count = bytes / EXTENT_BYTES;
  const uint64_t sources = pages.count * PAGE_BYTES / EXTENT_BYTES;
  const int fd = open (file, O_RDWR | O_DIRECT | O_CLOEXEC);
  uint64_t started = 0, done = 0;
  struct io_uring_cqe *cqe;
  struct io_uring ring;
  double start;

  if (fd == -1 || io_uring_queue_init (MOVER_DEPTH, &ring, 0) < 0)
    fail (file);
  start = clock_seconds (CLOCK_MONOTONIC);
  while (done < count) {
    for (; started < count && started < done + MOVER_DEPTH; started++)
      io_uring_prep_write (
          io_uring_get_sqe (&ring), fd,
          pages_at (&pages, started % sources * (EXTENT_BYTES / PAGE_BYTES)),
          EXTENT_BYTES, started * EXTENT_BYTES);
    io_uring_submit_and_wait (&ring, 1);
    for (; io_uring_peek_cqe (&ring, &cqe) == 0; done++) {
      if (cqe->res != EXTENT_BYTES) {
        errno = cqe->res < 0 ? -cqe->res : EIO;
        fail (file);
      }
      io_uring_cqe_seen (&ring, cqe);
    }
  }
  start = clock_seconds (CLOCK_MONOTONIC) - start;
  io_uring_queue_exit (&ring);
  close (fd);
  return (double) bytes / start;
}

/* A file system may discard what was punched out when it commits that, which
 * takes the device some time: have it over before a rate is taken.
 */
static void
settle (void)
{
  const int fd = open (file, O_RDWR | O_CLOEXEC);

  if (fd == -1 || syncfs (fd) == -1)
    fail (file);
  close (fd);
  sleep_seconds (SETTLE_SECONDS);
}

/* Give back what the file has. */
static void
punch (void)
{
  const int fd = open (file, O_RDWR | O_CLOEXEC);
  const off_t length = fd == -1 ? -1 : lseek (fd, 0, SEEK_END);

  if (length == -1
      || fallocate (fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length)
             == -1)
    fail (file);
  close (fd);
  settle ();
}

/* ---- how fast ---- */

struct rates {
  double ours[ROUNDS_MOST];
  double bare[ROUNDS_MOST];
  double fio[DEPTHS][ROUNDS_MOST];
};

static void
show_rate (const char *name, struct rates *rates, unsigned rounds)
{
  const double ours = median (rates->ours, rounds);
  double best = 0;
  unsigned best_depth = 0;

  for (unsigned d = 0; d < DEPTHS; d++) {
    const double now = median (rates->fio[d], rounds);

    if (now > best) {
      best = now;
      best_depth = depths[d];
    }
  }
  figure (name, text ("%.0f MiB/s", ours / MIB),
          text ("fio %.0f MiB/s", best / MIB), ours / best, ">=0.90",
          text ("fio best at depth %u; ours from %.0f to %.0f MiB/s",
                best_depth, rates->ours[0] / MIB,
                rates->ours[rounds - 1] / MIB));
  best = median (rates->bare, rounds);
  figure ("  beside a bare loop", "", text ("loop %.0f MiB/s", best / MIB),
          ours / best, "-", "");
}

/* Returns the bytes of the file that were written. */
static uint64_t
measure_rates (unsigned rounds)
{
  static struct rates fresh, allocated;
  struct store_statistics statistics;
  struct backing_counters counters;
  struct setup setup;

  open_setup (&setup);
  fill (&setup, slots, 0);
  write_back (&setup);
  statistics_of (&setup, &statistics, &counters);
  close_setup (&setup);

  for (unsigned round = 0; round < rounds; round++) {
    open_setup (&setup);
    fill (&setup, slots, 0);
    settle ();
    fresh.ours[round] = write_back (&setup);
    close_setup (&setup);
    punch ();
    fresh.bare[round] = bare_write (counters.written_bytes);
    for (unsigned d = 0; d < DEPTHS; d++) {
      punch ();
      fresh.fio[d][round] = fio_write (depths[d], counters.written_bytes);
      settle ();
      allocated.fio[d][round] = fio_write (depths[d], counters.written_bytes);
    }
    settle ();
    allocated.bare[round] = bare_write (counters.written_bytes);
    open_setup (&setup);
    fill (&setup, slots, 0);
    settle ();
    allocated.ours[round] = write_back (&setup);
    close_setup (&setup);
  }
  figure_heading ("writeback: all of %" PRIu64 " pages (%.0f MiB) to a file, "
                  "beside fio writing 256 KiB in order; medians of %u rounds",
                  slots, (double) counters.written_bytes / MIB, rounds);
  show_rate ("to a sparse file", &fresh, rounds);
  show_rate ("to an allocated file", &allocated, rounds);
  return counters.written_bytes;
}

/* ---- how much ---- */

static void
measure_bytes (bool overwrite)
{
  struct store_statistics statistics;
  struct backing_counters counters;
  struct setup setup;
  double written, stored;

  open_setup (&setup);
  fill (&setup, slots, 0);
  if (overwrite) {
    shuffle (order, slots, 3);
    fill (&setup, slots / 2, 1);
  }
  write_back (&setup);
  statistics_of (&setup, &statistics, &counters);
  written
      = (double) counters.written_bytes / (double) statistics.backings[0].pages;
  stored = (double) statistics.backings[0].compr_bytes
           / (double) statistics.backings[0].pages;
  figure (overwrite ? "bytes a page, half overwritten" : "bytes a page",
          text ("%.0f", written), text ("compressed %.0f", stored),
          written / stored, "<=1.05",
          text ("zram writes 4096, %.2f times as much", 4096 / written));
  close_setup (&setup);
}

/* ---- reading back ---- */

struct reader {
  struct store *store;
  unsigned pages; /* of a request */
  uint64_t seed, done;
  double end;
};

static void *
run_reader (void *opaque)
{
  struct reader *reader = opaque;
  const uint64_t requests = slots / reader->pages;
  uint64_t x = reader->seed;
  char *buffer = aligned_alloc (PAGE_BYTES, SCATTERED * PAGE_BYTES);

  if (buffer == NULL)
    fail ("aligned_alloc");
  while (clock_seconds (CLOCK_MONOTONIC) < reader->end) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    if (store_read (reader->store, buffer, reader->pages * PAGE_BYTES,
                    x % requests * reader->pages * PAGE_BYTES)
        == -1)
      fail ("store_read");
    reader->done += reader->pages;
  }
  free (buffer);
  return NULL;
}

/* Pages a second that THREADS read in requests of so many. */
static double
read_pages (struct setup *setup, unsigned threads, unsigned request)
{
  struct reader readers[SCATTERED];
  pthread_t ids[SCATTERED];
  const double start = clock_seconds (CLOCK_MONOTONIC);
  uint64_t done = 0;

  for (unsigned i = 0; i < threads; i++) {
    readers[i] = (struct reader){ .store = setup->store,
                                  .pages = request,
                                  .seed = 0x9e3779b97f4a7c15 * (i + 1),
                                  .end = start + READ_SECONDS };
    if (pthread_create (&ids[i], NULL, run_reader, &readers[i]) != 0)
      fail ("pthread_create");
  }
  for (unsigned i = 0; i < threads; i++) {
    pthread_join (ids[i], NULL);
    done += readers[i].done;
  }
  return (double) done / (clock_seconds (CLOCK_MONOTONIC) - start);
}

static void
check_pages (struct setup *setup)
{
  char page[PAGE_BYTES];

  for (uint64_t i = 0; i < slots; i += 97) {
    if (store_read (setup->store, page, PAGE_BYTES,
                    (uint64_t) order[i] * PAGE_BYTES)
        == -1)
      fail ("store_read");
    if (memcmp (page, pages_at (&pages, i % pages.count), PAGE_BYTES) != 0) {
      errno = EIO;
      fail ("a page came back wrong");
    }
  }
}

static void
measure_reads (unsigned rounds)
{
  static double one[ROUNDS_MOST], scattered[ROUNDS_MOST], eight[ROUNDS_MOST],
      many[ROUNDS_MOST], fio_one[ROUNDS_MOST], fio_many[ROUNDS_MOST],
      fio_batch[ROUNDS_MOST];
  struct store_statistics statistics;
  struct backing_counters counters, after;
  struct setup setup;
  double ios, ours, peer;

  open_setup (&setup);
  shuffle (order, slots, 1);
  fill (&setup, slots, 0);
  write_back (&setup);
  statistics_of (&setup, &statistics, &counters);
  check_pages (&setup);
  for (unsigned round = 0; round < rounds; round++) {
    one[round] = read_pages (&setup, 1, 1);
    fio_one[round] = fio_read (1, counters.written_bytes, "");
    eight[round] = read_pages (&setup, SCATTERED / 8, 8);
    fio_many[round] = fio_read (SCATTERED, counters.written_bytes, "");
    scattered[round] = read_pages (&setup, 1, SCATTERED);
    fio_batch[round]
        = fio_read (SCATTERED, counters.written_bytes,
                    "--iodepth_batch_submit=32 "
                    "--iodepth_batch_complete_min=32 "
                    "--iodepth_batch_complete_max=32 --iodepth_low=1");
    many[round] = read_pages (&setup, SCATTERED, 1);
  }
  statistics_of (&setup, &statistics, &after);
  ios = (double) (after.read_ios - counters.read_ios);
  figure_heading ("reading pages back at random, beside fio reading 4 KiB at "
                  "random; %.1f KiB a read",
                  (double) (after.read_bytes - counters.read_bytes) / ios
                      / 1024);
  ours = median (one, rounds);
  peer = median (fio_one, rounds);
  figure ("one page at a time", text ("%.0f/s", ours),
          text ("fio %.0f/s", peer), ours / peer, ">=0.80", "depth 1 of both");
  peer = median (fio_many, rounds);
  ours = median (eight, rounds);
  figure ("4 threads, 8 scattered pages", text ("%.0f/s", ours),
          text ("fio %.0f/s", peer), ours / peer, ">=0.80", "fio at depth 32");
  ours = median (many, rounds);
  figure ("32 threads, a page each", text ("%.0f/s", ours),
          text ("fio %.0f/s", peer), ours / peer, ">=0.80", "fio at depth 32");
  ours = median (scattered, rounds);
  figure ("1 thread, 32 scattered pages", text ("%.0f/s", ours),
          text ("fio %.0f/s", peer), ours / peer, "-",
          "fio at depth 32, which does not wait for the last of 32");
  peer = median (fio_batch, rounds);
  figure ("  beside fio in batches of 32", text ("%.0f/s", ours),
          text ("fio %.0f/s", peer), ours / peer, ">=0.80", "which does");
  close_setup (&setup);
}

int
main (int argc, char *argv[])
{
  unsigned rounds = 5, copies = 8;

  if (argc < 3 || argc > 5) {
    fputs ("usage: bench-writeback PAGES FILE [ROUNDS [COPIES]]\n", stderr);
    return EXIT_FAILURE;
  }
  pages_load (&pages, argv[1]);
  file = argv[2];
  if (argc > 3)
    rounds = (unsigned) atoi (argv[3]);
  if (argc > 4)
    copies = (unsigned) atoi (argv[4]);
  if (rounds < 1 || rounds > ROUNDS_MOST || copies < 1) {
    errno = EINVAL;
    fail ("ROUNDS or COPIES");
  }
  slots = copies * pages.count;
  order = calloc (slots, sizeof *order);
  if (order == NULL)
    fail ("calloc");
  shuffle (order, slots, 1);

  measure_rates (rounds);
  measure_bytes (false);
  measure_bytes (true);
  measure_reads (rounds);
  unlink (file);
  free (order);
  return EXIT_SUCCESS;
}
