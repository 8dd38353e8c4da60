/* SPDX-License-Identifier: BSD-3-Clause */
/* Block status tells data, holes and zeros apart, page by page, wherever the
 * question starts and ends.
 */
#include <config.h>

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "server.h"

#define PAGES 4096
#define SIZE (PAGES * PAGE)
#define SIZE_TEXT "16M"
#define CHANGES 400
#define QUESTIONS 400

enum kind {
  DATA = 0,
  HOLE = LIBNBD_STATE_HOLE | LIBNBD_STATE_ZERO,
  ZERO = LIBNBD_STATE_ZERO
};

static uint8_t kinds[PAGES]; /* what each page is, an enum kind */
static uint64_t state;
static struct nbd_handle *nbd;

struct answer {
  uint64_t next; /* where the next extent begins */
  unsigned count;
  uint32_t type; /* of the last extent */
};

static int
take_extents (void *opaque, const char *context, uint64_t offset,
              uint32_t *entries, size_t count, int *error)
{
  struct answer *answer = opaque;

  (void) error;
  expect (strcmp (context, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0);
  expect (offset == answer->next);
  for (size_t i = 0; i < count; i += 2) {
    uint64_t end = answer->next + entries[i];

    expect (entries[i] > 0);
    if (answer->count > 0)
      expect (entries[i + 1] != answer->type); /* neighbours are joined */
    for (uint64_t at = answer->next; at < end && at < SIZE;
         at += PAGE - at % PAGE)
      if (entries[i + 1] != kinds[at / PAGE])
        die ("page %" PRIu64 " is told as %" PRIu32 ", expected %d", at / PAGE,
             entries[i + 1], kinds[at / PAGE]);
    answer->next = end;
    answer->type = entries[i + 1];
    answer->count++;
  }
  return 0;
}

/* Ask until the range is covered, as clients do. */
static void
check_status (uint64_t offset, uint64_t count)
{
  struct answer answer = { .next = offset };

  while (answer.next < offset + count) {
    uint64_t before = answer.next;

    answer.count = 0;
    expect_nbd (nbd_block_status (
        nbd, offset + count - before, before,
        (nbd_extent_callback){ .callback = take_extents, .user_data = &answer },
        0));
    expect (answer.next > before);
  }
}

/* With REQ_ONE: one extent, and all of it. */
static void
check_one (uint64_t offset, uint64_t count)
{
  struct answer answer = { .next = offset };
  uint64_t page = offset / PAGE, end;

  expect_nbd (nbd_block_status (
      nbd, count, offset,
      (nbd_extent_callback){ .callback = take_extents, .user_data = &answer },
      LIBNBD_CMD_FLAG_REQ_ONE));
  expect (answer.count == 1);
  expect (answer.next <= offset + count); /* the protocol's rule for it */
  while (page + 1 < PAGES && kinds[page + 1] == kinds[offset / PAGE])
    page++;
  end = (page + 1) * PAGE;
  expect (answer.next == (end < offset + count ? end : offset + count));
}

static void
change_pages (uint64_t first, uint64_t count)
{
  static char data[SIZE];
  uint64_t offset = first * PAGE, length = count * PAGE;
  enum kind kind;

  switch (random_next (&state) % 6) {
  case 0: /* data, of one word or of many */
    for (uint64_t i = 0; i < count; i++) {
      do
        random_fill (&state, data + i * PAGE, PAGE);
      while (data[i * PAGE] == 0
             && memcmp (data + i * PAGE, data + i * PAGE + 1, PAGE - 1) == 0);
    }
    expect_nbd (nbd_pwrite (nbd, data, length, offset, 0));
    kind = DATA;
    break;
  case 1: /* zeros, sent as data */
    memset (data, 0, length);
    expect_nbd (nbd_pwrite (nbd, data, length, offset, 0));
    kind = ZERO;
    break;
  case 2: /* zeros, by request, that must not be a hole */
    expect_nbd (nbd_zero (nbd, length, offset, LIBNBD_CMD_FLAG_NO_HOLE));
    kind = ZERO;
    break;
  case 3: /* zeros that may be one */
    expect_nbd (nbd_zero (nbd, length, offset, 0));
    kind = HOLE;
    break;
  case 4:
    expect_nbd (nbd_trim (nbd, length, offset, 0));
    kind = HOLE;
    break;
  default: /* parts of pages at both ends are not trimmed */
    expect_nbd (nbd_trim (nbd, length - 2, offset + 1, 0));
    if (count < 3)
      return;
    first++;
    count -= 2;
    kind = HOLE;
  }
  memset (kinds + first, kind, count);
}

int
main (int argc, char *argv[])
{
  state = random_seed (argc, argv);
  server_start ("size=" SIZE_TEXT, NULL);
  nbd = server_connect ("");
  memset (kinds, HOLE, sizeof kinds);
  check_status (0, SIZE);

  for (unsigned i = 0; i < CHANGES; i++) {
    uint64_t first = random_next (&state) % PAGES,
             count = 1 + random_next (&state) % 256;

    change_pages (first, count < PAGES - first ? count : PAGES - first);
  }
  check_status (0, SIZE);

  for (unsigned i = 0; i < QUESTIONS; i++) {
    uint64_t offset = random_next (&state) % SIZE,
             count = 1 + random_next (&state) % (SIZE - offset);

    if (i % 2) { /* as sane clients ask */
      offset &= ~(uint64_t) (PAGE - 1);
      count = (count + PAGE - 1) & ~(uint64_t) (PAGE - 1);
    }
    check_status (offset, count);
    check_one (offset, count);
  }

  expect_nbd (nbd_shutdown (nbd, 0));
  nbd_close (nbd);
  server_stop ();
  return EXIT_SUCCESS;
}
