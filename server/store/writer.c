/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing pages: whole ones in batches, parts of pages by read, modify and
 * compare-and-exchange.
 */
#include <config.h>

#include <errno.h>

#include "store/cleaner.h"
#include "store/page.h"
#include "store/reader.h"
#include "store/room.h"

/* The first tier of at least this prio, or the last one. */
static unsigned
first_tier (struct store *store, unsigned prio)
{
  unsigned tier = prio > 0 ? prio - 1 : 0;

  if (tier < STORE_TIERS && tier_present (store, tier))
    return tier;
  tier = tier_after (store, tier);
  if (tier < STORE_TIERS)
    return tier;
  for (tier = STORE_TIERS - 1; !tier_present (store, tier); --tier)
    ;
  return tier;
}

static uint32_t
object_owner (const struct object *object, unsigned tier,
              const struct store_placement *placement)
{
  unsigned class = object_length (object) >= placement->writeback_size
                       ? placement->writeback_prio
                       : 0;

  return owner_index (placement->cgroup, tier, class);
}

static int write_page (struct store *store, struct worker *worker,
                       uint64_t slot, const void *page, unsigned tier,
                       const struct store_placement *placement);

/* TIER has no room for the last COUNT objects of the batch: try the next one,
 * page by page.
 */
static int
fall_back (struct store *store, struct worker *worker, unsigned from,
           unsigned count, unsigned tier,
           const struct store_placement *placement)
{
  const unsigned char *pages[BATCH_PAGES];
  uint32_t slots[BATCH_PAGES];

  atomic_store_explicit (&store->tiers[tier].full, true, memory_order_relaxed);
  for (unsigned i = 0; i < count; ++i) {
    pages[i] = worker->pages[from + i];
    slots[i] = worker->batch[from + i].slot;
  }
  for (unsigned i = 0; i < count; ++i)
    if (write_page (store, worker, slots[i], pages[i], tier_after (store, tier),
                    placement)
        == -1)
      return -1;
  return 0;
}

/* Append the batch of COUNT objects of one owner.  Returns 1 if pages fell
 * back to another tier, whereby the worker's room was used.
 */
static int
flush (struct store *store, struct worker *worker, uint32_t owner,
       unsigned count, const struct store_placement *placement)
{
  unsigned tier = owner_tier (owner), done = 0;
  uint64_t opened = atomic_load_explicit (&store->opened, memory_order_relaxed);

  while (done < count) {
    uint32_t freed = room_freed (store);
    int r = append_overwrite (store, cgroup_home (store, owner, STREAM_FRESH),
                              worker->batch + done, count - done);

    if (r > 0)
      done += r;
    else if (room_clean (store, tier, r))
      continue;
    else if (tier_after (store, tier) < STORE_TIERS)
      return fall_back (store, worker, done, count - done, tier, placement)
                     == -1
                 ? -1
                 : 1;
    else if (!room_wait (store, worker, freed)) {
      errno = ENOSPC;
      return -1;
    }
  }
  cleaner_pace (store, opened);
  room_throttle (store, owner_cgroup (owner), count);
  return 0;
}

static void
write_same (struct store *store, uint64_t slot, uint64_t pattern,
            uint32_t cgroup)
{
  /* Counted before it is published: a release never comes first. */
  atomic_fetch_add (&store->same[cgroup], 1);
  store_release (store,
                 slots_publish_same (&store->slots, slot, pattern, cgroup));
}

static unsigned
skip_full_tiers (struct store *store, unsigned tier)
{
  while (atomic_load_explicit (&store->tiers[tier].full, memory_order_relaxed)
         && tier_after (store, tier) < STORE_TIERS)
    tier = tier_after (store, tier);
  return tier;
}

/* Write COUNT whole pages from SLOT on, compressed for WANTED first. */
static int
write_pages (struct store *store, struct worker *worker, uint64_t slot,
             const unsigned char *page, uint64_t count, unsigned wanted,
             const struct store_placement *placement)
{
  unsigned tier = skip_full_tiers (store, wanted), batched = 0;
  unsigned char *room = worker->room;
  uint32_t owner = 0, next_owner;
  uint64_t pattern;
  int r;

  for (; count > 0; --count, ++slot, page += PAGE_BYTES) {
    struct object *object;

    if (page_is_same (page, &pattern)) {
      write_same (store, slot, pattern, placement->cgroup);
      continue;
    }
    worker_make_object (worker, tier, slot, page, room);
    next_owner = object_owner ((struct object *) room, tier, placement);
    if (batched > 0 && next_owner != owner) {
      r = flush (store, worker, owner, batched, placement);
      if (r == -1)
        return -1;
      if (r == 0)
        memmove (worker->room, room, OBJECT_ROOM);
      else
        worker_make_object (worker, tier, slot, page, worker->room);
      room = worker->room;
      batched = 0;
    }
    object = (struct object *) room;
    if (object_length (object) == PAGE_BYTES)
      worker_count (&worker->counters.writes_raw, 1);
    owner = next_owner;
    worker->batch[batched]
        = (struct append){ .object = object, .slot = (uint32_t) slot };
    worker->pages[batched++] = page;
    room += object_units (object) * OBJECT_UNIT;
    if (batched == BATCH_PAGES) {
      if (flush (store, worker, owner, batched, placement) == -1)
        return -1;
      room = worker->room;
      batched = 0;
      tier = skip_full_tiers (store, wanted);
    }
  }
  if (batched > 0 && flush (store, worker, owner, batched, placement) == -1)
    return -1;
  return 0;
}

static int
write_page (struct store *store, struct worker *worker, uint64_t slot,
            const void *page, unsigned tier,
            const struct store_placement *placement)
{
  return write_pages (store, worker, slot, page, 1, tier, placement);
}

/* Replace what READING was read from by the same-filled PATTERN. */
static bool
replace_by_same (struct store *store, uint64_t slot,
                 const struct reading *reading, uint64_t pattern,
                 uint32_t cgroup)
{
  bool done;

  atomic_fetch_add (&store->same[cgroup], 1);
  done = slots_replace (&store->slots, slot, reading->word, reading->pattern,
                        slot_same (pattern, cgroup), pattern);
  if (!done)
    atomic_fetch_sub (&store->same[cgroup], 1);
  return done;
}

/* Write a part of a page (zeros if FROM is NULL).  The page read is held until
 * it is replaced, so its word cannot come to stand for other content.
 */
static int
write_part (struct store *store, struct worker *worker,
            const struct page_part *part, const void *from,
            const struct store_placement *placement)
{
  unsigned tier = skip_full_tiers (store, first_tier (store, placement->prio));
  uint64_t opened = atomic_load_explicit (&store->opened, memory_order_relaxed);

  for (;;) {
    uint32_t freed = room_freed (store);
    struct append entry = { .object = (struct object *) worker->room,
                            .slot = (uint32_t) part->slot };
    struct append_target target = { .stream = STREAM_FRESH };
    struct reading reading;
    uint64_t pattern;
    bool done;
    int r = 1;

    if (reader_page (store, worker, part->slot, worker->page, &reading) == -1)
      return -1;
    if (from)
      memcpy (worker->page + part->start, from, part->length);
    else
      memset (worker->page + part->start, 0, part->length);

    if (page_is_same (worker->page, &pattern)) {
      if (!from && slot_kind (reading.word) == SLOT_EMPTY)
        return 0;
      done = replace_by_same (store, part->slot, &reading, pattern,
                              placement->cgroup);
    }
    else {
      worker_make_object (worker, tier, part->slot, worker->page, worker->room);
      entry.expected = reading.word;
      entry.pattern = reading.pattern;
      target.owner = cgroup_home (
          store, object_owner (entry.object, tier, placement), STREAM_FRESH);
      r = append_replace (store, &target, &entry, 1);
      done = r > 0 && entry.done;
    }
    if (done)
      store_release (store, reading.word);
    reader_let_go (store, &reading);
    if (done) {
      cleaner_pace (store, opened);
      return 0;
    }
    if (r >= 0 || room_clean (store, tier, r))
      continue;
    if (tier_after (store, tier) < STORE_TIERS)
      tier = tier_after (store, tier);
    else if (!room_wait (store, worker, freed)) {
      errno = ENOSPC;
      return -1;
    }
  }
}

static void
touch (struct store *store, uint64_t count, uint64_t offset)
{
  uint64_t last = (offset + count - 1) / PAGE_BYTES;

  for (uint64_t slot = offset / PAGE_BYTES; slot <= last;
       slot = (slot | (SLOTS_GROUP - 1)) + 1)
    slots_touch (&store->slots, slot);
}

static void
note_cgroup (struct store *store, uint32_t cgroup)
{
  uint32_t known = atomic_load_explicit (&store->cgroups, memory_order_relaxed);

  while (known <= cgroup
         && !atomic_compare_exchange_weak (&store->cgroups, &known, cgroup + 1))
    ;
}

static int
begin (struct store *store, uint64_t count, uint64_t offset,
       const struct store_placement *placement, struct worker **worker)
{
  if (offset > store->size || count > store->size - offset
      || (placement && placement->cgroup >= SLOT_CGROUPS)) {
    errno = EINVAL;
    return -1;
  }
  *worker = worker_get (store);
  if (!*worker)
    return -1;
  (*worker)->room_deadline = 0;
  if (placement && count > 0)
    note_cgroup (store, placement->cgroup);
  cleaner_disturb (store);
  return 0;
}

int
store_write (struct store *store, const void *buffer, size_t count,
             uint64_t offset, const struct store_placement *placement)
{
  const unsigned char *from = buffer;
  struct worker *worker;
  uint64_t pages = 0;
  unsigned tier;

  if (begin (store, count, offset, placement, &worker) == -1)
    return -1;
  if (count > 0)
    touch (store, count, offset);
  tier = first_tier (store, placement->prio);
  while (count > 0) {
    struct page_part part = page_part (offset, count);
    uint64_t length = part.length;
    int r;

    if (page_part_is_whole (&part)) {
      length = count / PAGE_BYTES * PAGE_BYTES;
      r = write_pages (store, worker, part.slot, from, length / PAGE_BYTES,
                       tier, placement);
    }
    else
      r = write_part (store, worker, &part, from, placement);
    if (r == -1) {
      worker_count (&worker->counters.write_errors, 1);
      return -1;
    }
    from += length;
    offset += length;
    count -= length;
    pages += (length + PAGE_BYTES - 1) / PAGE_BYTES;
  }
  worker_count (&worker->counters.writes, pages);
  return 0;
}

static void
trim_page (struct store *store, uint64_t slot)
{
  if (atomic_load (&store->slots.words[slot]) != 0)
    store_release (store, atomic_exchange (&store->slots.words[slot], 0));
}

static void
trim_pages (struct store *store, uint64_t slot, uint64_t end)
{
  while (slot < end) {
    uint64_t next = (slot | (SLOTS_GROUP - 1)) + 1;

    if (next > end)
      next = end;
    if (slots_touched (&store->slots, slot))
      for (; slot < next; ++slot)
        trim_page (store, slot);
    slot = next;
  }
}

int
store_trim (struct store *store, uint64_t count, uint64_t offset)
{
  struct worker *worker;
  uint64_t slot, end;

  if (begin (store, count, offset, NULL, &worker) == -1)
    return -1;
  slot = (offset + PAGE_BYTES - 1) / PAGE_BYTES;
  end = (offset + count) / PAGE_BYTES;
  if (slot < end) {
    trim_pages (store, slot, end);
    worker_count (&worker->counters.trims, end - slot);
  }
  return 0;
}

int
store_zero (struct store *store, uint64_t count, uint64_t offset, bool punch,
            const struct store_placement *placement)
{
  struct worker *worker;
  uint64_t pages = 0;

  if (begin (store, count, offset, placement, &worker) == -1)
    return -1;
  if (!punch && count > 0)
    touch (store, count, offset);
  while (count > 0) {
    struct page_part part = page_part (offset, count);
    uint64_t length = part.length, end;

    if (page_part_is_whole (&part)) {
      length = count / PAGE_BYTES * PAGE_BYTES;
      end = part.slot + length / PAGE_BYTES;
      if (punch)
        trim_pages (store, part.slot, end);
      else
        for (uint64_t slot = part.slot; slot < end; ++slot)
          write_same (store, slot, 0, placement->cgroup);
    }
    else {
      slots_touch (&store->slots, part.slot);
      if (write_part (store, worker, &part, NULL, placement) == -1) {
        worker_count (&worker->counters.write_errors, 1);
        return -1;
      }
    }
    offset += length;
    count -= length;
    pages += (length + PAGE_BYTES - 1) / PAGE_BYTES;
  }
  worker_count (punch ? &worker->counters.trims : &worker->counters.writes,
                pages);
  return 0;
}
