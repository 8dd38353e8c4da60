/* SPDX-License-Identifier: BSD-3-Clause */
/* The device is cut into regions of 64 pages, the size of the largest request
 * of the kernel's swap.  What is known of a region is in one bucket of a hash
 * table, as a few entries: a cgroup, and which of the 64 pages are of it.
 *
 *     region -> bucket { lock, count, entries, oldest first }
 *     entry     { region, pages: one bit each, cgroup }
 *
 * No page is in two entries.  A request takes one lock and looks at one
 * bucket, two if it lies across regions.  The lock is one that sleeps: threads
 * of the server have real-time priority, others have not, and a CPU that spins
 * for who should run on it spins for ever.
 *
 * A bucket has room for the entries of a few regions.  When it is full the
 * oldest entry makes room, so it is only ever a tag that is lost, and never a
 * newer one in favour of an older one of the same page.  With 2,048 requests on
 * their way, each in a region of its own at random, one in a hundred thousand
 * is lost; those of one cgroup that are near each other share entries.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policy/tags.h"
#include "store/codec.h"

#define REGION_PAGES 64
#define BUCKETS_BITS 11
#define BUCKETS (1u << BUCKETS_BITS)
#define ENTRIES 7

struct entry {
  uint64_t region;
  uint64_t pages; /* a bit each; never 0 */
  uint64_t cgroup;
};

struct bucket {
  pthread_mutex_t lock; /* of all but untagged */
  _Atomic uint32_t count;
  uint64_t generation; /* which the entries are of */
  uint64_t taken, replaced, lost;
  _Atomic uint64_t untagged;
  struct entry entries[ENTRIES];
} __attribute__ ((aligned (64)));

struct tags {
  _Atomic uint64_t generation; /* entries of another one are forgotten */
  struct bucket buckets[BUCKETS];
};

struct tags *
tags_create (void)
{
  struct tags *tags = aligned_alloc (64, sizeof *tags);

  if (!tags)
    return NULL;
  memset (tags, 0, sizeof *tags);
  for (unsigned i = 0; i < BUCKETS; i++)
    pthread_mutex_init (&tags->buckets[i].lock, NULL);
  return tags;
}

void
tags_free (struct tags *tags)
{
  if (!tags)
    return;
  for (unsigned i = 0; i < BUCKETS; i++)
    pthread_mutex_destroy (&tags->buckets[i].lock);
  free (tags);
}

static struct bucket *
bucket_of (struct tags *tags, uint64_t region)
{
  return &tags->buckets[region * UINT64_C (0x9e3779b97f4a7c15)
                        >> (64 - BUCKETS_BITS)];
}

/* A bit for each of COUNT (1 to 64) pages from FIRST on. */
static uint64_t
pages_mask (unsigned first, unsigned count)
{
  return UINT64_MAX >> (REGION_PAGES - count) << first;
}

static unsigned
pages_count (uint64_t pages)
{
  return (unsigned) __builtin_popcountll (pages);
}

static uint32_t
count_of (const struct bucket *bucket)
{
  return atomic_load_explicit (&bucket->count, memory_order_relaxed);
}

static void
set_count (struct bucket *bucket, uint32_t count)
{
  atomic_store_explicit (&bucket->count, count, memory_order_release);
}

/* Lock, and lose what was forgotten. */
static void
lock (struct tags *tags, struct bucket *bucket)
{
  uint64_t generation;

  pthread_mutex_lock (&bucket->lock);
  generation = atomic_load_explicit (&tags->generation, memory_order_acquire);
  if (bucket->generation != generation) {
    for (uint32_t i = 0; i < count_of (bucket); i++)
      bucket->lost += pages_count (bucket->entries[i].pages);
    set_count (bucket, 0);
    bucket->generation = generation;
  }
}

static void
unlock (struct bucket *bucket)
{
  pthread_mutex_unlock (&bucket->lock);
}

static void
remove_entry (struct bucket *bucket, uint32_t index)
{
  uint32_t count = count_of (bucket) - 1;

  memmove (&bucket->entries[index], &bucket->entries[index + 1],
           (count - index) * sizeof bucket->entries[0]);
  set_count (bucket, count);
}

static void
put_region (struct tags *tags, uint64_t region, uint64_t pages, uint64_t cgroup)
{
  struct bucket *bucket = bucket_of (tags, region);
  struct entry new = { .region = region, .pages = pages, .cgroup = cgroup };
  uint32_t i = 0;

  lock (tags, bucket);
  while (i < count_of (bucket)) {
    struct entry *entry = &bucket->entries[i];

    if (entry->region != region) {
      i++;
      continue;
    }
    bucket->replaced += pages_count (entry->pages & pages);
    entry->pages &= ~pages;
    /* One that grows is of the newest, and goes to the end. */
    if (entry->cgroup == cgroup)
      new.pages |= entry->pages;
    if (entry->cgroup == cgroup || entry->pages == 0)
      remove_entry (bucket, i);
    else
      i++;
  }
  if (count_of (bucket) == ENTRIES) {
    bucket->lost += pages_count (bucket->entries[0].pages);
    remove_entry (bucket, 0);
  }
  i = count_of (bucket);
  bucket->entries[i] = new;
  set_count (bucket, i + 1);
  unlock (bucket);
}

int
tags_put (struct tags *tags, const struct tierswap_tag *tag)
{
  uint64_t page = tag->offset / PAGE_BYTES;
  uint64_t end = page + tag->length / PAGE_BYTES;

  if (tag->offset % PAGE_BYTES != 0 || tag->length % PAGE_BYTES != 0
      || tag->length == 0 || tag->length > TIERSWAP_TAG_LENGTH_MAX
      || tag->offset > UINT64_MAX - tag->length || tag->cgroup == 0
      || tag->reserved != 0) {
    errno = EINVAL;
    return -1;
  }
  while (page < end) {
    unsigned first = page % REGION_PAGES, count = REGION_PAGES - first;

    if (count > end - page)
      count = (unsigned) (end - page);
    put_region (tags, page / REGION_PAGES, pages_mask (first, count),
                tag->cgroup);
    page += count;
  }
  return 0;
}

/* What is known of the first of *COUNT pages from FIRST on: its entry, or NULL.
 * *COUNT becomes how many are like it.
 */
static struct entry *
find (struct bucket *bucket, uint64_t region, unsigned first, unsigned *count)
{
  uint64_t known = 0, unlike;
  struct entry *found = NULL;

  for (uint32_t i = 0; i < count_of (bucket); i++) {
    struct entry *entry = &bucket->entries[i];

    if (entry->region != region)
      continue;
    known |= entry->pages;
    if (entry->pages >> first & 1) {
      found = entry;
      break;
    }
  }
  unlike = pages_mask (first, *count) & (found ? ~found->pages : known);
  if (unlike)
    *count = (unsigned) __builtin_ctzll (unlike) - first;
  return found;
}

static void
take_from (struct bucket *bucket, struct entry *entry, unsigned first,
           unsigned count)
{
  bucket->taken += count;
  entry->pages &= ~pages_mask (first, count);
  if (entry->pages == 0)
    remove_entry (bucket, (uint32_t) (entry - bucket->entries));
}

void
tags_take (struct tags *tags, uint64_t offset, uint64_t count, uint64_t *cgroup,
           uint64_t *covered)
{
  uint64_t page = offset / PAGE_BYTES, region = page / REGION_PAGES;
  unsigned first = page % REGION_PAGES, pages = REGION_PAGES - first;
  struct bucket *bucket = bucket_of (tags, region);
  uint64_t end = offset % PAGE_BYTES + count; /* in bytes from the page on */

  *cgroup = 0;
  if (end < (uint64_t) pages * PAGE_BYTES)
    pages = (unsigned) ((end + PAGE_BYTES - 1) / PAGE_BYTES);

  /* A tag of this write was put before, by this thread or by one that it has
   * heard of since, so a bucket that looks empty has none for it.
   */
  if (atomic_load_explicit (&bucket->count, memory_order_acquire) != 0) {
    struct entry *entry;

    lock (tags, bucket);
    entry = find (bucket, region, first, &pages);
    if (entry) {
      /* Of the last page the rest may be still to come. */
      bool part = (uint64_t) pages * PAGE_BYTES > end;

      *cgroup = entry->cgroup;
      if (pages - part > 0)
        take_from (bucket, entry, first, pages - part);
    }
    unlock (bucket);
  }
  if (*cgroup == 0)
    atomic_fetch_add_explicit (&bucket->untagged, pages, memory_order_relaxed);
  *covered = (uint64_t) pages * PAGE_BYTES < end
                 ? (uint64_t) pages * PAGE_BYTES - offset % PAGE_BYTES
                 : count;
}

void
tags_forget (struct tags *tags)
{
  atomic_fetch_add_explicit (&tags->generation, 1, memory_order_acq_rel);
}

void
tags_count (struct tags *tags, struct tags_counts *counts)
{
  *counts = (struct tags_counts){ 0 };
  for (unsigned i = 0; i < BUCKETS; i++) {
    struct bucket *bucket = &tags->buckets[i];

    lock (tags, bucket);
    for (uint32_t j = 0; j < count_of (bucket); j++)
      counts->waiting += pages_count (bucket->entries[j].pages);
    counts->taken += bucket->taken;
    counts->replaced += bucket->replaced;
    counts->lost += bucket->lost;
    unlock (bucket);
    counts->untagged
        += atomic_load_explicit (&bucket->untagged, memory_order_relaxed);
  }
}
