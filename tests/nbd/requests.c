/* SPDX-License-Identifier: BSD-3-Clause */
/* Every kind of request, of any offset and length, against a plain array. */
#include <config.h>

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "server.h"

#define SIZE (48 * 1024 * 1024) /* also the largest request here */
#define SIZE_TEXT "48M"
#define REQUESTS 6000
#define REQUESTS_SANITIZED 500 /* in a build that is many times slower */
#define CHECK_EVERY 500

static char oracle[SIZE], buffer[SIZE];
static uint64_t state; /* of the random numbers */
static struct nbd_handle *nbd;

/* Whole pages as a kernel sends them, or bytes as nobody should; sometimes
 * many at once.
 */
static void
choose_range (uint64_t *offset, uint64_t *count)
{
  uint64_t most = random_next (&state) % 16 ? 256 * 1024 : 4 * 1024 * 1024;

  *offset = random_next (&state) % SIZE;
  *count = 1 + random_next (&state) % most;
  if (*count > SIZE - *offset)
    *count = SIZE - *offset;
  if (random_next (&state) % 2) {
    *offset &= ~(uint64_t) (PAGE - 1);
    *count = (*count + PAGE - 1) & ~(uint64_t) (PAGE - 1);
  }
  else if (random_next (&state) % 2) {
    /* A few bytes, often across the border of two pages. */
    *count = 1 + *count % 64;
    *offset = (*offset & ~(uint64_t) (PAGE - 1)) + PAGE - 32;
    if (*count > SIZE - *offset)
      *count = SIZE - *offset;
  }
}

static void
check_range (uint64_t offset, uint64_t count)
{
  memset (buffer, 0xa5, count);
  expect_nbd (nbd_pread (nbd, buffer, count, offset, 0));
  if (memcmp (buffer, oracle + offset, count) != 0)
    for (uint64_t i = 0; i < count; i++)
      if (buffer[i] != oracle[offset + i])
        die ("byte %" PRIu64 " read with %" PRIu64 "+%" PRIu64
             " is 0x%02x, expected 0x%02x",
             offset + i, offset, count, (uint8_t) buffer[i],
             (uint8_t) oracle[offset + i]);
}

static uint32_t
maybe (uint32_t flag)
{
  return random_next (&state) % 2 ? flag : 0;
}

static void
write_range (uint64_t offset, uint64_t count)
{
  for (uint64_t done = 0; done < count;) {
    uint64_t part = PAGE - (offset + done) % PAGE;

    if (part > count - done)
      part = count - done;
    random_fill (&state, oracle + offset + done, part);
    done += part;
  }
  expect_nbd (nbd_pwrite (nbd, oracle + offset, count, offset,
                          maybe (LIBNBD_CMD_FLAG_FUA)));
}

static void
zero_range (uint64_t offset, uint64_t count)
{
  memset (oracle + offset, 0, count);
  expect_nbd (nbd_zero (nbd, count, offset,
                        maybe (LIBNBD_CMD_FLAG_FUA)
                            | maybe (LIBNBD_CMD_FLAG_NO_HOLE)
                            | maybe (LIBNBD_CMD_FLAG_FAST_ZERO)));
}

/* Whole pages become zeros, parts of pages stay. */
static void
trim_range (uint64_t offset, uint64_t count)
{
  uint64_t begin = (offset + PAGE - 1) / PAGE * PAGE,
           end = (offset + count) / PAGE * PAGE;

  if (begin < end)
    memset (oracle + begin, 0, end - begin);
  expect_nbd (nbd_trim (nbd, count, offset, maybe (LIBNBD_CMD_FLAG_FUA)));
}

static void
do_request (void)
{
  uint64_t offset, count;

  choose_range (&offset, &count);
  switch (random_next (&state) % 10) {
  case 0:
  case 1:
  case 2:
  case 3:
    write_range (offset, count);
    break;
  case 4:
  case 5:
  case 6:
    check_range (offset, count);
    break;
  case 7:
    zero_range (offset, count);
    break;
  case 8:
    trim_range (offset, count);
    break;
  default:
    expect_nbd (nbd_cache (nbd, count, offset, 0));
    expect_nbd (nbd_flush (nbd, 0));
  }
}

int
main (int argc, char *argv[])
{
  const char *sanitizer = getenv ("SANITIZER");
  unsigned requests = sanitizer && strcmp (sanitizer, "no") != 0
                          ? REQUESTS_SANITIZED
                          : REQUESTS;

  state = random_seed (argc, argv);
  server_start ("size=" SIZE_TEXT, NULL);
  nbd = server_connect ("");
  expect (nbd_get_size (nbd) == SIZE);

  check_range (0, SIZE); /* never written: zeros, in one request */
  for (unsigned i = 1; i <= requests; i++) {
    do_request ();
    if (i % CHECK_EVERY == 0)
      check_range (0, SIZE);
  }

  /* The whole device in one request of each kind. */
  write_range (0, SIZE);
  check_range (0, SIZE);
  zero_range (0, SIZE);
  check_range (0, SIZE);
  write_range (0, SIZE);
  trim_range (0, SIZE);
  check_range (0, SIZE);

  expect_nbd (nbd_shutdown (nbd, 0));
  nbd_close (nbd);
  server_stop ();
  return EXIT_SUCCESS;
}
