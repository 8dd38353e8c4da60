/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "store/demote.h"
#include "store/group.h"
#include "store/walk.h"

/* Pages among which neighbours are looked for. */
#define WINDOW 256

/* Pages that stay in their tier, for one reason. */
struct staying {
  struct append_target target;
  unsigned count;
  struct append list[WALK_OBJECTS];
};

struct demotion {
  struct store *store;
  struct worker *worker;
  const struct segment *segment;
  unsigned tier;  /* where to */
  unsigned group; /* pages that may be compressed together */
  struct walk walk;
  struct append_target down;
  struct staying young; /* they were read */
  struct staying tried; /* it is of no use: they keep their age */
  unsigned batched, waiting;
  int64_t demoted;
  struct append window[WINDOW];
};

static int
move_down (struct demotion *d)
{
  unsigned count = d->batched;

  d->batched = 0;
  if (walk_move (&d->walk, &d->down, d->worker->batch, count) == -1)
    return -1;
  d->demoted += count;
  return 0;
}

static int
move_staying (struct demotion *d, struct staying *staying)
{
  unsigned count = staying->count;

  staying->count = 0;
  return walk_move (&d->walk, &staying->target, staying->list, count);
}

/* The pages of one object stay. */
static int
keep (struct demotion *d, struct staying *staying, struct append *list,
      unsigned count)
{
  if (count < object_pages (list[0].object)) {
    group_remake (d->worker, d->segment, list, count);
    return walk_move (&d->walk, &staying->target, list, count);
  }
  if (staying->count + count > WALK_OBJECTS && move_staying (d, staying) == -1)
    return -1;
  memcpy (staying->list + staying->count, list, count * sizeof *list);
  staying->count += count;
  return 0;
}

static bool
referenced (const struct append *list, unsigned count)
{
  for (unsigned i = 0; i < count; ++i)
    if (list[i].expected & SLOT_REFERENCED)
      return true;
  return false;
}

/* Stored bytes of COUNT pages. */
static uint32_t
bytes_of (const struct append *list, unsigned count)
{
  uint32_t bytes = 0;

  for (unsigned i = 0; i < count; ++i)
    bytes += slot_length (list[i].expected);
  return bytes;
}

static unsigned char *
batch_room (const struct demotion *d)
{
  return d->worker->room + d->batched * OBJECT_ROOM;
}

/* Compress the COUNT pages at PAGES together into the batch, if that makes
 * them shorter than they are.  Whether it makes them shorter than alone is not
 * tried, it would cost more than all the rest: of 12,288 groups of real pages
 * 108 were longer, and that by 2 %.
 */
static bool
batch_group (struct demotion *d, struct append *list, unsigned count,
             const unsigned char *pages)
{
  if (!group_make (d->worker, d->tier, list, count, pages, batch_room (d),
                   bytes_of (list, count)))
    return false;
  memcpy (d->worker->batch + d->batched, list, count * sizeof *list);
  d->batched += count;
  return true;
}

static bool
batch_page (struct demotion *d, const struct append *page,
            const unsigned char *bytes)
{
  struct object *object = (struct object *) batch_room (d);

  worker_make_object (d->worker, d->tier, page->slot, bytes,
                      (unsigned char *) object);
  if (object_length (object) >= slot_length (page->expected))
    return false;
  d->worker->batch[d->batched] = *page;
  d->worker->batch[d->batched].stamp = 0;
  d->worker->batch[d->batched++].object = object;
  return true;
}

/* Demote pages of the same four slots, which stand one after another at PAGES.
 * What does not become shorter stays.
 */
static int
demote_pages (struct demotion *d, struct append *list, unsigned count,
              const unsigned char *pages)
{
  struct append kept[GROUP_PAGES];
  unsigned rest = 0;

  if (d->batched + count > BATCH_PAGES && move_down (d) == -1)
    return -1;
  for (unsigned i = 0, n; i < count; i += n) {
    n = count - i < d->group ? count - i : d->group;
    if (n > 1 && batch_group (d, list + i, n, pages + i * PAGE_BYTES))
      continue;
    for (unsigned j = i; j < i + n; ++j)
      if (!batch_page (d, &list[j], pages + j * PAGE_BYTES))
        kept[rest++] = list[j];
  }
  /* Last, since it makes use of where the pages are. */
  for (unsigned i = 0, next; i < rest; i = next) {
    next = append_next (kept, rest, i);
    if (keep (d, &d->tried, kept + i, next - i) == -1)
      return -1;
  }
  return 0;
}

static int
demote_group (struct demotion *d, struct append *list, unsigned count)
{
  if (referenced (list, count))
    return keep (d, &d->young, list, count);
  if (!group_gather (d->worker, d->segment, list, count))
    return keep (d, &d->tried, list, count);
  return demote_pages (d, list, count, d->worker->group.pages);
}

/* Demote pages of the same four slots that are alone now.  Of those that are
 * stored raw no group is made: they would spoil it for the others.
 */
static int
demote_neighbours (struct demotion *d, struct append *list, unsigned count)
{
  struct append pages[GROUP_PAGES];
  unsigned good = 0;

  for (unsigned i = 0; i < count; ++i) {
    const struct object *object = list[i].object;
    int r = 0;

    if (!worker_may_remake (d->worker, &list[i]))
      r = keep (d, &d->tried, &list[i], 1);
    else if (slot_length (list[i].expected) == PAGE_BYTES)
      r = demote_pages (d, &list[i], 1, object->bytes);
    else if (worker_unpack (d->worker, d->segment->codec, object, list[i].slot,
                            list[i].expected,
                            d->worker->group.pages + good * PAGE_BYTES)
             == -1)
      r = keep (d, &d->tried, &list[i], 1);
    else
      pages[good++] = list[i];
    if (r == -1)
      return -1;
  }
  return good ? demote_pages (d, pages, good, d->worker->group.pages) : 0;
}

/* By slot; they mostly are already. */
static void
sort (struct append *list, unsigned count)
{
  for (unsigned i = 1; i < count; ++i) {
    struct append one = list[i];
    unsigned at = i;

    for (; at > 0 && list[at - 1].slot > one.slot; --at)
      list[at] = list[at - 1];
    list[at] = one;
  }
}

static int
demote_window (struct demotion *d)
{
  unsigned count = d->waiting, next;

  d->waiting = 0;
  sort (d->window, count);
  for (unsigned i = 0; i < count; i = next) {
    for (next = i + 1; next < count
                       && group_first (d->window[next].slot)
                              == group_first (d->window[i].slot);
         ++next)
      ;
    if (demote_neighbours (d, d->window + i, next - i) == -1)
      return -1;
  }
  return 0;
}

/* One object that the walk came to. */
static int
demote_object (struct demotion *d, struct append *list, unsigned count)
{
  if (object_pages (list[0].object) > 1)
    return demote_group (d, list, count);
  if (referenced (list, count))
    return keep (d, &d->young, list, count);
  d->window[d->waiting++] = list[0];
  return d->waiting == WINDOW ? demote_window (d) : 0;
}

static int
demote_all (struct demotion *d)
{
  struct append live[WALK_OBJECTS];
  unsigned count, next;

  while ((count = walk_next (&d->walk, live)) > 0)
    for (unsigned i = 0; i < count; i = next) {
      next = append_next (live, count, i);
      if (demote_object (d, live + i, next - i) == -1)
        return -1;
    }
  return demote_window (d) == -1 || move_down (d) == -1
                 || move_staying (d, &d->young) == -1
                 || move_staying (d, &d->tried) == -1
             ? -1
             : 0;
}

int64_t
demote_segment (struct store *store, uint32_t number)
{
  struct segment *segment = store_segment (store, number);
  uint32_t owner = atomic_load (&segment->owner);
  unsigned tier = tier_after (store, owner_tier (owner));
  struct demotion d = {
    .store = store,
    .worker = worker_get (store),
    .segment = segment,
    .tier = tier,
    .walk = walk_start (store, number),
    .down
    = { .owner
        = cgroup_home (store,
                       owner_index (owner_cgroup (owner), tier % STORE_TIERS,
                                    owner_class (owner)),
                       STREAM_SURVIVORS),
        .stream = STREAM_SURVIVORS,
        .time = atomic_load_explicit (&segment->time, memory_order_relaxed) },
    .young = { .target = walk_target_young (store, segment) },
    .tried = { .target = walk_target (store, segment, STREAM_TRIED) },
  };
  int r = -1;

  /* Where the next tier is full, nothing is compressed in vain each time. */
  if (d.worker && tier < STORE_TIERS && budget_tier_has_room (store, tier)) {
    d.group = atomic_load (&store->tiers[tier].group);
    if (d.group < 1)
      d.group = 1;
    d.worker->groups = true;
    group_forget (d.worker);
    r = demote_all (&d);
  }
  if (r == -1)
    segment_drop (store, number, CONTROL_BUSY);
  else if (!damage_end_claim (store, number))
    r = -1;
  return r == -1 ? -1 : d.demoted;
}
