/* SPDX-License-Identifier: BSD-3-Clause */
/* Four connections at once, as nbd-client -C 4 makes them: each writes and
 * reads a region of its own, and all write and read one region together,
 * where a page is always one write's, whole.
 */
#include <config.h>

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "server.h"

#define CONNECTIONS 4
#define OWN_BYTES (2 * 1024 * 1024) /* of a connection's region */
#define SHARED_PAGES 32             /* behind the four regions */
#define SHARED_OFFSET (CONNECTIONS * OWN_BYTES)
#define SIZE_TEXT "9M"
#define ROUNDS 2000

/* A word of a shared page tells its writer, the write, and its place. */
struct word {
  uint16_t writer, index;
  uint32_t write;
};

#define PAGE_WORDS (PAGE / sizeof (struct word))

struct connection {
  pthread_t thread;
  unsigned number;
  uint64_t state;
  struct nbd_handle *nbd;
  char oracle[OWN_BYTES];
};

static struct connection connections[CONNECTIONS];

static void
use_own_region (struct connection *c)
{
  static _Thread_local char buffer[64 * PAGE];
  uint64_t pages = 1 + random_next (&c->state) % 64,
           first = random_next (&c->state) % (OWN_BYTES / PAGE - pages + 1),
           length = pages * PAGE, at = first * PAGE,
           offset = (uint64_t) c->number * OWN_BYTES + at;

  switch (random_next (&c->state) % 5) {
  case 0:
  case 1:
    for (uint64_t i = 0; i < length; i += PAGE)
      random_fill (&c->state, c->oracle + at + i, PAGE);
    expect_nbd (nbd_pwrite (c->nbd, c->oracle + at, length, offset, 0));
    break;
  case 2:
    memset (c->oracle + at, 0, length);
    expect_nbd (nbd_trim (c->nbd, length, offset, 0));
    break;
  default:
    expect_nbd (nbd_pread (c->nbd, buffer, length, offset, 0));
    expect (memcmp (buffer, c->oracle + at, length) == 0);
  }
}

static void
write_shared (struct connection *c, uint32_t write)
{
  struct word words[4 * PAGE_WORDS];
  uint64_t pages = 1 + random_next (&c->state) % 4,
           first = random_next (&c->state) % (SHARED_PAGES - pages + 1);

  for (size_t i = 0; i < pages * PAGE_WORDS; i++)
    words[i] = (struct word){ .writer = c->number + 1,
                              .index = i % PAGE_WORDS,
                              .write = write };
  expect_nbd (nbd_pwrite (c->nbd, words, pages * PAGE,
                          SHARED_OFFSET + first * PAGE, 0));
}

static void
check_page (const struct word *page)
{
  if (page[0].writer == 0) { /* never written yet */
    for (size_t i = 0; i < PAGE_WORDS; i++)
      expect (page[i].writer == 0 && page[i].write == 0);
    return;
  }
  for (size_t i = 0; i < PAGE_WORDS; i++)
    if (page[i].writer != page[0].writer || page[i].write != page[0].write
        || page[i].index != i)
      die ("a page of write %" PRIu32 " by %u has in word %zu number %u of "
           "write %" PRIu32 " by %u",
           page[0].write, page[0].writer, i, page[i].index, page[i].write,
           page[i].writer);
}

static void
read_shared (struct connection *c)
{
  struct word words[SHARED_PAGES * PAGE_WORDS];

  expect_nbd (nbd_pread (c->nbd, words, sizeof words, SHARED_OFFSET, 0));
  for (size_t i = 0; i < SHARED_PAGES; i++)
    check_page (words + i * PAGE_WORDS);
}

static void *
use (void *opaque)
{
  struct connection *c = opaque;

  for (uint32_t round = 0; round < ROUNDS; round++) {
    use_own_region (c);
    write_shared (c, round);
    read_shared (c);
  }
  return NULL;
}

int
main (int argc, char *argv[])
{
  uint64_t seed = random_seed (argc, argv);

  server_start ("size=" SIZE_TEXT, NULL);
  for (unsigned i = 0; i < CONNECTIONS; i++) {
    struct connection *c = &connections[i];

    c->number = i;
    c->state = seed + i;
    c->nbd = server_connect ("");
    expect (nbd_can_multi_conn (c->nbd) == 1);
  }
  for (unsigned i = 0; i < CONNECTIONS; i++)
    expect (pthread_create (&connections[i].thread, NULL, use, &connections[i])
            == 0);
  for (unsigned i = 0; i < CONNECTIONS; i++)
    expect (pthread_join (connections[i].thread, NULL) == 0);

  /* What one connection wrote is there for the next. */
  for (unsigned i = 0; i < CONNECTIONS; i++) {
    static char buffer[OWN_BYTES];
    struct connection *c = &connections[i],
                      *other = &connections[(i + 1) % CONNECTIONS];

    expect_nbd (
        nbd_pread (other->nbd, buffer, OWN_BYTES, (uint64_t) i * OWN_BYTES, 0));
    expect (memcmp (buffer, c->oracle, OWN_BYTES) == 0);
  }

  for (unsigned i = 0; i < CONNECTIONS; i++) {
    expect_nbd (nbd_shutdown (connections[i].nbd, 0));
    nbd_close (connections[i].nbd);
  }
  server_stop ();
  return EXIT_SUCCESS;
}
