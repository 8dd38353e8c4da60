/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "policy/pass.h"

/* Milliseconds that writing back waits for extents that are being freed. */
#define FREEING_TRIES 500

time_t
pass_seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

uint64_t
writeback_limit_left (struct writeback *w)
{
  uint64_t limit = atomic_load (&w->limit), spent = atomic_load (&w->spent);

  if (limit == 0)
    return UINT64_MAX;
  return limit > spent ? limit - spent : 0;
}

bool
writeback_limit_allows (struct writeback *w, uint64_t bytes)
{
  uint64_t left = writeback_limit_left (w);

  uint64_t writing = atomic_load (&w->writing);

  return left >= writing && left - writing >= bytes;
}

void
writeback_count (struct writeback *w, const struct moved *moved)
{
  if (moved->to_memory)
    return;
  atomic_fetch_sub (&w->writing, moved->bytes);
  if (moved->error)
    return;
  atomic_fetch_add (&w->segments, 1);
  atomic_fetch_add (&w->pages, moved->pages);
  atomic_fetch_add (&w->bytes, moved->bytes);
  atomic_fetch_add (&w->spent, moved->bytes);
}

bool
writeback_collect (struct writeback *w)
{
  struct moved moved;

  if (!mover_wait (w->mover, &moved))
    return false;
  writeback_count (w, &moved);
  if (!moved.to_memory && !moved.error) {
    w->own.segments++;
    w->own.pages += moved.pages;
    w->own.bytes += moved.bytes;
  }
  return true;
}

void
writeback_collect_all (struct writeback *w)
{
  while (writeback_collect (w))
    ;
}

/* A page is looked at when it is packed and when it is written, and may be
 * spared because it was read; but not for ever.
 */
#define LOOKS_MOST 4

static bool
pages_enough (struct writeback *w, const struct pass *pass)
{
  uint64_t pages = w->own.pages - pass->pages_before;

  return pages + mover_pages_in_flight (w->mover) >= pass->most_pages
         || pass->pages_looked >= LOOKS_MOST * pass->most_pages;
}

bool
pass_enough (struct writeback *w, const struct pass *pass)
{
  uint64_t in_flight = (uint64_t) mover_in_flight (w->mover) * EXTENT_BYTES;
  uint64_t used;

  if ((pass->max && pass->started >= pass->max)
      || (pass->most_pages && pages_enough (w, pass)))
    return true;
  if (!pass->down_to)
    return false;
  used = pass->cap ? store_cap_used (w->store, pass->cap)
                   : store_memory_used (w->store);
  return used <= pass->down_to + in_flight;
}

int
writeback_start_write (struct writeback *w, struct mover *mover,
                       uint32_t segment, int backing)
{
  if (mover_write (mover, segment, (unsigned) backing) == -1)
    return -1;
  atomic_fetch_add (&w->writing, mover_bytes (w->store, segment));
  return 0;
}

/* Start to write a claimed segment to the backing that its class asks for.  -1
 * with errno ENOSPC if none takes it, or EDQUOT if the day's limit does not
 * allow it; the claim has ended then.
 */
static int
write_out (struct writeback *w, struct pass *pass, uint32_t segment)
{
  unsigned class = mover_class (w->store, segment);
  uint64_t bytes = mover_bytes (w->store, segment);
  int except = -1, backing;

  /* What is in flight may fail, and then does not count. */
  while (
      mover_in_flight (w->mover) == MOVER_DEPTH
      || (mover_in_flight (w->mover) > 0 && !writeback_limit_allows (w, bytes)))
    writeback_collect (w);
  if (!writeback_limit_allows (w, bytes)) {
    mover_unclaim (w->store, segment);
    pass->error = errno = EDQUOT;
    return -1;
  }
  for (unsigned tries = 0; tries < FREEING_TRIES; ++tries) {
    backing = backings_choose (w->backings, class, false, except);
    if (backing >= 0
        && writeback_start_write (w, w->mover, segment, backing) == 0) {
      pass->started += bytes;
      pass->progress++;
      return 0;
    }
    if (backing == -1 && except == -1)
      break;
    /* It filled up or failed just now, or what is free there is still being
     * punched out: another one, or the same in a moment.
     */
    if (except != -1)
      nanosleep (&(struct timespec){ 0, 1000000 }, NULL);
    except = backing;
  }
  mover_unclaim (w->store, segment);
  pass->pick.classes &= ~(1u << class);
  pass->error = errno = ENOSPC;
  return -1;
}

/* A segment was picked: write it as it is, or pack what is cold of it. */
static void
handle (struct writeback *w, struct pass *pass, uint32_t segment)
{
  if (backings_choose (w->backings, mover_class (w->store, segment), false, -1)
      == -1) {
    pass->pick.classes &= ~(1u << mover_class (w->store, segment));
    pass->error = ENOSPC;
    mover_unclaim (w->store, segment);
    return;
  }
  if (mover_is_packed (w->store, segment, pass->least)) {
    write_out (w, pass, segment);
    return;
  }
  if (mover_pack (w->store, segment, pass->least) == 0) {
    pass->progress++;
    return;
  }
  /* No frame to pack into: rather write it with what is dead in it. */
  if (mover_claim (w->store, segment))
    write_out (w, pass, segment);
}

/* The next segment of a pass, PICK_NONE if there is none, or if all that a
 * bounded pass looks at were looked at.
 */
static uint32_t
next_segment (struct writeback *w, const struct pass *pass, unsigned looked)
{
  if (pass->most && looked >= pass->most && !pass->pick.packed)
    return PICK_NONE;
  return pick_coldest (w->store, &pass->pick);
}

void
pass_seal (struct writeback *w, const struct pass *pass)
{
  struct pick pick = pass->pick;

  pick.unpacked = true;
  pick_seal (w->store, &pick);
}

void
pass_run (struct writeback *w, struct pass *pass)
{
  unsigned looked = 0;
  bool sealed = pass->seal && (pass->least || pass->pick.before != UINT32_MAX);
  uint32_t segment;

  /* What stays since it was read is not to come to what is old and open. */
  if (sealed)
    pass_seal (w, pass);
  /* What is too short stays as old as it is: look at each only once. */
  if (pass->least)
    pass->pick.bound = pick_bound (w->store);
  while (!atomic_load (&w->stop) && pass->pick.classes != 0
         && !(pass->cancel && atomic_load (pass->cancel))) {
    if (pass_enough (w, pass)) {
      pass->error = 0;
      break;
    }
    if (!writeback_limit_allows (w, 1))
      pass->error = EDQUOT;
    if (pass->error == EDQUOT)
      break;
    segment = next_segment (w, pass, looked);
    if (segment != PICK_NONE) {
      looked++;
      pass->pages_looked += mover_pages (w->store, segment);
      handle (w, pass, segment);
      continue;
    }
    if (pass->most && looked >= pass->most && !pass->least)
      break;
    /* What is being written may fail and come back. */
    if (mover_in_flight (w->mover) > 0) {
      writeback_collect (w);
      continue;
    }
    /* Then the open ones, and at last what was packed of them. */
    if (!pass->seal || (sealed && pass->pick.packed))
      break;
    pass->pick.packed = sealed;
    sealed = true;
    pick_seal (w->store, &pass->pick);
  }
}

/* All classes that are ever written back. */
#define WRITTEN_CLASSES ((1u << STORE_CLASSES) - 2)

struct pass
pass_for (uint32_t age)
{
  uint32_t now = (uint32_t) pass_seconds ();

  return (struct pass){
    .pick = { .tier = PICK_ANY,
              .cgroup = PICK_ANY,
              .classes = WRITTEN_CLASSES,
              .before = age == 0    ? UINT32_MAX
                        : now > age ? now - age
                                    : 0 },
  };
}
