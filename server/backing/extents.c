/* SPDX-License-Identifier: BSD-3-Clause */
/* One 32-bit word an extent, in a sparse mapping:
 *
 *   word      0      1     2         3       4            8 + n
 *   meaning   fresh  used  trimming  parked  end of list  extent n is next
 *
 * Freed and clean extents are two stacks linked through these words.  What was
 * freed last is handed out first: its blocks are still mapped by the file
 * system, so writing it again costs no allocation there, and it need not be
 * emptied.  Then come the clean ones, then fresh ones by rising number.
 */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "backing/extents.h"

enum word { FRESH, USED, TRIMMING, PARKED, END, LINK = 8 };

#define TRIM_PATIENCE 10 /* seconds that resizing waits for the janitor */

struct extents {
  pthread_mutex_t lock;
  pthread_cond_t trimmed; /* TRIMMING fell to zero */
  uint32_t *words;
  size_t mapped;                  /* bytes at WORDS */
  atomic_uint_least64_t capacity; /* may be read without the lock */
  uint64_t fresh, used;
  uint64_t trimming;
  uint32_t freed, clean; /* END, or LINK + the top of the stack */
  bool paused;
  struct extents_hold *holds;
};

static void
push (struct extents *extents, uint32_t *stack, uint64_t extent)
{
  extents->words[extent] = *stack;
  *stack = LINK + extent;
}

static int64_t
pop (struct extents *extents, uint32_t *stack)
{
  uint64_t extent;

  if (*stack == END)
    return -1;
  extent = *stack - LINK;
  assert (extent < extents->capacity);
  *stack = extents->words[extent];
  return extent;
}

static size_t
bytes_for (uint64_t capacity)
{
  return (capacity * sizeof (uint32_t) + 4095) & ~(size_t) 4095;
}

struct extents *
extents_create (uint64_t capacity)
{
  struct extents *extents;
  pthread_condattr_t attributes;

  if (capacity > EXTENTS_MAX) {
    errno = EFBIG;
    return NULL;
  }
  extents = calloc (1, sizeof *extents);
  if (extents == NULL)
    return NULL;
  extents->capacity = capacity;
  extents->freed = extents->clean = END;
  extents->mapped = bytes_for (capacity ? capacity : 1);
  extents->words = mmap (NULL, extents->mapped, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (extents->words == MAP_FAILED) {
    free (extents);
    errno = ENOMEM;
    return NULL;
  }
  pthread_mutex_init (&extents->lock, NULL);
  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (&extents->trimmed, &attributes);
  pthread_condattr_destroy (&attributes);
  return extents;
}

void
extents_destroy (struct extents *extents)
{
  if (extents == NULL)
    return;
  munmap (extents->words, extents->mapped);
  pthread_cond_destroy (&extents->trimmed);
  pthread_mutex_destroy (&extents->lock);
  free (extents);
}

static uint64_t
locked_load (struct extents *extents, const uint64_t *value)
{
  uint64_t v;

  pthread_mutex_lock (&extents->lock);
  v = *value;
  pthread_mutex_unlock (&extents->lock);
  return v;
}

uint64_t
extents_capacity (struct extents *extents)
{
  return atomic_load_explicit (&extents->capacity, memory_order_relaxed);
}

uint64_t
extents_used (struct extents *extents)
{
  return locked_load (extents, &extents->used);
}

bool
extents_is_used (struct extents *extents, uint64_t extent)
{
  bool used;

  pthread_mutex_lock (&extents->lock);
  used = extent < extents->fresh && extents->words[extent] == USED;
  pthread_mutex_unlock (&extents->lock);
  return used;
}

uint64_t
extents_fresh (struct extents *extents)
{
  return locked_load (extents, &extents->fresh);
}

/* The lock is held.  An extent that is not fresh, and of no list any more, in
 * the order explained above.
 */
static int64_t
take_used_before (struct extents *extents)
{
  int64_t extent = -1;

  if (!extents->paused)
    extent = pop (extents, &extents->freed);
  if (extent == -1)
    extent = pop (extents, &extents->clean);
  return extent;
}

/* The lock is held. */
static int64_t
take (struct extents *extents)
{
  int64_t extent = take_used_before (extents);

  if (extent == -1 && extents->fresh < extents->capacity)
    extent = extents->fresh++;
  return extent;
}

int64_t
extents_allocate (struct extents *extents)
{
  int64_t extent;

  pthread_mutex_lock (&extents->lock);
  extent = take (extents);
  if (extent != -1) {
    extents->words[extent] = USED;
    extents->used++;
  }
  pthread_mutex_unlock (&extents->lock);
  if (extent == -1)
    errno = ENOSPC;
  return extent;
}

static bool
is_held (struct extents *extents, uint64_t extent)
{
  struct extents_hold *hold;

  for (hold = extents->holds; hold; hold = hold->next)
    if (hold->extent == extent)
      return true;
  return false;
}

/* The lock is held. */
static void
give_back (struct extents *extents, uint64_t extent)
{
  if (is_held (extents, extent))
    extents->words[extent] = PARKED;
  else
    push (extents, &extents->freed, extent);
}

void
extents_free (struct extents *extents, uint64_t extent)
{
  pthread_mutex_lock (&extents->lock);
  assert (extent < extents->fresh && extents->words[extent] == USED);
  extents->used--;
  give_back (extents, extent);
  pthread_mutex_unlock (&extents->lock);
}

int
extents_restore (struct extents *extents, uint64_t extent)
{
  int r = 0;

  pthread_mutex_lock (&extents->lock);
  if (extent >= extents->capacity) {
    errno = EINVAL;
    r = -1;
  }
  else if (extents->words[extent] != FRESH) {
    errno = EEXIST;
    r = -1;
  }
  else {
    extents->words[extent] = USED;
    extents->used++;
    if (extents->fresh <= extent)
      extents->fresh = extent + 1;
  }
  pthread_mutex_unlock (&extents->lock);
  return r;
}

int
extents_restored (struct extents *extents, uint64_t mark)
{
  int r = 0;

  pthread_mutex_lock (&extents->lock);
  if (mark > extents->capacity) {
    errno = EINVAL;
    r = -1;
  }
  else {
    if (extents->fresh < mark)
      extents->fresh = mark;
    for (uint64_t extent = extents->fresh; extent-- > 0;)
      if (extents->words[extent] == FRESH)
        push (extents, &extents->freed, extent);
  }
  pthread_mutex_unlock (&extents->lock);
  return r;
}

size_t
extents_take_freed (struct extents *extents, uint32_t *batch, size_t max)
{
  size_t count = 0;
  int64_t extent;

  pthread_mutex_lock (&extents->lock);
  while (!extents->paused && count < max
         && (extent = pop (extents, &extents->freed)) != -1) {
    extents->words[extent] = TRIMMING;
    batch[count++] = extent;
  }
  extents->trimming += count;
  pthread_mutex_unlock (&extents->lock);
  return count;
}

/* The lock is held. */
static void
end_trimming (struct extents *extents, size_t count)
{
  assert (extents->trimming >= count);
  extents->trimming -= count;
  if (extents->trimming == 0)
    pthread_cond_broadcast (&extents->trimmed);
}

void
extents_put_clean (struct extents *extents, const uint32_t *batch, size_t count)
{
  size_t i;

  pthread_mutex_lock (&extents->lock);
  for (i = 0; i < count; ++i) {
    assert (extents->words[batch[i]] == TRIMMING);
    push (extents, &extents->clean, batch[i]);
  }
  end_trimming (extents, count);
  pthread_mutex_unlock (&extents->lock);
}

bool
extents_have_freed (struct extents *extents)
{
  bool have;

  pthread_mutex_lock (&extents->lock);
  have = !extents->paused && extents->freed != END;
  pthread_mutex_unlock (&extents->lock);
  return have;
}

int64_t
extents_take_spare (struct extents *extents, bool fresh)
{
  int64_t extent;

  pthread_mutex_lock (&extents->lock);
  extent = fresh ? take (extents) : take_used_before (extents);
  if (extent != -1) {
    extents->words[extent] = TRIMMING;
    extents->trimming++;
  }
  pthread_mutex_unlock (&extents->lock);
  return extent;
}

void
extents_put_freed (struct extents *extents, const uint32_t *batch, size_t count)
{
  size_t i;

  pthread_mutex_lock (&extents->lock);
  for (i = 0; i < count; ++i) {
    assert (extents->words[batch[i]] == TRIMMING);
    give_back (extents, batch[i]);
  }
  end_trimming (extents, count);
  pthread_mutex_unlock (&extents->lock);
}

void
extents_hold (struct extents *extents, struct extents_hold *hold)
{
  pthread_mutex_lock (&extents->lock);
  hold->next = extents->holds;
  extents->holds = hold;
  pthread_mutex_unlock (&extents->lock);
}

void
extents_release (struct extents *extents, struct extents_hold *hold)
{
  struct extents_hold **p;

  pthread_mutex_lock (&extents->lock);
  for (p = &extents->holds; *p != hold; p = &(*p)->next)
    assert (*p);
  *p = hold->next;
  if (extents->words[hold->extent] == PARKED
      && !is_held (extents, hold->extent))
    push (extents, &extents->freed, hold->extent);
  pthread_mutex_unlock (&extents->lock);
}

void
extents_pause (struct extents *extents, bool pause)
{
  pthread_mutex_lock (&extents->lock);
  extents->paused = pause;
  pthread_mutex_unlock (&extents->lock);
}

/* The lock is held.  Drop the extents of a stack from CAPACITY on; the rest
 * keeps its order.
 */
static void
drop_from (struct extents *extents, uint32_t *stack, uint64_t capacity)
{
  uint32_t *link = stack;
  uint32_t next;

  while ((next = *link) != END) {
    if (next - LINK >= capacity)
      *link = extents->words[next - LINK];
    else
      link = &extents->words[next - LINK];
  }
}

/* The lock is held. */
static int
shrink (struct extents *extents, uint64_t capacity, uint64_t *busy)
{
  struct timespec limit;
  uint64_t extent;

  clock_gettime (CLOCK_MONOTONIC, &limit);
  limit.tv_sec += TRIM_PATIENCE;
  while (extents->trimming > 0
         && pthread_cond_timedwait (&extents->trimmed, &extents->lock, &limit)
                == 0)
    ;

  *busy = 0;
  for (extent = capacity; extent < extents->fresh; ++extent) {
    uint32_t word = extents->words[extent];

    if (word == USED || word == TRIMMING || word == PARKED)
      ++*busy;
  }
  if (*busy > 0) {
    errno = EBUSY;
    return -1;
  }

  drop_from (extents, &extents->freed, capacity);
  drop_from (extents, &extents->clean, capacity);
  for (extent = capacity; extent < extents->fresh; ++extent)
    extents->words[extent] = FRESH;
  if (extents->fresh > capacity)
    extents->fresh = capacity;
  extents->capacity = capacity;
  return 0;
}

/* The lock is held. */
static int
grow (struct extents *extents, uint64_t capacity)
{
  size_t bytes = bytes_for (capacity);
  void *words;

  if (capacity > EXTENTS_MAX) {
    errno = EFBIG;
    return -1;
  }
  if (bytes > extents->mapped) {
    words = mremap (extents->words, extents->mapped, bytes, MREMAP_MAYMOVE);
    if (words == MAP_FAILED)
      return -1;
    extents->words = words;
    extents->mapped = bytes;
  }
  extents->capacity = capacity;
  return 0;
}

int
extents_resize (struct extents *extents, uint64_t capacity, uint64_t *busy)
{
  int r;

  pthread_mutex_lock (&extents->lock);
  if (capacity < extents->capacity)
    r = shrink (extents, capacity, busy);
  else
    r = grow (extents, capacity);
  pthread_mutex_unlock (&extents->lock);
  return r;
}
