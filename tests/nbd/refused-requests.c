/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests beyond the end, of no length, or that write to a text are refused;
 * nothing is harmed by them, and the connection goes on.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "server.h"

#define SIZE (4 * 1024 * 1024)
#define SIZE_TEXT "4M"

static char content[SIZE], buffer[SIZE];

static void
check_content (struct nbd_handle *nbd)
{
  memset (buffer, 0xa5, sizeof buffer);
  expect_nbd (nbd_pread (nbd, buffer, SIZE, 0, 0));
  expect (memcmp (buffer, content, SIZE) == 0);
}

static int
ignore_extents (void *opaque, const char *context, uint64_t offset,
                uint32_t *entries, size_t count, int *error)
{
  (void) opaque;
  (void) context;
  (void) offset;
  (void) entries;
  (void) count;
  (void) error;
  return 0;
}

#define refused(call)                                                          \
  do {                                                                         \
    if ((call) != -1)                                                          \
      die ("not refused: %s (%" PRIu64 "+%" PRIu64 ")", #call, offset, count); \
    expect (nbd_get_errno () == EINVAL || nbd_get_errno () == ENOSPC           \
            || nbd_get_errno () == EPERM);                                     \
  } while (0)

/* Every kind of request for a range that is not there. */
static void
refuse_range (struct nbd_handle *nbd, uint64_t offset, uint64_t count)
{
  nbd_extent_callback extents = { .callback = ignore_extents };

  refused (nbd_pread (nbd, buffer, count, offset, 0));
  memset (buffer, 0x5a, count);
  refused (nbd_pwrite (nbd, buffer, count, offset, 0));
  refused (nbd_zero (nbd, count, offset, 0));
  refused (nbd_zero (nbd, count, offset, LIBNBD_CMD_FLAG_NO_HOLE));
  refused (nbd_trim (nbd, count, offset, 0));
  refused (nbd_cache (nbd, count, offset, 0));
  refused (nbd_block_status (nbd, count, offset, extents, 0));
  check_content (nbd);
}

static void
refuse_writes (const char *export)
{
  struct nbd_handle *nbd = server_connect (export);
  uint64_t offset = 0, count = PAGE;
  char before[PAGE], after[PAGE];

  expect (nbd_is_read_only (nbd) == 1);
  expect_nbd (nbd_pread (nbd, before, PAGE, 0, 0));
  refused (nbd_pwrite (nbd, buffer, count, offset, 0));
  refused (nbd_zero (nbd, count, offset, 0));
  refused (nbd_trim (nbd, count, offset, 0));
  expect_nbd (nbd_pread (nbd, after, PAGE, 0, 0));
  expect (memcmp (before, after, PAGE) == 0);
  nbd_close (nbd);
}

int
main (void)
{
  struct nbd_handle *nbd;
  uint64_t state = 1;

  server_start ("size=" SIZE_TEXT, NULL);
  nbd = server_connect ("");
  for (size_t i = 0; i < SIZE; i += PAGE)
    random_fill (&state, content + i, PAGE);
  expect_nbd (nbd_pwrite (nbd, content, SIZE, 0, 0));
  check_content (nbd);

  refuse_range (nbd, SIZE, PAGE);
  refuse_range (nbd, SIZE - PAGE, 2 * PAGE);
  refuse_range (nbd, SIZE - 1, 2);
  refuse_range (nbd, SIZE + PAGE, 1);
  refuse_range (nbd, PAGE, SIZE);
  refuse_range (nbd, UINT64_MAX - PAGE + 1, PAGE);
  refuse_range (nbd, UINT64_C (1) << 63, PAGE);
  refuse_range (nbd, 0, 0);
  refuse_range (nbd, SIZE, 0);

  refuse_writes ("stats");
  check_content (nbd);

  expect_nbd (nbd_shutdown (nbd, 0));
  nbd_close (nbd);
  server_stop ();
  return EXIT_SUCCESS;
}
