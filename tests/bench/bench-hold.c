/* SPDX-License-Identifier: BSD-3-Clause */
/* How many pages some memory and a file hold together, and how long it takes
 * to read them all back at random.
 *
 * usage: bench-hold PAGES MEMORY-MIB FILE FILE-MIB
 *        bench-hold PAGES ZRAM SYS
 *
 * PAGES as capture-pages made them, from the start again when they are used
 * up.  The first form fills a store of one lz4 tier and a file as its backing,
 * FILE, which is created and removed.  The second fills a zram device that is
 * ready: SYS is its folder below /sys/block, a memory limit and a device to
 * write back to are set.  Whenever zram has no more memory it is told to write
 * back what is incompressible, and then, once that frees nothing, all that is
 * idle, as its documentation says.
 *
 * It prints one line: pages held, seconds to store them, seconds to read them,
 * bytes of memory used, pages that were not in memory.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"
#include "policy/backings.h"
#include "policy/writeback.h"
#include "store/store.h"

#define MIB (UINT64_C (1) << 20)

struct holder {
  /* False when there is no room. */
  bool (*write) (struct holder *holder, const void *page, uint64_t slot);
  void (*read) (struct holder *holder, void *page, uint64_t slot);
  struct store *store;
  int device;
  const char *sys;
};

static bool
write_store (struct holder *holder, const void *page, uint64_t slot)
{
  static const struct store_placement placement
      = { .prio = 1, .writeback_prio = 1 };

  if (store_write (holder->store, page, PAGE_BYTES, slot * PAGE_BYTES,
                   &placement)
      == 0)
    return true;
  if (errno != ENOSPC)
    fail ("store_write");
  return false;
}

static void
read_store (struct holder *holder, void *page, uint64_t slot)
{
  if (store_read (holder->store, page, PAGE_BYTES, slot * PAGE_BYTES) == -1)
    fail ("store_read");
}

/* Column N of a file of the device. */
static uint64_t
statistic (const struct holder *holder, const char *name, int column)
{
  char *path, line[512], *rest = line, *token = NULL;
  FILE *stream;

  if (asprintf (&path, "%s/%s", holder->sys, name) == -1)
    fail ("asprintf");
  stream = fopen (path, "re");
  if (stream == NULL || fgets (line, sizeof line, stream) == NULL)
    fail (path);
  fclose (stream);
  free (path);
  while (column > 0 && (token = strsep (&rest, " \n")) != NULL)
    if (*token)
      column--;
  return token ? strtoull (token, NULL, 10) : 0;
}

/* zram answers an error when its device is full, too. */
static void
order (const struct holder *holder, const char *name, const char *what)
{
  char *path;
  int fd;

  if (asprintf (&path, "%s/%s", holder->sys, name) == -1)
    fail ("asprintf");
  fd = open (path, O_WRONLY | O_CLOEXEC);
  if (fd == -1)
    fail (path);
  if (write (fd, what, strlen (what)) == -1 && errno != ENOSPC && errno != EIO)
    fail (path);
  close (fd);
  free (path);
}

/* Have zram write back: whether any page has left memory. */
static bool
write_back_zram (const struct holder *holder)
{
  static const char *const kinds[] = { "huge", "idle" };
  const uint64_t before = statistic (holder, "bd_stat", 1);

  for (unsigned i = 0; i < 2; i++) {
    order (holder, "idle", "all");
    order (holder, "writeback", kinds[i]);
    if (statistic (holder, "bd_stat", 1) > before)
      return true;
  }
  return false;
}

static bool
write_zram (struct holder *holder, const void *page, uint64_t slot)
{
  do
    if (pwrite (holder->device, page, PAGE_BYTES, (off_t) (slot * PAGE_BYTES))
        == PAGE_BYTES)
      return true;
  while (write_back_zram (holder));
  return false;
}

static void
read_zram (struct holder *holder, void *page, uint64_t slot)
{
  if (pread (holder->device, page, PAGE_BYTES, (off_t) (slot * PAGE_BYTES))
      != PAGE_BYTES)
    fail ("pread");
}

static void
run (struct holder *holder, const struct pages *pages, uint64_t most,
     uint64_t *held, double *fill_seconds, double *read_seconds)
{
  char *page = aligned_alloc (PAGE_BYTES, PAGE_BYTES);
  uint32_t *numbers = calloc (most, sizeof *numbers);
  double start = clock_seconds (CLOCK_MONOTONIC);
  uint64_t n = 0;

  if (page == NULL || numbers == NULL)
    fail ("calloc");
  while (n < most
         && holder->write (holder, pages_at (pages, n % pages->count), n))
    n++;
  *fill_seconds = clock_seconds (CLOCK_MONOTONIC) - start;
  *held = n;
  shuffle (numbers, n, 1);
  start = clock_seconds (CLOCK_MONOTONIC);
  for (uint64_t i = 0; i < n; i++) {
    holder->read (holder, page, numbers[i]);
    if (memcmp (page, pages_at (pages, numbers[i] % pages->count), PAGE_BYTES)
        != 0) {
      errno = EIO;
      fail ("a page came back wrong");
    }
  }
  *read_seconds = clock_seconds (CLOCK_MONOTONIC) - start;
  free (numbers);
  free (page);
}

static void
show (uint64_t held, double fill_seconds, double read_seconds, uint64_t memory,
      uint64_t away)
{
  printf ("%" PRIu64 " %.3f %.3f %" PRIu64 " %" PRIu64 "\n", held, fill_seconds,
          read_seconds, memory, away);
}

static void
hold_in_store (const struct pages *pages, uint64_t memory, char *file,
               uint64_t file_bytes)
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  /* Eight compressed to one everywhere would be far more than there is. */
  const uint64_t most = (memory + file_bytes) * 8 / PAGE_BYTES;
  const struct store_options options = {
    .size = most * PAGE_BYTES,
    .pool_limit = memory,
    .tiers = { { .prio = 1, .codec = { .kind = CODEC_LZ4 } } },
    .tiers_count = 1,
  };
  const struct config_writeback policy = { .high = 90, .low = 80 };
  struct config_backing config
      = { .name = "bench", .prio = 1, .path = file, .size = file_bytes };
  struct backings backings = { .lock = &lock };
  struct holder holder = { .write = write_store, .read = read_store };
  struct store_statistics statistics;
  struct writeback *writeback;
  struct backing *backing;
  double fill_seconds, read_seconds;
  char *error = NULL;
  uint64_t held;

  if (store_create (&options, &holder.store) == -1
      || store_start (holder.store) == -1)
    fail ("store_create");
  backings.store = holder.store;
  if (backings_open (&config, &backing, &error) == -1
      || backings_add (&backings, &config, backing, true, &error) == -1)
    fail (error ? error : "backings_add");
  writeback = writeback_start (holder.store, &backings);
  if (writeback == NULL)
    fail ("writeback_start");
  writeback_configure (writeback, &policy);
  run (&holder, pages, most, &held, &fill_seconds, &read_seconds);
  store_get_statistics (holder.store, &statistics);
  show (held, fill_seconds, read_seconds, statistics.mem_used_bytes,
        statistics.backings[0].pages);
  writeback_stop (writeback);
  store_free (holder.store);
  backings_close (&backings);
  unlink (file);
}

static void
hold_in_zram (const struct pages *pages, const char *device, const char *sys)
{
  struct holder holder = { .write = write_zram, .read = read_zram, .sys = sys };
  double fill_seconds, read_seconds;
  uint64_t held;
  off_t bytes;

  holder.device = open (device, O_RDWR | O_DIRECT | O_CLOEXEC);
  bytes = holder.device == -1 ? -1 : lseek (holder.device, 0, SEEK_END);
  if (bytes == -1)
    fail (device);
  run (&holder, pages, (uint64_t) bytes / PAGE_BYTES, &held, &fill_seconds,
       &read_seconds);
  show (held, fill_seconds, read_seconds, statistic (&holder, "mm_stat", 3),
        statistic (&holder, "bd_stat", 1));
  close (holder.device);
}

int
main (int argc, char *argv[])
{
  struct pages pages;

  if (argc != 4 && argc != 5) {
    fputs ("usage: bench-hold PAGES MEMORY-MIB FILE FILE-MIB\n"
           "       bench-hold PAGES ZRAM SYS\n",
           stderr);
    return EXIT_FAILURE;
  }
  pages_load (&pages, argv[1]);
  if (argc == 5)
    hold_in_store (&pages, strtoull (argv[2], NULL, 10) * MIB, argv[3],
                   strtoull (argv[4], NULL, 10) * MIB);
  else
    hold_in_zram (&pages, argv[2], argv[3]);
  return EXIT_SUCCESS;
}
