/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection to the statistics reads one snapshot of them, however much
 * happens meanwhile; the next connection reads a new one.
 */
#include <config.h>

#include <string.h>

#include "server.h"

#define PAGES 100

static char *
read_all (struct nbd_handle *nbd, int64_t *size)
{
  char *text;

  *size = nbd_get_size (nbd);
  expect (*size > 0);
  text = malloc (*size);
  expect (text);
  /* In pieces that no one chose well. */
  for (int64_t at = 0, n; at < *size; at += n) {
    n = *size - at < 1000 ? *size - at : 1000;
    expect_nbd (nbd_pread (nbd, text + at, n, at, 0));
  }
  return text;
}

int
main (void)
{
  struct nbd_handle *device, *early, *late;
  char page[PAGE], *before, *after, *now;
  int64_t before_size, after_size, now_size;
  uint64_t state = 1;

  server_start ("size=64M", NULL);
  device = server_connect ("");
  early = server_connect ("stats");
  before = read_all (early, &before_size);

  for (unsigned i = 0; i < PAGES; i++) {
    random_fill (&state, page, PAGE);
    expect_nbd (nbd_pwrite (device, page, PAGE, (uint64_t) i * PAGE, 0));
  }
  after = read_all (early, &after_size);
  late = server_connect ("stats");
  now = read_all (late, &now_size);

  expect (before_size == after_size);
  expect (memcmp (before, after, before_size) == 0);
  expect (now_size != before_size || memcmp (before, now, now_size) != 0);

  free (before);
  free (after);
  free (now);
  nbd_close (device);
  nbd_close (early);
  nbd_close (late);
  server_stop ();
  return EXIT_SUCCESS;
}
