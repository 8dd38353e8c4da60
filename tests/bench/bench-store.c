/* SPDX-License-Identifier: BSD-3-Clause */
/* The store alone beside a bare loop of its codec, on the same captured pages.
 *
 * usage: bench-store [-r ROUNDS] FILE        FILE as capture-pages made it
 *        bench-store -V                      the versions of the codecs
 *
 * A pass goes over all pages once.  Every pass of the store has a pass of the
 * bare loop right before or after it, in turn, so that what else the machine
 * does falls on both; a ratio is the median over the rounds of the ratio of
 * the two.  The bare loop compresses into one buffer, again and again, and
 * decompresses from one packed array: it does nothing else.
 *
 * Nothing is timed that is not compared, and nothing compared unverified: all
 * pages are read back at the end of each codec's rounds.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lz4.h>
#include <zstd.h>

#include "figures.h"
#include "store/store.h"

#define REQUEST 64 /* pages of a large request */
#define THREADS 2
#define ROUNDS_MOST 64
#define SETTLE 0.3 /* seconds for the store's own threads after a trim */

/* The passes of a round, in this order. */
static const struct pass {
  const char *name;
  bool write;
  bool trimmed;   /* trim all before */
  bool random;    /* the order of requests */
  unsigned pages; /* of a request */
  unsigned threads;
  const char *limit;
} passes[] = {
  { "write, 64 pages, fresh", true, true, false, REQUEST, 1, ">=0.90" },
  { "read, 64 pages", false, false, false, REQUEST, 1, ">=0.85" },
  { "read, 1 page, random", false, false, true, 1, 1, ">=0.85" },
  { "write, 64 pages, overwriting", true, false, true, REQUEST, 1, ">=0.90" },
  { "write, 1 page, overwriting", true, false, true, 1, 1, ">=0.90" },
  { "write, 1 page, fresh", true, true, false, 1, 1, ">=0.90" },
  { "write, 64 pages, 2 threads", true, true, false, REQUEST, THREADS, "-" },
  { "read, 64 pages, 2 threads", false, false, false, REQUEST, THREADS, "-" },
};
#define PASSES (sizeof passes / sizeof passes[0])
enum { WRITE_ONE = 0, READ_ONE = 1, WRITE_TWO = 6, READ_TWO = 7 };

/* Seconds for one pass over all pages. */
struct timing {
  double wall;
  double cpu;        /* of the calling threads */
  double background; /* CPU of the process beside them */
};

struct bench {
  struct pages pages;
  struct codec codec;
  struct store *store;
  uint32_t *order;    /* of the device's requests in a pass */
  uint32_t *contents; /* the page in each slot */
  char *packed;       /* all pages as the bare loop compresses them */
  size_t *offsets;    /* of each in packed, one more at the end */
  struct {
    pthread_t thread;
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    char *buffer; /* of a large request */
    double cpu;   /* seconds of the last pass */
  } workers[THREADS];
};

static const struct store_placement placement = { .prio = 1 };

static size_t
bare_compress (struct bench *bench, unsigned worker, const char *page,
               char *out)
{
  const int bound = LZ4_COMPRESSBOUND (PAGE_BYTES);

  if (bench->codec.kind == CODEC_LZ4)
    return (size_t) LZ4_compress_default (page, out, PAGE_BYTES, bound);
  return ZSTD_compress2 (bench->workers[worker].compressor, out,
                         ZSTD_COMPRESSBOUND (PAGE_BYTES), page, PAGE_BYTES);
}

static size_t
bare_decompress (struct bench *bench, unsigned worker, const char *in,
                 size_t length, char *page)
{
  if (length == PAGE_BYTES) {
    memcpy (page, in, PAGE_BYTES);
    return PAGE_BYTES;
  }
  if (bench->codec.kind == CODEC_LZ4)
    return (size_t) LZ4_decompress_safe (in, page, (int) length, PAGE_BYTES);
  return ZSTD_decompressDCtx (bench->workers[worker].decompressor, page,
                              PAGE_BYTES, in, length);
}

/* The requests [FIRST, LAST) of a pass, by the bare loop. */
static void
bare_requests (struct bench *bench, unsigned worker, const struct pass *pass,
               size_t first, size_t last)
{
  char *buffer = bench->workers[worker].buffer;

  for (size_t request = first; request < last; request++)
    for (size_t i = 0; i < pass->pages; i++) {
      if (pass->write)
        bare_compress (bench, worker,
                       pages_at (&bench->pages, request * pass->pages + i),
                       buffer);
      else {
        const size_t page
            = (pass->random ? bench->order[request] : request) * pass->pages
              + i;

        if (bare_decompress (bench, worker,
                             bench->packed + bench->offsets[page],
                             bench->offsets[page + 1] - bench->offsets[page],
                             buffer + i * PAGE_BYTES)
            != PAGE_BYTES)
          abort ();
      }
    }
}

/* The same by the store. */
static void
store_requests (struct bench *bench, unsigned worker, const struct pass *pass,
                size_t first, size_t last)
{
  const size_t bytes = pass->pages * PAGE_BYTES;

  for (size_t request = first; request < last; request++) {
    const size_t place = pass->random ? bench->order[request] : request;

    if (pass->write) {
      if (store_write (bench->store,
                       pages_at (&bench->pages, request * pass->pages), bytes,
                       place * bytes, &placement)
          == -1)
        fail ("store_write");
    }
    else if (store_read (bench->store, bench->workers[worker].buffer, bytes,
                         place * bytes)
             == -1)
      fail ("store_read");
  }
}

struct share {
  struct bench *bench;
  const struct pass *pass;
  unsigned worker;
  bool bare;
  pthread_barrier_t *barrier;
  double start, end; /* wall clock */
};

static void *
run_share (void *opaque)
{
  struct share *share = opaque;
  struct bench *bench = share->bench;
  const struct pass *pass = share->pass;
  const size_t requests = bench->pages.count / pass->pages;
  const size_t first = requests * share->worker / pass->threads;
  const size_t last = requests * (share->worker + 1) / pass->threads;
  double cpu;

  pthread_barrier_wait (share->barrier);
  share->start = clock_seconds (CLOCK_MONOTONIC);
  cpu = clock_seconds (CLOCK_THREAD_CPUTIME_ID);
  if (share->bare)
    bare_requests (bench, share->worker, pass, first, last);
  else
    store_requests (bench, share->worker, pass, first, last);
  share->end = clock_seconds (CLOCK_MONOTONIC);
  bench->workers[share->worker].cpu
      = clock_seconds (CLOCK_THREAD_CPUTIME_ID) - cpu;
  return NULL;
}

/* One pass over all pages; the first share runs in the calling thread. */
static struct timing
run (struct bench *bench, const struct pass *pass, bool bare)
{
  struct share shares[THREADS];
  pthread_barrier_t barrier;
  struct timing timing = { 0 };
  double process, start, end;

  pthread_barrier_init (&barrier, NULL, pass->threads);
  process = clock_seconds (CLOCK_PROCESS_CPUTIME_ID);
  for (unsigned i = pass->threads; i-- > 0;) {
    shares[i] = (struct share){ bench, pass, i, bare, &barrier, 0, 0 };
    if (i > 0
        && pthread_create (&bench->workers[i].thread, NULL, run_share,
                           &shares[i])
               != 0)
      fail ("pthread_create");
  }
  run_share (&shares[0]);
  for (unsigned i = 1; i < pass->threads; i++)
    pthread_join (bench->workers[i].thread, NULL);
  process = clock_seconds (CLOCK_PROCESS_CPUTIME_ID) - process;
  pthread_barrier_destroy (&barrier);

  start = shares[0].start;
  end = shares[0].end;
  for (unsigned i = 0; i < pass->threads; i++) {
    start = shares[i].start < start ? shares[i].start : start;
    end = shares[i].end > end ? shares[i].end : end;
    timing.cpu += bench->workers[i].cpu;
  }
  timing.wall = end - start;
  timing.background = process - timing.cpu;
  return timing;
}

/* Note what a pass of writes has left in the slots. */
static void
note_contents (struct bench *bench, const struct pass *pass)
{
  for (size_t request = 0; request < bench->pages.count / pass->pages;
       request++) {
    const size_t place = pass->random ? bench->order[request] : request;

    for (size_t i = 0; i < pass->pages; i++)
      bench->contents[place * pass->pages + i]
          = (uint32_t) (request * pass->pages + i);
  }
}

static void
verify (struct bench *bench)
{
  char *page = bench->workers[0].buffer;

  for (size_t slot = 0; slot < bench->pages.count; slot++) {
    if (store_read (bench->store, page, PAGE_BYTES, slot * PAGE_BYTES) == -1)
      fail ("store_read");
    if (memcmp (page, pages_at (&bench->pages, bench->contents[slot]),
                PAGE_BYTES)
        != 0) {
      fprintf (stderr, "bench-store: slot %zu reads wrong\n", slot);
      exit (EXIT_FAILURE);
    }
  }
}

/* Compress all pages into the packed array, raw where they do not shrink. */
static void
pack (struct bench *bench)
{
  char out[ZSTD_COMPRESSBOUND (PAGE_BYTES) + LZ4_COMPRESSBOUND (PAGE_BYTES)];
  size_t offset = 0;

  for (size_t i = 0; i < bench->pages.count; i++) {
    const char *page = pages_at (&bench->pages, i);
    size_t length = bare_compress (bench, 0, page, out);
    const char *from = out;

    if (length == 0 || length >= PAGE_BYTES) {
      length = PAGE_BYTES;
      from = page;
    }
    bench->offsets[i] = offset;
    memcpy (bench->packed + offset, from, length);
    offset += length;
  }
  bench->offsets[bench->pages.count] = offset;
}

/* How much faster two threads are than one. */
static void
figure_scale (const char *name, const struct timing *one,
              const struct timing *bare_one, const struct timing *two,
              const struct timing *bare_two, size_t rounds)
{
  double ours[ROUNDS_MOST], bare[ROUNDS_MOST];

  for (size_t i = 0; i < rounds; i++) {
    ours[i] = one[i].wall / two[i].wall;
    bare[i] = bare_one[i].wall / bare_two[i].wall;
  }
  figure (name, text ("%.2f of one", median (ours, rounds)),
          text ("bare loop %.2f", median (bare, rounds)), median (ours, rounds),
          ">=1.8", "");
}

static void
bench_codec (struct bench *bench, struct codec codec, size_t rounds)
{
  static struct timing ours[PASSES][ROUNDS_MOST], bare[PASSES][ROUNDS_MOST];
  const long cpus = sysconf (_SC_NPROCESSORS_ONLN);
  const uint64_t bytes = bench->pages.count * PAGE_BYTES;
  const struct store_options options = {
    .size = bytes,
    .pool_limit = 4 * bytes,
    .tiers = { { .prio = 1, .codec = codec } },
    .tiers_count = 1,
  };

  bench->codec = codec;
  for (unsigned i = 0; i < THREADS; i++)
    ZSTD_CCtx_setParameter (bench->workers[i].compressor,
                            ZSTD_c_compressionLevel, codec.level);
  pack (bench);
  if (store_create (&options, &bench->store) == -1)
    fail ("store_create");
  if (store_start (bench->store) == -1)
    fail ("store_start");

  for (size_t round = 0; round < rounds; round++)
    for (size_t i = 0; i < PASSES; i++) {
      const struct pass *pass = &passes[i];

      if (pass->threads > cpus)
        continue;
      if (pass->trimmed) {
        if (store_trim (bench->store, bytes, 0) == -1)
          fail ("store_trim");
        sleep_seconds (SETTLE);
      }
      shuffle (bench->order, bench->pages.count / pass->pages,
               round * PASSES + i);
      if (round % 2 == 0)
        bare[i][round] = run (bench, pass, true);
      ours[i][round] = run (bench, pass, false);
      if (round % 2 != 0)
        bare[i][round] = run (bench, pass, true);
      if (pass->write)
        note_contents (bench, pass);
    }
  verify (bench);
  store_free (bench->store);

  figure_heading ("store, %s level %d: thousands of pages a second; %zu pages, "
                  "%.2f compressed to one",
                  codec_name (codec.kind), codec.level, bench->pages.count,
                  (double) bytes / (double) bench->offsets[bench->pages.count]);
  for (size_t i = 0; i < PASSES; i++) {
    double wall[ROUNDS_MOST], peer[ROUNDS_MOST], ratio[ROUNDS_MOST];
    double cpu[ROUNDS_MOST], background[ROUNDS_MOST];
    const double pages = (double) bench->pages.count;

    if (passes[i].threads > cpus)
      continue;
    for (size_t round = 0; round < rounds; round++) {
      const struct timing *a = &ours[i][round], *b = &bare[i][round];

      wall[round] = pages / a->wall / 1e3;
      peer[round] = pages / b->wall / 1e3;
      ratio[round] = b->wall / a->wall;
      cpu[round] = b->cpu / a->cpu;
      background[round] = a->background / pages * 1e6;
    }
    figure (passes[i].name, text ("%.1f", median (wall, rounds)),
            text ("bare loop %.1f", median (peer, rounds)),
            median (ratio, rounds), passes[i].limit,
            text ("by CPU time %.3f, %.2f us a page beside",
                  median (cpu, rounds), median (background, rounds)));
  }
  if (cpus < THREADS) {
    printf ("Two threads cannot be shown: the machine has one CPU.\n");
    return;
  }
  figure_scale ("write, two threads", ours[WRITE_ONE], bare[WRITE_ONE],
                ours[WRITE_TWO], bare[WRITE_TWO], rounds);
  figure_scale ("read, two threads", ours[READ_ONE], bare[READ_ONE],
                ours[READ_TWO], bare[READ_TWO], rounds);
}

int
main (int argc, char *argv[])
{
  struct bench bench = { 0 };
  unsigned long rounds = 7;
  int option;

  while ((option = getopt (argc, argv, "r:V")) != -1)
    switch (option) {
    case 'r':
      rounds = strtoul (optarg, NULL, 10);
      break;
    case 'V':
      printf ("lz4 %s, zstd %s\n", LZ4_versionString (), ZSTD_versionString ());
      return EXIT_SUCCESS;
    default:
      rounds = 0;
    }
  if (rounds == 0 || rounds > ROUNDS_MOST || optind + 1 != argc) {
    fputs ("usage: bench-store [-r ROUNDS] FILE | -V\n", stderr);
    return EXIT_FAILURE;
  }

  pages_load (&bench.pages, argv[optind]);
  bench.order = calloc (bench.pages.count, sizeof *bench.order);
  bench.contents = calloc (bench.pages.count, sizeof *bench.contents);
  bench.offsets = calloc (bench.pages.count + 1, sizeof *bench.offsets);
  bench.packed = malloc (bench.pages.count * PAGE_BYTES);
  if (!bench.order || !bench.contents || !bench.offsets || !bench.packed)
    fail ("malloc");
  for (unsigned i = 0; i < THREADS; i++) {
    bench.workers[i].compressor = ZSTD_createCCtx ();
    bench.workers[i].decompressor = ZSTD_createDCtx ();
    bench.workers[i].buffer = aligned_alloc (PAGE_BYTES, REQUEST * PAGE_BYTES);
    if (!bench.workers[i].compressor || !bench.workers[i].decompressor
        || !bench.workers[i].buffer)
      fail ("malloc");
    memset (bench.workers[i].buffer, 1, REQUEST * PAGE_BYTES);
  }

  bench_codec (&bench, (struct codec){ CODEC_LZ4, 1 }, rounds);
  bench_codec (&bench, (struct codec){ CODEC_ZSTD, 1 }, rounds);

  for (unsigned i = 0; i < THREADS; i++) {
    ZSTD_freeCCtx (bench.workers[i].compressor);
    ZSTD_freeDCtx (bench.workers[i].decompressor);
    free (bench.workers[i].buffer);
  }
  free (bench.packed);
  free (bench.offsets);
  free (bench.contents);
  free (bench.order);
  return EXIT_SUCCESS;
}
