/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients that vanish with requests under way, or in the middle of one, leave
 * the server serving the others; a page they were writing is the old one or
 * the new one.
 */
#include <config.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h> /* for its version */

#include "server.h"

/* Until 1.34 nbdkit may abort when the client of a connection with several
 * threads vanishes ("Assertion `sock >= 0' failed"), whatever the plugin.
 */
#if NBDKIT_VERSION_MAJOR > 1 || NBDKIT_VERSION_MINOR >= 34
#define THREADS "16"
#else
#define THREADS "1"
#endif

#define SIZE_TEXT "64M"
#define STEADY_BYTES (4 * 1024 * 1024) /* used by the client that stays */
#define LOST_OFFSET STEADY_BYTES       /* and by those that vanish */
#define REQUEST_BYTES (256 * 1024)
#define REQUESTS 64
#define LOST_BYTES (REQUESTS * REQUEST_BYTES)
#define LOSSES 40

static atomic_bool stop;
static char steady_oracle[STEADY_BYTES], steady_buffer[STEADY_BYTES];

static void *
use_steadily (void *opaque)
{
  struct nbd_handle *nbd = server_connect ("");
  uint64_t state = *(const uint64_t *) opaque;

  while (!atomic_load (&stop)) {
    uint64_t page = random_next (&state) % (STEADY_BYTES / PAGE);
    char *p = steady_oracle + page * PAGE;

    random_fill (&state, p, PAGE);
    expect_nbd (nbd_pwrite (nbd, p, PAGE, page * PAGE, 0));
    page = random_next (&state) % (STEADY_BYTES / PAGE);
    expect_nbd (nbd_pread (nbd, steady_buffer, PAGE, page * PAGE, 0));
    expect (memcmp (steady_buffer, steady_oracle + page * PAGE, PAGE) == 0);
  }
  expect_nbd (nbd_pread (nbd, steady_buffer, STEADY_BYTES, 0, 0));
  expect (memcmp (steady_buffer, steady_oracle, STEADY_BYTES) == 0);
  expect_nbd (nbd_shutdown (nbd, 0));
  nbd_close (nbd);
  return NULL;
}

/* Send writes of pages that all hold NUMBER, and reads between them, and
 * vanish.  The socket takes a part of them only, so the server has requests
 * in every state: done, under way, and half received.
 */
static void
vanish (uint64_t number, uint64_t *state)
{
  static uint64_t data[REQUEST_BYTES / sizeof (uint64_t)];
  static char sink[REQUESTS][REQUEST_BYTES];
  struct nbd_handle *nbd = server_connect ("");
  unsigned requests = 1 + random_next (state) % REQUESTS;

  for (size_t i = 0; i < REQUEST_BYTES / sizeof data[0]; i++)
    data[i] = number + (i % (PAGE / sizeof data[0]) << 32);
  for (unsigned i = 0; i < requests; i++) {
    uint64_t offset = LOST_OFFSET + (uint64_t) i * REQUEST_BYTES;

    if (random_next (state) % 4)
      expect_nbd (nbd_aio_pwrite (nbd, data, REQUEST_BYTES, offset,
                                  NBD_NULL_COMPLETION, 0));
    else
      expect_nbd (nbd_aio_pread (nbd, sink[i], REQUEST_BYTES, offset,
                                 NBD_NULL_COMPLETION, 0));
  }
  for (unsigned i = random_next (state) % 8; i > 0; i--)
    expect_nbd (nbd_poll (nbd, 0));
  if (random_next (state) % 2)
    shutdown (nbd_aio_get_fd (nbd), SHUT_RDWR);
  nbd_close (nbd);
}

/* Each page is whole: never written, or all of it one client's. */
static void
check_lost_region (void)
{
  static uint64_t pages[LOST_BYTES / PAGE][PAGE / sizeof (uint64_t)];
  struct nbd_handle *nbd = server_connect ("");

  expect_nbd (nbd_pread (nbd, pages, sizeof pages, LOST_OFFSET, 0));
  for (size_t i = 0; i < LOST_BYTES / PAGE; i++) {
    uint64_t number = pages[i][0];

    expect (number <= LOSSES);
    for (size_t j = 0; j < PAGE / sizeof (uint64_t); j++)
      if (pages[i][j] != (number ? number + (j << 32) : 0))
        die ("page %zu of client %" PRIu64 " has 0x%" PRIx64 " in word %zu", i,
             number, pages[i][j], j);
  }
  expect_nbd (nbd_shutdown (nbd, 0));
  nbd_close (nbd);
}

int
main (int argc, char *argv[])
{
  uint64_t state = random_seed (argc, argv), steady_state = state + 1;
  pthread_t steady;

  server_start ("--threads=" THREADS, "size=" SIZE_TEXT, NULL);
  expect (pthread_create (&steady, NULL, use_steadily, &steady_state) == 0);
  for (uint64_t i = 1; i <= LOSSES; i++) {
    vanish (i, &state);
    if (i % 8 == 0)
      check_lost_region ();
  }
  atomic_store (&stop, true);
  expect (pthread_join (steady, NULL) == 0);
  check_lost_region ();
  server_stop ();
  return EXIT_SUCCESS;
}
