/* SPDX-License-Identifier: BSD-3-Clause */
/* How long pages are not served when a server is killed and another one takes
 * its state over.
 *
 * usage: bench-recover PAGES [COUNT [RUNS]]
 *
 * A process fills a store with COUNT pages (4 GiB of them unless it is given)
 * and ends without a word.  Then other processes, one after another, open the
 * state, recover it, and read one page.
 */
#include <config.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/message.h"
#include "figures.h"
#include "store/state.h"
#include "store/store.h"

#define RUNS_MOST 32
#define REQUEST 64 /* pages */

static uint64_t count = UINT64_C (4) << 18;
static int memory;

static void
keep_quiet (enum message_kind kind, const char *text)
{
  if (kind == MESSAGE_ERROR)
    fprintf (stderr, "bench-recover: %s\n", text);
}

static struct store *
take_over (void)
{
  struct store_options options
      = { .size = count * PAGE_BYTES,
          .pool_limit = count * PAGE_BYTES + (UINT64_C (64) << 20),
          .tiers = { { 1, { CODEC_LZ4, 0 }, 0 } },
          .tiers_count = 1 };
  struct store *store;
  char path[64], *error = NULL;

  snprintf (path, sizeof path, "/proc/self/fd/%d", memory);
  if (state_open_file (open (path, O_RDWR | O_CLOEXEC), path, options.size,
                       &options.state, &error)
          == -1
      || store_create (&options, &store) == -1
      || store_recover (store, &error) == -1 || store_start (store) == -1)
    fail (error ? error : "store");
  return store;
}

static void
fill (const char *file)
{
  static const struct store_placement placement = { .prio = 1 };
  struct store *store = take_over ();
  struct pages pages;

  pages_load (&pages, file);
  for (uint64_t i = 0; i < count; i += REQUEST)
    if (store_write (store, pages_at (&pages, i % pages.count),
                     REQUEST * PAGE_BYTES, i * PAGE_BYTES, &placement)
        == -1)
      fail ("store_write");
}

/* Seconds from nothing to the first page, into *SECONDS. */
static void
measure (double *seconds)
{
  double start = clock_seconds (CLOCK_MONOTONIC);
  static char page[PAGE_BYTES];
  struct store *store;

  /* As the server does. */
  mlockall (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
  store = take_over ();
  if (store_read (store, page, sizeof page, count / 2 * PAGE_BYTES) == -1)
    fail ("store_read");
  *seconds = clock_seconds (CLOCK_MONOTONIC) - start;
}

static void
wait_for (pid_t pid)
{
  int status;

  if (pid == -1 || waitpid (pid, &status, 0) == -1)
    fail ("fork");
  if (status != 0)
    exit (EXIT_FAILURE);
}

int
main (int argc, char *argv[])
{
  unsigned runs = argc > 3 ? (unsigned) atoi (argv[3]) : 5;
  double *seconds;
  struct stat st;
  pid_t pid;

  if (argc < 2) {
    fprintf (stderr, "usage: bench-recover PAGES [COUNT [RUNS]]\n");
    return EXIT_FAILURE;
  }
  if (argc > 2)
    count = strtoull (argv[2], NULL, 10) / REQUEST * REQUEST;
  message_set_sink (keep_quiet);
  memory = memfd_create ("state", 0);
  seconds = mmap (NULL, RUNS_MOST * sizeof *seconds, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == -1 || fchmod (memory, 0600) == -1 || seconds == MAP_FAILED
      || count == 0 || runs < 1 || runs > RUNS_MOST)
    fail ("cannot begin");

  pid = fork ();
  if (pid == 0) {
    fill (argv[1]);
    _exit (EXIT_SUCCESS);
  }
  wait_for (pid);
  for (unsigned i = 0; i < runs; ++i) {
    pid = fork ();
    if (pid == 0) {
      measure (&seconds[i]);
      _exit (EXIT_SUCCESS);
    }
    wait_for (pid);
  }
  fstat (memory, &st);
  figure_heading ("A state of %.1f GiB of pages, %.1f GiB of memory, taken "
                  "over",
                  (double) count * PAGE_BYTES / (1 << 30),
                  (double) st.st_blocks * 512 / (1 << 30));
  {
    double middle = median (seconds, runs);

    figure (
        "seconds to the first page", text ("%.3f s", middle), "1 s for 4 GiB",
        middle / ((double) count * PAGE_BYTES / (UINT64_C (4) << 30)), "<=1.00",
        text ("%.3f to %.3f s in %u runs", seconds[0], seconds[runs - 1],
              runs));
  }
  return EXIT_SUCCESS;
}
