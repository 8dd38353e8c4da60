/* SPDX-License-Identifier: BSD-3-Clause */
/* What stored pages cost in memory, beside zram fed the same pages in the same
 * order.
 *
 * usage: bench-memory FILE CODEC:LEVEL [ZRAM MM_STAT]
 *
 * FILE as capture-pages made it; ZRAM is an empty zram device of the same
 * codec, at least as large as FILE, and MM_STAT its file of that name.
 *
 * First every slot is filled in order, in requests of 64 pages.  Then every
 * slot is overwritten once with another page, one page a request, in random
 * order, as fast as one thread can, while another samples what is in use
 * every 10 ms.  Then a second passes.  Each figure is memory used, with the
 * tables, by the compressed bytes of what is stored at that moment.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"
#include "store/store.h"

#define REQUEST 64      /* pages of a request of the fill */
#define SAMPLE 0.01     /* seconds between samples */
#define PAUSE 1.0       /* seconds after the overwriting */
#define DEVICE_FACTOR 4 /* bytes of the device to bytes of pages */
#define THREADS_MOST 2

struct used {
  uint64_t compr_bytes;
  uint64_t mem_bytes;
};

/* Something pages are written to: the store or a zram device. */
struct target {
  void (*write) (struct target *target, const void *buffer, size_t count,
                 uint64_t offset);
  void (*sample) (struct target *target, struct used *used);
  struct store *store;
  int zram;
  int mm_stat;
};

/* How a target fared. */
struct course {
  double filled, worst, after; /* memory by compressed bytes */
  uint64_t compr_bytes;        /* after the fill */
  double fill_seconds, overwrite_seconds;
};

static const struct store_placement placement = { .prio = 1 };

static void
write_store (struct target *target, const void *buffer, size_t count,
             uint64_t offset)
{
  if (store_write (target->store, buffer, count, offset, &placement) == -1)
    fail ("store_write");
}

static void
sample_store (struct target *target, struct used *used)
{
  struct store_statistics statistics;

  store_get_statistics (target->store, &statistics);
  used->compr_bytes = statistics.compr_bytes;
  used->mem_bytes = statistics.mem_used_bytes;
}

static void
write_zram (struct target *target, const void *buffer, size_t count,
            uint64_t offset)
{
  if (pwrite (target->zram, buffer, count, (off_t) offset) != (ssize_t) count)
    fail ("zram");
}

static void
sample_zram (struct target *target, struct used *used)
{
  char line[256];
  const ssize_t length = pread (target->mm_stat, line, sizeof line - 1, 0);

  if (length == -1)
    fail ("mm_stat");
  line[length] = 0;
  if (sscanf (line, "%*u %" SCNu64 " %" SCNu64, &used->compr_bytes,
              &used->mem_bytes)
      != 2) {
    errno = EINVAL;
    fail ("mm_stat");
  }
}

static double
ratio (struct target *target)
{
  struct used used;

  target->sample (target, &used);
  return used.compr_bytes == 0
             ? 0
             : (double) used.mem_bytes / (double) used.compr_bytes;
}

struct sampler {
  struct target *target;
  atomic_bool stop;
  double worst;
};

static void *
run_sampler (void *opaque)
{
  struct sampler *sampler = opaque;

  while (!atomic_load (&sampler->stop)) {
    const double now = ratio (sampler->target);

    sampler->worst = now > sampler->worst ? now : sampler->worst;
    sleep_seconds (SAMPLE);
  }
  return NULL;
}

struct writer {
  struct target *target;
  const struct pages *pages;
  const uint32_t *order;
  size_t first, last;
};

/* Page i goes to slot order[i]. */
static void *
run_writer (void *opaque)
{
  const struct writer *writer = opaque;

  for (size_t i = writer->first; i < writer->last; i++)
    writer->target->write (writer->target, pages_at (writer->pages, i),
                           PAGE_BYTES,
                           (uint64_t) writer->order[i] * PAGE_BYTES);
  return NULL;
}

static void
overwrite (struct target *target, const struct pages *pages,
           const uint32_t *order, unsigned threads, struct course *course)
{
  struct sampler sampler = { .target = target };
  struct writer writers[THREADS_MOST];
  pthread_t sampling, writing[THREADS_MOST];
  double start;

  if (pthread_create (&sampling, NULL, run_sampler, &sampler) != 0)
    fail ("pthread_create");
  start = clock_seconds (CLOCK_MONOTONIC);
  for (unsigned i = 0; i < threads; i++) {
    writers[i]
        = (struct writer){ target, pages, order, pages->count * i / threads,
                           pages->count * (i + 1) / threads };
    if (pthread_create (&writing[i], NULL, run_writer, &writers[i]) != 0)
      fail ("pthread_create");
  }
  for (unsigned i = 0; i < threads; i++)
    pthread_join (writing[i], NULL);
  course->overwrite_seconds = clock_seconds (CLOCK_MONOTONIC) - start;
  course->worst = ratio (target);
  atomic_store (&sampler.stop, true);
  pthread_join (sampling, NULL);
  if (sampler.worst > course->worst)
    course->worst = sampler.worst;
}

static struct course
run (struct target *target, const struct pages *pages, const uint32_t *order,
     unsigned threads)
{
  struct course course;
  struct used used;
  const double start = clock_seconds (CLOCK_MONOTONIC);

  for (size_t i = 0; i < pages->count; i += REQUEST)
    target->write (target, pages_at (pages, i), REQUEST * PAGE_BYTES,
                   i * PAGE_BYTES);
  course.fill_seconds = clock_seconds (CLOCK_MONOTONIC) - start;
  course.filled = ratio (target);
  target->sample (target, &used);
  course.compr_bytes = used.compr_bytes;
  overwrite (target, pages, order, threads, &course);
  sleep_seconds (PAUSE);
  course.after = ratio (target);
  return course;
}

static struct course
run_store (const struct pages *pages, const uint32_t *order, struct codec codec,
           unsigned threads, struct store_statistics *done)
{
  const struct store_options options = {
    .size = DEVICE_FACTOR * pages->count * PAGE_BYTES,
    .pool_limit = DEVICE_FACTOR * pages->count * PAGE_BYTES,
    .tiers = { { .prio = 1, .codec = codec } },
    .tiers_count = 1,
  };
  struct target target = { .write = write_store, .sample = sample_store };
  struct course course;

  if (store_create (&options, &target.store) == -1)
    fail ("store_create");
  if (store_start (target.store) == -1)
    fail ("store_start");
  course = run (&target, pages, order, threads);
  store_get_statistics (target.store, done);
  store_free (target.store);
  return course;
}

static void
parse_codec (char *argument, struct codec *codec)
{
  char *colon = strchr (argument, ':');

  if (colon != NULL) {
    *colon = 0;
    codec->level = atoi (colon + 1);
  }
  if (codec_find (argument, &codec->kind) == -1)
    fail (argument);
}

int
main (int argc, char *argv[])
{
  struct pages pages;
  struct codec codec = { 0 };
  struct store_statistics statistics, unused;
  struct course ours, both, zram = { 0 };
  uint32_t *order;
  double count;
  const char *beside[3] = { "", "", "" };

  if (argc != 3 && argc != 5) {
    fputs ("usage: bench-memory FILE CODEC:LEVEL [ZRAM MM_STAT]\n", stderr);
    return EXIT_FAILURE;
  }
  pages_load (&pages, argv[1]);
  parse_codec (argv[2], &codec);
  count = (double) pages.count;
  order = calloc (pages.count, sizeof *order);
  if (order == NULL)
    fail ("calloc");
  shuffle (order, pages.count, 1);

  ours = run_store (&pages, order, codec, 1, &statistics);
  both = run_store (&pages, order, codec, 2, &unused);
  if (argc == 5) {
    struct target target = { .write = write_zram, .sample = sample_zram };

    target.zram = open (argv[3], O_RDWR | O_DIRECT | O_CLOEXEC);
    target.mm_stat = open (argv[4], O_RDONLY | O_CLOEXEC);
    if (target.zram == -1 || target.mm_stat == -1)
      fail (argv[3]);
    zram = run (&target, &pages, order, 1);
    close (target.mm_stat);
    close (target.zram);
    beside[0] = text ("zram %.3f", zram.filled);
    beside[1] = text ("zram %.3f", zram.worst);
    beside[2] = text ("zram %.3f", zram.after);
  }

  figure_heading ("memory, %s level %d: memory used by compressed bytes; "
                  "%zu pages, %.2f compressed to one",
                  codec_name (codec.kind), codec.level, pages.count,
                  count * PAGE_BYTES / (double) ours.compr_bytes);
  figure ("filled in order", text ("%.3f", ours.filled), beside[0], ours.filled,
          "<=1.03",
          text ("%.1f us a page%s", ours.fill_seconds / count * 1e6,
                argc == 5
                    ? text (", zram %.1f", zram.fill_seconds / count * 1e6)
                    : ""));
  figure ("worst while overwriting", text ("%.3f", ours.worst), beside[1],
          ours.worst, "<=1.15",
          text ("%.1f us a page%s", ours.overwrite_seconds / count * 1e6,
                argc == 5
                    ? text (", zram %.1f", zram.overwrite_seconds / count * 1e6)
                    : ""));
  figure ("a second after", text ("%.3f", ours.after), beside[2], ours.after,
          "<=1.06", "");
  figure ("  worst, two threads writing", text ("%.3f", both.worst), "",
          both.worst, "-",
          text ("%.1f us a page", both.overwrite_seconds / count * 1e6));
  figure ("  a second after them", text ("%.3f", both.after), "", both.after,
          "-", "");
  figure ("  cleaner copied, bytes a page",
          text ("%.0f", (double) statistics.bytes_copied / count), "",
          (double) statistics.bytes_copied / count, "-",
          text ("%" PRIu64 " segments cleaned", statistics.segments_cleaned));
  figure ("  cleaner's CPU, us a page",
          text ("%.2f", (double) statistics.cleaner_nanoseconds / count / 1e3),
          "", (double) statistics.cleaner_nanoseconds / count / 1e3, "-", "");
  figure ("tables, bytes a stored page",
          text ("%.2f", (double) statistics.meta_bytes
                            / (double) statistics.pages_stored),
          "zram 16 or 24",
          (double) statistics.meta_bytes / (double) statistics.pages_stored,
          "<=8.5", "zram's are not in its figures above");
  free (order);
  return EXIT_SUCCESS;
}
