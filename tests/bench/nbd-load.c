/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads an NBD server with captured pages: what fio's buffers cannot be.
 *
 * usage: nbd-load URI FILE fill|write|read DEPTH SECONDS
 *
 * The first pages of the export, as many as FILE has, are read or written,
 * 4 KiB a request, at random, DEPTH at once; fill writes each once, in
 * order, for as long as that takes.  Prints requests a second.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnbd.h>

#include "figures.h"

#define DEPTH_MOST 256

struct load {
  struct nbd_handle *nbd;
  struct pages pages;
  bool write, fill;
  double end;         /* no request starts after it; by the monotonic clock */
  uint64_t started;   /* requests */
  uint64_t completed; /* requests */
  uint64_t random;
};

/* One of the requests in flight. */
struct flight {
  struct load *load;
  bool busy;
  char *buffer;
};

static void
fail_nbd (void)
{
  fprintf (stderr, "nbd-load: %s\n", nbd_get_error ());
  exit (EXIT_FAILURE);
}

static uint64_t
random_below (struct load *load, uint64_t bound)
{
  load->random ^= load->random << 13;
  load->random ^= load->random >> 7;
  load->random ^= load->random << 17;
  return (load->random >> 11) % bound;
}

static int
complete (void *opaque, int *error)
{
  struct flight *flight = opaque;

  if (*error != 0) {
    fprintf (stderr, "nbd-load: a request failed: %s\n", strerror (*error));
    exit (EXIT_FAILURE);
  }
  flight->busy = false;
  flight->load->completed++;
  return 1; /* retire the command */
}

static void
start (struct load *load, struct flight *flight)
{
  const nbd_completion_callback callback
      = { .callback = complete, .user_data = flight };
  const uint64_t slot
      = load->fill ? load->started : random_below (load, load->pages.count);
  const uint64_t page
      = load->fill ? load->started : random_below (load, load->pages.count);
  int64_t cookie;

  flight->busy = true;
  load->started++;
  if (load->write)
    cookie = nbd_aio_pwrite (load->nbd, pages_at (&load->pages, page),
                             PAGE_BYTES, slot * PAGE_BYTES, callback, 0);
  else
    cookie = nbd_aio_pread (load->nbd, flight->buffer, PAGE_BYTES,
                            slot * PAGE_BYTES, callback, 0);
  if (cookie == -1)
    fail_nbd ();
}

static bool
may_start (const struct load *load)
{
  if (load->fill)
    return load->started < load->pages.count;
  return clock_seconds (CLOCK_MONOTONIC) < load->end;
}

int
main (int argc, char *argv[])
{
  static struct flight flights[DEPTH_MOST];
  struct load load = { .random = 88172645463325252u };
  unsigned depth;
  double begin;

  if (argc != 6) {
    fputs ("usage: nbd-load URI FILE fill|write|read DEPTH SECONDS\n", stderr);
    return EXIT_FAILURE;
  }
  pages_load (&load.pages, argv[2]);
  load.fill = strcmp (argv[3], "fill") == 0;
  load.write = load.fill || strcmp (argv[3], "write") == 0;
  depth = (unsigned) strtoul (argv[4], NULL, 10);
  if (depth < 1 || depth > DEPTH_MOST) {
    errno = EINVAL;
    fail (argv[4]);
  }
  load.nbd = nbd_create ();
  if (load.nbd == NULL || nbd_connect_uri (load.nbd, argv[1]) == -1)
    fail_nbd ();
  for (unsigned i = 0; i < depth; i++) {
    flights[i].load = &load;
    flights[i].buffer = aligned_alloc (PAGE_BYTES, PAGE_BYTES);
    if (flights[i].buffer == NULL)
      fail ("aligned_alloc");
  }

  begin = clock_seconds (CLOCK_MONOTONIC);
  load.end = begin + strtod (argv[5], NULL);
  for (;;) {
    for (unsigned i = 0; i < depth; i++)
      if (!flights[i].busy && may_start (&load))
        start (&load, &flights[i]);
    if (load.completed == load.started)
      break;
    if (nbd_poll (load.nbd, -1) == -1)
      fail_nbd ();
  }
  printf ("%.0f\n",
          (double) load.completed / (clock_seconds (CLOCK_MONOTONIC) - begin));

  nbd_shutdown (load.nbd, 0);
  nbd_close (load.nbd);
  for (unsigned i = 0; i < depth; i++)
    free (flights[i].buffer);
  return EXIT_SUCCESS;
}
