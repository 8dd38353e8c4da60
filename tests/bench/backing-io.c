/* SPDX-License-Identifier: BSD-3-Clause */
/* Raw speed of one backing, to hold beside fio on the same file:
 *
 *   backing-io write|rewrite|read PLACE SIZE-MIB DEPTH SECONDS [encrypt]
 *
 * write: whole extents in order, each once, to a file that was sparse;
 * rewrite: the same over and over for SECONDS, after that; read: 4 KiB at
 * random for SECONDS of what was written before.
 * PLACE is a path or an NBD URI.  It prints one line.
 */
#include <config.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "backing/backing.h"

static double
seconds (clockid_t clock)
{
  struct timespec t;

  clock_gettime (clock, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t
random_number (void)
{
  static uint64_t x = 88172645463325252;

  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

struct run {
  struct backing *backing;
  struct backing_queue *queue;
  struct backing_io *ios;
  unsigned depth;
  enum backing_op op;
  size_t length;
  uint64_t extents; /* in use, from 0 on */
  uint64_t issued;
};

static void
submit (struct run *run, struct backing_io *io)
{
  uint64_t blocks = run->extents * EXTENT_BYTES / run->length;

  io->op = run->op;
  io->length = run->length;
  io->offset = run->length
               * (run->op == BACKING_READ ? random_number () % blocks
                                          : run->issued % blocks);
  run->issued++;
  if (backing_queue_submit (run->queue, io) == -1)
    abort ();
}

/* COUNT requests, or as many as SECONDS_LONG allows; how many were done. */
static uint64_t
go (struct run *run, uint64_t count, double seconds_long)
{
  double end = seconds (CLOCK_MONOTONIC) + seconds_long;
  struct backing_io *io;
  uint64_t done = 0;
  unsigned i;

  run->issued = 0;
  for (i = 0; i < run->depth && run->issued < count; ++i)
    submit (run, &run->ios[i]);
  while ((io = backing_queue_wait (run->queue)) != NULL) {
    if (io->error) {
      fprintf (stderr, "backing-io: %s\n", strerror (io->error));
      exit (EXIT_FAILURE);
    }
    done++;
    if (run->issued < count && seconds (CLOCK_MONOTONIC) < end)
      submit (run, io);
  }
  return done;
}

int
main (int argc, char *argv[])
{
  struct backing_options options = { .name = "bench" };
  struct run run = { 0 };
  char *buffers, *error;
  double begin, cpu, took;
  uint64_t done;
  unsigned i;
  bool once;

  if (argc < 6) {
    fprintf (stderr,
             "usage: backing-io write|rewrite|read PLACE SIZE-MIB DEPTH "
             "SECONDS [encrypt]\n");
    return EXIT_FAILURE;
  }
  *(strncmp (argv[2], "nbd", 3) == 0 ? &options.uri : &options.path) = argv[2];
  options.size = strtoull (argv[3], NULL, 10) << 20;
  options.encrypt = argc > 6 && strcmp (argv[6], "encrypt") == 0;
  if (backing_open (&options, &run.backing, &error) == -1) {
    fprintf (stderr, "backing-io: %s\n", error);
    return EXIT_FAILURE;
  }
  run.depth = atoi (argv[4]);
  run.queue = backing_queue_create (run.depth);
  run.ios = calloc (run.depth, sizeof *run.ios);
  buffers
      = mmap (NULL, (size_t) run.depth * EXTENT_BYTES, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (run.queue == NULL || run.ios == NULL || buffers == MAP_FAILED)
    abort ();
  for (i = 0; i < run.depth; ++i)
    run.ios[i] = (struct backing_io){ .backing = run.backing,
                                      .buffer = buffers + i * EXTENT_BYTES };
  for (i = 0; i < run.depth * EXTENT_BYTES / 8; ++i)
    ((uint64_t *) buffers)[i] = random_number ();
  while (backing_extent_allocate (run.backing) != -1)
    run.extents++;
  if (run.extents == 0)
    return EXIT_FAILURE;

  once = strcmp (argv[1], "write") == 0;
  run.op = BACKING_WRITE;
  run.length = EXTENT_BYTES;
  if (!once)
    go (&run, run.extents, 1e9);
  if (strcmp (argv[1], "read") == 0) {
    run.op = BACKING_READ;
    run.length = 4096;
  }

  begin = seconds (CLOCK_MONOTONIC);
  cpu = seconds (CLOCK_PROCESS_CPUTIME_ID);
  done
      = go (&run, once ? run.extents : UINT64_MAX, once ? 1e9 : atof (argv[5]));
  took = seconds (CLOCK_MONOTONIC) - begin;
  cpu = seconds (CLOCK_PROCESS_CPUTIME_ID) - cpu;
  printf ("%s depth %u: %.0f requests/s, %.0f MiB/s, %.2f us of CPU a "
          "request\n",
          argv[1], run.depth, done / took,
          done * run.length / took / 1024 / 1024, cpu / done * 1e6);
  backing_queue_free (run.queue);
  backing_close (run.backing);
  munmap (buffers, (size_t) run.depth * EXTENT_BYTES);
  free (run.ios);
  return EXIT_SUCCESS;
}
