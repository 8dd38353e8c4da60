/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages of known content for the shell tests, one request a page:
 *
 *   pages URI write FIRST COUNT SEED KIND   "written N refused N"
 *   pages URI check FIRST COUNT SEED KIND   "right N failed N wrong N"
 *
 * FIRST and COUNT are in pages.  KIND is half (of it random, the rest zeros),
 * random, or marks (one 16-byte text all over, the same in every page).
 * Refused is ENOSPC, failed is EIO; any other error ends it.
 */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "server.h"

#define DEPTH 16

struct request {
  unsigned char page[PAGE], expected[PAGE];
  int64_t cookie;
  uint64_t slot;
};

static const char *kind;
static uint64_t seed, good, bad, wrong;

static void
make_page (unsigned char *page, uint64_t slot)
{
  uint64_t state = seed * 1000003 + slot, word;
  size_t count = PAGE;

  if (strcmp (kind, "marks") == 0) {
    for (size_t i = 0; i < PAGE; i += 16)
      memcpy (page + i, "a marked page...", 16);
    return;
  }
  if (strcmp (kind, "half") == 0)
    count = PAGE / 2;
  else if (strcmp (kind, "random") != 0)
    die ("no kind of pages: %s", kind);
  memset (page, 0, PAGE);
  for (size_t i = 0; i < count; i += sizeof word) {
    word = random_next (&state);
    memcpy (page + i, &word, sizeof word);
  }
}

static void
submit (struct nbd_handle *nbd, struct request *request, bool write)
{
  make_page (request->expected, request->slot);
  if (write)
    request->cookie
        = nbd_aio_pwrite (nbd, request->expected, PAGE, request->slot * PAGE,
                          NBD_NULL_COMPLETION, 0);
  else
    request->cookie = nbd_aio_pread (
        nbd, request->page, PAGE, request->slot * PAGE, NBD_NULL_COMPLETION, 0);
  expect_nbd (request->cookie);
}

/* Wait for a request, and judge it. */
static void
finish (struct nbd_handle *nbd, struct request *request, bool write)
{
  int r;

  while ((r = nbd_aio_command_completed (nbd, request->cookie)) == 0)
    expect_nbd (nbd_poll (nbd, -1));
  if (r == -1) {
    if (nbd_get_errno () != (write ? ENOSPC : EIO))
      die ("page %llu: %s", (unsigned long long) request->slot,
           nbd_get_error ());
    bad++;
  }
  else if (write || memcmp (request->page, request->expected, PAGE) == 0)
    good++;
  else
    wrong++;
}

int
main (int argc, char *argv[])
{
  static struct request requests[DEPTH];
  struct nbd_handle *nbd = nbd_create ();
  uint64_t first, count;
  bool write;

  if (argc != 7)
    die ("usage: pages URI write|check FIRST COUNT SEED KIND");
  write = strcmp (argv[2], "write") == 0;
  first = strtoull (argv[3], NULL, 10);
  count = strtoull (argv[4], NULL, 10);
  seed = strtoull (argv[5], NULL, 10);
  kind = argv[6];
  expect (nbd);
  expect_nbd (nbd_connect_uri (nbd, argv[1]));

  for (uint64_t i = 0; i < count + DEPTH; i++) {
    struct request *request = &requests[i % DEPTH];

    if (i >= DEPTH && i - DEPTH < count)
      finish (nbd, request, write);
    if (i < count) {
      request->slot = first + i;
      submit (nbd, request, write);
    }
  }
  if (write)
    printf ("written %llu refused %llu\n", (unsigned long long) good,
            (unsigned long long) bad);
  else
    printf ("right %llu failed %llu wrong %llu\n", (unsigned long long) good,
            (unsigned long long) bad, (unsigned long long) wrong);
  nbd_shutdown (nbd, 0);
  nbd_close (nbd);
  return EXIT_SUCCESS;
}
