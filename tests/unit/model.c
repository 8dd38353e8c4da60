/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "pages.h"
#include "store/demote.h"
#include "store/pick.h"

#define PAGE PAGE_BYTES
#define THREADS 4
#define MOST_PAGES 56 /* ThreadSanitizer knows 64 locks of a thread */

static const struct store_placement placements[] = {
  { .cgroup = 0, .prio = 1 },
  { .cgroup = 1, .prio = 2, .writeback_prio = 1, .writeback_size = 2000 },
  { .cgroup = 5, .prio = 4, .writeback_prio = 2 },
};

static struct store *store;
static const struct model_front *front;
static unsigned char *oracle;
static pthread_t threads[THREADS];
static pthread_mutex_t locks[MODEL_PAGES];
static _Atomic bool stop;
static _Atomic uint64_t wrong, refused, requests;

static int
write_placed (const void *buffer, size_t count, uint64_t offset,
              uint64_t choice)
{
  return store_write (store, buffer, count, offset, &placements[choice % 3]);
}

static int
zero_placed (uint64_t count, uint64_t offset, bool punch, uint64_t choice)
{
  return store_zero (store, count, offset, punch, &placements[choice % 3]);
}

static const struct model_front placed = { write_placed, zero_placed };

/* Something is wrong: say it, the first few times. */
static void
complain (const char *what, uint64_t count, uint64_t offset)
{
  int saved_errno = errno;

  if (wrong++ < 8)
    print_message ("%s: %llu bytes at %llu (%s)\n", what,
                   (unsigned long long) count, (unsigned long long) offset,
                   strerror (saved_errno));
}

static void
lock_range (uint64_t offset, uint64_t count, bool lock)
{
  for (uint64_t i = offset / PAGE; i <= (offset + count - 1) / PAGE; ++i)
    if (lock)
      pthread_mutex_lock (&locks[i]);
    else
      pthread_mutex_unlock (&locks[i]);
}

/* A request failed: each page must be as it was or as it should have become.
 * NEW is the content of the range that was asked for.
 */
static void
settle (const unsigned char *new, uint64_t count, uint64_t offset)
{
  unsigned char back[PAGE];

  while (count > 0) {
    uint64_t n = PAGE - offset % PAGE;

    if (n > count)
      n = count;
    if (store_read (store, back, n, offset) == -1)
      complain ("not read after a refusal", n, offset);
    if (memcmp (back, new, n) == 0)
      memcpy (oracle + offset, new, n);
    else if (memcmp (back, oracle + offset, n) != 0)
      complain ("neither old nor new after a refusal", n, offset);
    new += n;
    offset += n;
    count -= n;
  }
}

static void
make_content (unsigned char *buffer, uint64_t count, uint64_t *seed)
{
  unsigned char page[PAGE];

  while (count > 0) {
    uint64_t n = count < PAGE ? count : PAGE;

    page_make (page, random_next (seed) % PAGE_KINDS, random_next (seed));
    memcpy (buffer, page, n);
    buffer += n;
    count -= n;
  }
}

static void
change (unsigned char *buffer, uint64_t count, uint64_t offset, unsigned what,
        uint64_t *seed)
{
  uint64_t choice = random_next (seed), start, end;
  int r;

  switch (what) {
  case 0:
    start = (offset + PAGE - 1) / PAGE * PAGE;
    end = (offset + count) / PAGE * PAGE;
    if (store_trim (store, count, offset) == -1)
      complain ("not trimmed", count, offset);
    if (start < end)
      memset (oracle + start, 0, end - start);
    return;
  case 1:
    memset (buffer, 0, count);
    r = front->zero (count, offset, random_next (seed) % 2, choice);
    break;
  default:
    make_content (buffer, count, seed);
    r = front->write (buffer, count, offset, choice);
  }
  if (r == 0)
    memcpy (oracle + offset, buffer, count);
  else {
    if (errno != ENOSPC)
      complain ("not written", count, offset);
    refused++;
    settle (buffer, count, offset);
  }
}

static void *
client (void *argument)
{
  uint64_t seed = 100 + (uintptr_t) argument;
  unsigned char *buffer = malloc (MOST_PAGES * PAGE);

  while (!stop) {
    uint64_t offset = random_next (&seed) % MODEL_SIZE;
    uint64_t count
        = 1
          + random_next (&seed)
                % (random_next (&seed) % 8 ? 4 * PAGE : MOST_PAGES * PAGE);
    unsigned what = random_next (&seed) % 10;

    if (random_next (&seed) % 2) {
      offset = offset / PAGE * PAGE;
      count = (count + PAGE - 1) / PAGE * PAGE;
    }
    if (count > MODEL_SIZE - offset)
      count = MODEL_SIZE - offset;
    lock_range (offset, count, true);
    if (what < 6)
      change (buffer, count, offset, what, &seed);
    else if (store_read (store, buffer, count, offset) == -1)
      complain ("not read", count, offset);
    else if (memcmp (buffer, oracle + offset, count) != 0)
      complain ("wrong content", count, offset);
    lock_range (offset, count, false);
    requests++;
  }
  free (buffer);
  return NULL;
}

void
model_start (struct store *s, const struct model_front *f)
{
  store = s;
  front = f ? f : &placed;
  stop = false;
  wrong = refused = requests = 0;
  oracle = calloc (1, MODEL_SIZE);
  assert_non_null (oracle);
  for (unsigned i = 0; i < MODEL_PAGES; ++i)
    pthread_mutex_init (&locks[i], NULL);
  for (uintptr_t i = 0; i < THREADS; ++i)
    assert_int_equal (pthread_create (&threads[i], NULL, client, (void *) i),
                      0);
}

int64_t
model_demote (struct store *s, unsigned tier, unsigned group)
{
  struct pick pick = { .tier = tier,
                       .cgroup = PICK_ANY,
                       .classes = (1u << STORE_CLASSES) - 1,
                       .before = UINT32_MAX };
  int64_t demoted = 0;

  store_set_tier_group (s, 1, group);
  for (unsigned i = 0; i < 4; ++i) {
    uint32_t segment = pick_coldest (s, &pick);

    if (segment != PICK_NONE) {
      int64_t pages = demote_segment (s, segment);

      demoted += pages > 0 ? pages : 0;
    }
    else if (pick_seal (s, &pick) == 0)
      break;
  }
  return demoted;
}

void
model_look (void (*look) (unsigned page))
{
  for (unsigned i = 0; i < MODEL_PAGES; ++i) {
    pthread_mutex_lock (&locks[i]);
    look (i);
    pthread_mutex_unlock (&locks[i]);
  }
}

uint64_t
model_wrong (void)
{
  return wrong;
}

uint64_t
model_refused (void)
{
  return refused;
}

void
model_stop (void)
{
  unsigned char *back = malloc (MODEL_SIZE);

  stop = true;
  for (unsigned i = 0; i < THREADS; ++i)
    pthread_join (threads[i], NULL);
  print_message ("%llu requests, %llu refused for want of space\n",
                 (unsigned long long) requests, (unsigned long long) refused);
  assert_int_equal (wrong, 0);
  assert_int_equal (store_read (store, back, MODEL_SIZE, 0), 0);
  assert_memory_equal (back, oracle, MODEL_SIZE);
  free (oracle);
  free (back);
}
