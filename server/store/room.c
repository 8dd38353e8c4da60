/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/cleaner.h"
#include "store/room.h"
#include "store/worker.h"

/* When the cleaner has no frame to work with, others are about to give some
 * back: look again so often, a tenth of a millisecond apart.
 */
#define RETRIES 200
#define RETRIES_WITHIN 20 /* before the limit is overdrawn */

/* One request is slowed down by no more than this, in nanoseconds. */
#define THROTTLE_MOST 100000000

static uint64_t
nanoseconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * UINT64_C (1000000000) + now.tv_nsec;
}

bool
room_clean (struct store *store, unsigned tier, int full)
{
  uint32_t which = full == ROOM_TIER_FULL ? tier : ANY_TIER;
  const struct timespec moment = { 0, 100000 };

  for (unsigned i = 0; i < RETRIES; ++i) {
    bool overdraw = i >= RETRIES_WITHIN;
    int r;

    if (overdraw)
      atomic_fetch_add (&store->overdraft, 1);
    r = cleaner_clean_one (store, which, CLEANER_WORTH);
    if (overdraw)
      atomic_fetch_sub (&store->overdraft, 1);
    if (r >= 0)
      return r > 0;
    nanosleep (&moment, NULL);
  }
  return false;
}

uint32_t
room_freed (struct store *store)
{
  return atomic_load (&store->room.freed);
}

void
room_tell_waiters (struct store *store)
{
  atomic_fetch_add (&store->room.freed, 1);
  if (atomic_load (&store->room.waiters) == 0)
    return;
  syscall (SYS_futex, &store->room.freed, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
           NULL, 0);
}

/* One waits for more frames than FREED; the count comes around.  It is read
 * after what others noted, which is never beyond it.
 */
static void
note_missed (struct room_wait *room, uint32_t freed)
{
  uint32_t missed, now;

  do {
    missed = atomic_load (&room->missed);
    now = atomic_load (&room->freed);
  } while (now - freed < now - missed
           && !atomic_compare_exchange_weak (&room->missed, &missed, freed));
}

bool
room_wait (struct store *store, struct worker *worker, uint32_t freed)
{
  struct room_wait *room = &store->room;
  const struct timespec slice = { 0, 50000000 };
  uint64_t now = nanoseconds (), asked;
  struct wake *writer = atomic_load (&room->writer);

  if (!writer)
    return false;
  if (worker->room_deadline == 0)
    worker->room_deadline = now + ROOM_WAIT_SECONDS * UINT64_C (1000000000);
  if (now >= worker->room_deadline)
    return false;
  if (room_freed (store) != freed)
    return true;
  note_missed (room, freed);
  atomic_fetch_add (&room->waiters, 1);
  asked = atomic_fetch_add (&room->asked, 1) + 1;
  wake_ring (writer);
  while (room_freed (store) == freed && now < worker->room_deadline
         && atomic_load (&room->in_vain) < asked
         && !atomic_load (&store->stop)) {
    syscall (SYS_futex, &room->freed, FUTEX_WAIT_PRIVATE, freed, &slice, NULL,
             0);
    now = nanoseconds ();
  }
  atomic_fetch_sub (&room->waiters, 1);
  return room_freed (store) != freed;
}

void
room_watch (struct store *store)
{
  struct wake *writer = atomic_load (&store->room.writer);

  if (writer
      && store_memory_used (store)
             > atomic_load_explicit (&store->room.high, memory_order_relaxed))
    wake_ring (writer);
}

bool
room_is_heavy (struct store *store, uint32_t cgroup)
{
  return cgroup_load (store, cgroup, store_seconds ())
         >= atomic_load_explicit (&store->room.fair_load, memory_order_relaxed);
}

/* Nanoseconds to wait for pages of which writing one back takes PAGE.  The
 * nearer USED is from START to LIMIT, the longer: at the limit a page costs
 * twice that time, half way there a quarter of it.
 */
static uint64_t
slow_down (uint64_t page, uint64_t count, uint64_t used, uint64_t start,
           uint64_t limit)
{
  double share;

  if (used <= start || start >= limit)
    return 0;
  share = (double) (used - start) / (double) (limit - start);
  if (share > 1)
    share = 1;
  return (uint64_t) (2 * share * share * (double) (page * count));
}

void
room_watch_cap (struct store *store, uint32_t cgroup)
{
  uint32_t cap
      = atomic_load_explicit (&store->cgroup[cgroup].cap, memory_order_relaxed);
  struct wake *writer = atomic_load (&store->room.writer);
  uint64_t limit = cap ? store_cap_limit (store, cap) : 0;

  if (limit && writer && store_cap_used (store, cap) > limit)
    wake_ring (writer);
}

/* How long one is to wait who is under a cap. */
static uint64_t
slow_down_capped (struct store *store, uint32_t number, uint64_t count)
{
  struct store_cap *cap = &store->caps[number];
  uint64_t limit = atomic_load_explicit (&cap->limit, memory_order_relaxed);
  uint64_t page
      = atomic_load_explicit (&cap->page_nanoseconds, memory_order_relaxed);

  if (limit == 0 || page == 0)
    return 0;
  return slow_down (page, count, store_cap_used (store, number), limit,
                    limit + limit / 8);
}

void
room_throttle (struct store *store, uint32_t cgroup, uint64_t count)
{
  struct room_wait *room = &store->room;
  uint64_t page
      = atomic_load_explicit (&room->page_nanoseconds, memory_order_relaxed);
  uint32_t cap
      = atomic_load_explicit (&store->cgroup[cgroup].cap, memory_order_relaxed);
  uint64_t wait = 0, more;

  if (cap)
    wait = slow_down_capped (store, cap, count);
  if (page && room_is_heavy (store, cgroup)) {
    more = slow_down (
        page, count, store_memory_used (store),
        atomic_load_explicit (&room->throttle_from, memory_order_relaxed),
        atomic_load_explicit (&store->pool_limit, memory_order_relaxed));
    if (more > wait)
      wait = more;
  }
  if (wait > THROTTLE_MOST)
    wait = THROTTLE_MOST;
  if (wait > 50000)
    nanosleep (&(struct timespec){ 0, (long) wait }, NULL);
}

void
room_serve (struct store *store, struct wake *writer)
{
  room_in_vain (store, writer ? 0 : UINT64_MAX);
  atomic_store (&store->room.writer, writer);
}

bool
room_waited_for (struct store *store)
{
  /* One that there is room for by now, and who did not get to run yet, has no
   * more made for it: all would be written back before its turn comes.
   */
  return atomic_load (&store->room.waiters) > 0
         && atomic_load (&store->room.missed) == room_freed (store);
}

uint64_t
room_asked (struct store *store)
{
  return atomic_load (&store->room.asked);
}

void
room_in_vain (struct store *store, uint64_t asked)
{
  atomic_store (&store->room.in_vain, asked);
}

void
room_set_pace (struct store *store, uint64_t high, uint64_t page_nanoseconds)
{
  atomic_store (&store->room.high, high);
  atomic_store (&store->room.throttle_from, high);
  atomic_store (&store->room.page_nanoseconds, page_nanoseconds);
}

void
room_set_cap_pace (struct store *store, uint32_t cap, uint64_t page_nanoseconds)
{
  atomic_store (&store->caps[cap].page_nanoseconds, page_nanoseconds);
}

void
room_judge (struct store *store)
{
  uint32_t cgroups = atomic_load (&store->cgroups), now = store_seconds ();
  uint64_t total = 0, fair;
  uint32_t active = 0;

  for (uint32_t i = 0; i < cgroups; ++i) {
    uint32_t load = cgroup_load (store, i, now);

    total += load;
    active += load > 0;
  }
  fair = active ? total / active : 0;
  if (fair > UINT32_MAX)
    fair = UINT32_MAX;
  atomic_store (&store->room.fair_load, fair > 0 ? (uint32_t) fair : 1);
  atomic_store (&store->room.contended, active > 1);
}

bool
room_acquit (struct store *store)
{
  atomic_store (&store->room.fair_load, 0);
  if (!atomic_exchange (&store->room.contended, false)
      || !room_waited_for (store))
    return false;
  room_tell_waiters (store);
  return true;
}
