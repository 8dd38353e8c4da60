/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads of pages on a backing that hangs, for hung-backing.sh: each holds one
 * of the server's threads of its connection, and nothing else.
 * usage: hung-reads URI THREADS PAGE PROCESS
 * The server at URI has so many threads for a connection; the pages from 0 on
 * are on the backing that PROCESS serves, which is stopped, and PAGE is not.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>

#include "server.h"

#define MORE 8     /* reads than a connection has threads */
#define THREADS 16 /* at most */

static char hung[THREADS + MORE][PAGE], other[PAGE];
static int64_t cookies[THREADS + MORE];
static unsigned count;

static struct nbd_handle *
connect_to (const char *uri)
{
  struct nbd_handle *nbd = nbd_create ();

  expect (nbd);
  expect_nbd (nbd_connect_uri (nbd, uri));
  return nbd;
}

static void
read_hung (struct nbd_handle *nbd, unsigned reads)
{
  for (; reads > 0; --reads, ++count) {
    cookies[count]
        = nbd_aio_pread (nbd, hung[count], PAGE, (uint64_t) count * PAGE,
                         NBD_NULL_COMPLETION, 0);
    expect_nbd (cookies[count]);
  }
}

static void
expect_hung (struct nbd_handle *nbd)
{
  for (unsigned i = 0; i < count; ++i)
    expect (nbd_aio_command_completed (nbd, cookies[i]) == 0);
}

int
main (int argc, char *argv[])
{
  struct nbd_handle *held, *free_one;
  unsigned threads;
  uint64_t offset;

  expect (argc == 5);
  threads = (unsigned) atoi (argv[2]);
  expect (threads >= 1 && threads <= THREADS);
  offset = (uint64_t) atoll (argv[3]) * PAGE;

  held = connect_to (argv[1]);
  read_hung (held, threads - 1);
  expect_nbd (nbd_pread (held, other, PAGE, offset, 0));
  read_hung (held, MORE);
  free_one = connect_to (argv[1]);
  for (unsigned i = 0; i < MORE; ++i)
    expect_nbd (nbd_pread (free_one, other, PAGE, offset, 0));
  expect_hung (held);

  /* They end with errors, and their threads serve again. */
  expect (kill ((pid_t) atoi (argv[4]), SIGKILL) == 0);
  for (unsigned i = 0; i < count; ++i) {
    int done;

    while ((done = nbd_aio_command_completed (held, cookies[i])) == 0)
      expect_nbd (nbd_poll (held, -1));
    expect (done == -1 && nbd_get_errno () == EIO);
  }
  expect_nbd (nbd_pread (held, other, PAGE, offset, 0));
  expect_nbd (nbd_shutdown (held, 0));
  expect_nbd (nbd_shutdown (free_one, 0));
  nbd_close (held);
  nbd_close (free_one);
  return EXIT_SUCCESS;
}
