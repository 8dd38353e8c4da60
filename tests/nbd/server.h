/* SPDX-License-Identifier: BSD-3-Clause */
/* A server of the uninstalled plugin, and connections to it, for the tests in
 * C.  Anything that goes wrong ends the test with a sentence; the server and
 * its socket go with the test in any case.
 */
#ifndef TIERSWAP_TESTS_SERVER_H
#define TIERSWAP_TESTS_SERVER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include <libnbd.h>

#define PAGE 4096

/* Start ./nbdkit tierswap with ARGUMENT... up to NULL.  Once a test. */
extern void server_start (const char *argument, ...) __attribute__ ((sentinel));

/* Of what was started. */
extern pid_t server_process (void);

/* End it.  It must still be there, and end well. */
extern void server_stop (void);

/* Connect to an export.  libnbd does not check requests for us: what is sent
 * is what the test says.
 */
extern struct nbd_handle *server_connect (const char *export);

/* Random numbers, the same ones for one seed.  The seed is the test's first
 * argument, or taken from the clock, and printed in any case.
 */
extern uint64_t random_seed (int argc, char *argv[]);
extern uint64_t random_next (uint64_t *state);

/* Fill COUNT bytes the way pages are: by turns text-like, random, filled with
 * one word, and zero.
 */
extern void random_fill (uint64_t *state, void *buffer, size_t count);

#define die(...)                                                               \
  do {                                                                         \
    fprintf (stderr, "%s:%d: ", __FILE__, __LINE__);                           \
    fprintf (stderr, __VA_ARGS__);                                             \
    fputc ('\n', stderr);                                                      \
    exit (EXIT_FAILURE);                                                       \
  } while (0)

#define expect(condition)                                                      \
  do {                                                                         \
    if (!(condition))                                                          \
      die ("expected: %s", #condition);                                        \
  } while (0)

/* For calls to libnbd. */
#define expect_nbd(call)                                                       \
  do {                                                                         \
    if ((call) == -1)                                                          \
      die ("%s: %s", #call, nbd_get_error ());                                 \
  } while (0)

#endif /* TIERSWAP_TESTS_SERVER_H */
