/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

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

/* The nearer the pool is to its limit, the longer: at the limit a page costs
 * twice the time that writing one back takes, half way there a quarter of
 * that.
 */
void
room_throttle (struct store *store, uint64_t count)
{
  struct room_wait *room = &store->room;
  uint64_t page
      = atomic_load_explicit (&room->page_nanoseconds, memory_order_relaxed);
  uint64_t start
      = atomic_load_explicit (&room->throttle_from, memory_order_relaxed);
  uint64_t limit, used, wait;
  double share;

  if (page == 0)
    return;
  used = store_memory_used (store);
  limit = atomic_load_explicit (&store->pool_limit, memory_order_relaxed);
  if (used <= start || start >= limit)
    return;
  share = (double) (used - start) / (double) (limit - start);
  if (share > 1)
    share = 1;
  wait = (uint64_t) (2 * share * share * (double) (page * count));
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
  return atomic_load (&store->room.waiters) > 0;
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
