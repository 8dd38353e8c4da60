/* SPDX-License-Identifier: BSD-3-Clause */
/* What it saves to compress neighbouring pages together when they are demoted,
 * and what it costs to read them.
 *
 * usage: bench-group FILE [LEVEL]
 *
 * FILE as capture-pages made it.  All pages are written in order to a store
 * with lz4 at prio 1, and demoted into zstd of LEVEL (1): each alone in one
 * store, in groups of four in another.  Then every page is read in random order
 * by a request of its own, and all in requests of 8 pages, which is what a
 * kernel reads at once when it swaps in.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "figures.h"
#include "store/demote.h"
#include "store/pick.h"
#include "store/store.h"

#define REQUEST 64 /* pages of a request of the fill */
#define CLUSTER 8  /* pages of a request of a swap-in */
#define ROUNDS 3
#define GROUP STORE_GROUP

struct cost {
  double bytes;                 /* of memory a page, after demotion */
  double demote, read, cluster; /* microseconds a page */
};

/* Demote all that was written. */
static uint64_t
demote_all (struct store *store)
{
  const struct pick pick = { .tier = 0,
                             .cgroup = PICK_ANY,
                             .classes = (1u << STORE_CLASSES) - 1,
                             .before = UINT32_MAX };
  uint64_t pages = 0;
  uint32_t segment;
  int64_t demoted;

  pick_seal (store, &pick);
  while ((segment = pick_coldest (store, &pick)) != PICK_NONE) {
    demoted = demote_segment (store, segment);
    if (demoted == -1)
      fail ("demote_segment");
    /* What stays would be found again. */
    if (demoted == 0)
      break;
    pages += (uint64_t) demoted;
  }
  return pages;
}

/* Microseconds a page for requests of COUNT pages, in the order of ORDER, or
 * one after the other.
 */
static double
read_all (struct store *store, size_t pages, const uint32_t *order,
          unsigned count)
{
  static char buffer[CLUSTER * PAGE_BYTES];
  double times[ROUNDS], start;

  for (unsigned round = 0; round < ROUNDS; round++) {
    start = clock_seconds (CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < pages; i += count)
      if (store_read (store, buffer, (size_t) count * PAGE_BYTES,
                      (order ? order[i] : i) * UINT64_C (4096))
          == -1)
        fail ("store_read");
    times[round] = (clock_seconds (CLOCK_THREAD_CPUTIME_ID) - start)
                   / (double) pages * 1e6;
  }
  return median (times, ROUNDS);
}

static struct cost
measure (const struct pages *pages, const uint32_t *order, int level,
         unsigned group)
{
  static const struct store_placement placement = { .prio = 1 };
  const struct store_options options = {
    .size = pages->count * PAGE_BYTES,
    .pool_limit = 2 * pages->count * PAGE_BYTES,
    .tiers = { { .prio = 1, .codec = { CODEC_LZ4, 0 } },
               { .prio = 2, .codec = { CODEC_ZSTD, level } } },
    .tiers_count = 2,
  };
  struct store_statistics statistics;
  struct store *store;
  struct cost cost;
  uint64_t demoted;
  double start;

  if (store_create (&options, &store) == -1)
    fail ("store_create");
  if (store_start (store) == -1)
    fail ("store_start");
  store_set_tier_group (store, 1, group);
  for (size_t i = 0; i < pages->count; i += REQUEST)
    if (store_write (store, pages_at (pages, i), REQUEST * PAGE_BYTES,
                     i * PAGE_BYTES, &placement)
        == -1)
      fail ("store_write");
  start = clock_seconds (CLOCK_THREAD_CPUTIME_ID);
  demoted = demote_all (store);
  if (demoted == 0) {
    errno = ENODATA;
    fail ("nothing was demoted");
  }
  cost.demote = (clock_seconds (CLOCK_THREAD_CPUTIME_ID) - start)
                / (double) demoted * 1e6;
  store_get_statistics (store, &statistics);
  cost.bytes = (double) statistics.tiers[1].mem_used_bytes
               / (double) statistics.tiers[1].pages;
  cost.read = read_all (store, pages->count, order, 1);
  cost.cluster = read_all (store, pages->count, NULL, CLUSTER);
  store_free (store);
  return cost;
}

int
main (int argc, char *argv[])
{
  struct cost alone, group;
  struct pages pages;
  uint32_t *order;
  int level = argc == 3 ? atoi (argv[2]) : 1;

  if (argc != 2 && argc != 3) {
    fputs ("usage: bench-group FILE [LEVEL]\n", stderr);
    return EXIT_FAILURE;
  }
  pages_load (&pages, argv[1]);
  order = calloc (pages.count, sizeof *order);
  if (order == NULL)
    fail ("calloc");
  shuffle (order, pages.count, 1);
  alone = measure (&pages, order, level, 1);
  group = measure (&pages, order, level, GROUP);

  figure_heading ("group: %zu pages demoted from lz4 to zstd level %d, four "
                  "together beside each alone",
                  pages.count, level);
  figure ("memory of a page", text ("%.0f bytes", group.bytes),
          text ("alone %.0f", alone.bytes), group.bytes / alone.bytes, "<=0.90",
          "");
  figure ("demoting a page", text ("%.1f us", group.demote),
          text ("alone %.1f us", alone.demote), group.demote / alone.demote,
          "<=1.00", "of CPU, with decompressing it first");
  figure ("reading a page of 8", text ("%.1f us", group.cluster),
          text ("alone %.1f us", alone.cluster), group.cluster / alone.cluster,
          "<=1.10", "of CPU, in requests of 8 pages");
  figure ("reading a page by itself", text ("%.1f us", group.read),
          text ("alone %.1f us", alone.read), group.read / alone.read, "-",
          "of CPU, in random order");
  free (order);
  return EXIT_SUCCESS;
}
