/* SPDX-License-Identifier: BSD-3-Clause */
/* What it takes to find pages to write back, with few and with many stored.
 *
 * usage: bench-pick FILE [FEW [MANY]]
 *
 * Fills a store with FEW pages and picks segments: each pick is timed by
 * itself, and what it found is then written back to FILE, so that every pick
 * finds another.  Then the store is filled up to MANY pages, and the same is
 * done again.  The pages are of small objects, so that many fit into memory.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"
#include "policy/backings.h"
#include "store/mover.h"
#include "store/pick.h"
#include "store/store.h"

#define PICKS 101
#define ROUNDS 5
#define REQUEST 64      /* pages */
#define RANDOM_MOST 200 /* random bytes of a page; the others are zero */

struct cost {
  double pick;  /* microseconds, the median */
  double pages; /* of a segment */
};

static struct store *store;
static struct backings backings;
static struct mover *mover;

static void
fill (uint64_t first, uint64_t end, size_t random_bytes)
{
  static const struct store_placement placement
      = { .prio = 1, .writeback_prio = 1 };
  static uint64_t buffer[REQUEST][PAGE_BYTES / sizeof (uint64_t)];
  static uint64_t x = 88172645463325252;

  for (uint64_t i = first; i < end; i += REQUEST) {
    for (unsigned page = 0; page < REQUEST; page++)
      for (size_t word = 0; word < random_bytes / sizeof x; word++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        buffer[page][word] = x;
      }
    if (store_write (store, buffer, sizeof buffer, i * PAGE_BYTES, &placement)
        == -1)
      fail ("store_write");
  }
}

static struct cost
pick_some (void)
{
  const struct pick pick = { .tier = PICK_ANY,
                             .cgroup = PICK_ANY,
                             .classes = 1u << 1,
                             .before = UINT32_MAX };
  double times[PICKS];
  struct moved moved;
  struct cost cost = { 0 };
  double start;

  for (unsigned i = 0; i < PICKS; i++) {
    uint32_t segment;

    start = clock_seconds (CLOCK_MONOTONIC);
    segment = pick_coldest (store, &pick);
    times[i] = (clock_seconds (CLOCK_MONOTONIC) - start) * 1e6;
    if (segment == PICK_NONE) {
      errno = ENODATA;
      fail ("pick_coldest");
    }
    if (mover_write (mover, segment, 0) == -1)
      fail ("mover_write");
    if (!mover_wait (mover, &moved) || moved.error) {
      errno = moved.error;
      fail ("mover_wait");
    }
    cost.pages += (double) moved.pages / PICKS;
  }
  cost.pick = median (times, PICKS);
  return cost;
}

/* The median of some rounds. */
static struct cost
measure (void)
{
  double picks[ROUNDS];
  struct cost cost;

  for (unsigned round = 0; round < ROUNDS; round++) {
    cost = pick_some ();
    picks[round] = cost.pick;
  }
  cost.pick = median (picks, ROUNDS);
  return cost;
}

/* Microseconds for 1000 pages: segments are picked whole. */
static double
thousand (struct cost cost)
{
  const double segments = 1000 / cost.pages;

  return cost.pick * (segments > 1 ? segments : 1);
}

int
main (int argc, char *argv[])
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  uint64_t few = UINT64_C (1) << 20, many = UINT64_C (16) << 20, memory;
  struct store_options options
      = { .tiers = { { .prio = 1, .codec = { .kind = CODEC_LZ4 } } },
          .tiers_count = 1 };
  struct config_backing backing
      = { .name = "bench", .prio = 1, .size = UINT64_C (1) << 30 };
  struct cost at_few, at_many;
  size_t random_bytes = RANDOM_MOST;
  struct backing *opened;
  char *error = NULL;

  if (argc < 2 || argc > 4) {
    fputs ("usage: bench-pick FILE [FEW [MANY]]\n", stderr);
    return EXIT_FAILURE;
  }
  backing.path = argv[1];
  if (argc > 2)
    few = strtoull (argv[2], NULL, 10) / REQUEST * REQUEST;
  if (argc > 3)
    many = strtoull (argv[3], NULL, 10) / REQUEST * REQUEST;

  /* Half of what is free, and 48 bytes a page beside them. */
  memory = (uint64_t) sysconf (_SC_AVPHYS_PAGES) * PAGE_BYTES / 2;
  if (memory / many < RANDOM_MOST + 48)
    random_bytes = memory / many > 64 ? (memory / many - 48) / 8 * 8 : 16;

  options.size = many * PAGE_BYTES;
  options.pool_limit = many * PAGE_BYTES;
  if (store_create (&options, &store) == -1)
    fail ("store_create");
  if (store_start (store) == -1)
    fail ("store_start");
  backings.store = store;
  backings.lock = &lock;
  if (backings_open (&backing, &opened, &error) == -1
      || backings_add (&backings, &backing, opened, true, &error) == -1)
    fail (error ? error : "backings_add");
  mover = mover_create (store);
  if (mover == NULL)
    fail ("mover_create");

  fill (0, few, random_bytes);
  at_few = measure ();
  fill (few, many, random_bytes);
  at_many = measure ();

  figure_heading ("pick: time to find 1000 pages to write back; segments of "
                  "%.0f pages",
                  at_many.pages);
  figure (
      text ("with %.1f million stored", (double) many / 1048576),
      text ("%.2f us", thousand (at_many)),
      text ("%.1f million: %.2f us", (double) few / 1048576, thousand (at_few)),
      thousand (at_many) / thousand (at_few), "<=1.5",
      text ("median of %d rounds of %d picks", ROUNDS, PICKS));
  mover_free (mover);
  store_free (store);
  backings_close (&backings);
  unlink (argv[1]);
  return EXIT_SUCCESS;
}
