/* SPDX-License-Identifier: BSD-3-Clause */
/* nbdkit -s serves one client on standard input and output: nothing that the
 * plugin says gets in between.
 */
#include <config.h>

#include <string.h>

#include "server.h"

static void
use (const char *threads)
{
  const char *build = getenv ("builddir");
  struct nbd_handle *nbd = nbd_create ();
  char program[4096], page[PAGE], read[PAGE];
  char *arguments[]
      = { program,    "-s", "--exit-with-parent", (char *) threads, "tierswap",
          "size=64M", NULL };
  uint64_t state = 1;

  expect (nbd);
  snprintf (program, sizeof program, "%s/nbdkit", build ? build : ".");
  expect_nbd (nbd_connect_command (nbd, arguments));
  expect (nbd_get_size (nbd) == 64 * 1024 * 1024);
  for (uint64_t i = 0; i < 1000; i++) {
    random_fill (&state, page, PAGE);
    expect_nbd (nbd_pwrite (nbd, page, PAGE, i * PAGE, 0));
    expect_nbd (nbd_pread (nbd, read, PAGE, i * PAGE, 0));
    expect (memcmp (page, read, PAGE) == 0);
  }
  expect_nbd (nbd_shutdown (nbd, 0));
  nbd_close (nbd);
}

int
main (void)
{
  use ("--threads=1");
  use ("--threads=16");
  return EXIT_SUCCESS;
}
