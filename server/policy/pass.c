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

static void
count_own (struct writeback *w, const struct moved *moved)
{
  bool commanded = moved->tag == w->command_tag;

  writeback_count (w, moved);
  if (moved->to_memory)
    return;
  if (moved->error) {
    if (commanded && (moved->error == ETIMEDOUT || moved->error == ENODEV))
      w->command_avoids |= 1u << moved->backing;
    return;
  }
  w->own.segments++;
  w->own.pages += moved->pages;
  w->own.bytes += moved->bytes;
  if (!commanded)
    return;
  w->command_avoids &= ~(1u << moved->backing);
  w->commanded.segments++;
  w->commanded.pages += moved->pages;
  w->commanded.bytes += moved->bytes;
}

unsigned
writeback_late (struct writeback *w)
{
  unsigned late = mover_late (w->mover);

  if (atomic_load_explicit (&w->late, memory_order_relaxed) != late)
    atomic_store (&w->late, late);
  return late;
}

void
writeback_collect_ended (struct writeback *w)
{
  struct moved moved;

  while (mover_wait_for (w->mover, &moved, 0))
    count_own (w, &moved);
}

bool
writeback_take (struct writeback *w, struct moved *moved)
{
  uint64_t wait;

  do {
    /* When all are late, what of them has ended after all. */
    wait = mover_late_in (w->mover);
    if (mover_wait_for (w->mover, moved, wait)) {
      count_own (w, moved);
      return true;
    }
  } while (wait > 0);
  return false;
}

bool
writeback_collect (struct writeback *w)
{
  struct moved moved;

  return writeback_take (w, &moved);
}

void
writeback_collect_all (struct writeback *w)
{
  while (writeback_collect (w))
    ;
}

void
writeback_collect_late (struct writeback *w)
{
  struct moved moved;

  while (mover_wait (w->mover, &moved))
    count_own (w, &moved);
}

/* A page is looked at when it is packed and when it is written, and may be
 * spared because it was read; but not for ever.
 */
#define LOOKS_MOST 4

static bool
pages_enough (struct writeback *w, const struct pass *pass)
{
  return w->commanded.pages + mover_pages_in_flight (w->mover, w->command_tag)
             >= pass->most_pages
         || pass->pages_looked >= LOOKS_MOST * pass->most_pages;
}

/* Bytes of memory that are free as soon as what is in flight has ended, but for
 * what is late.
 */
static uint64_t
bytes_leaving (struct writeback *w)
{
  unsigned late = writeback_late (w), moves = 0;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (!(late & 1u << i))
      moves += mover_in_flight_on (w->mover, i);
  return (uint64_t) moves * EXTENT_BYTES;
}

bool
pass_enough (struct writeback *w, const struct pass *pass)
{
  uint64_t used;

  if ((pass->max && pass->started >= pass->max)
      || (pass->most_pages && pages_enough (w, pass)))
    return true;
  if (!pass->down_to)
    return false;
  used = pass->cap ? store_cap_used (w->store, pass->cap)
                   : store_memory_used (w->store);
  return used <= pass->down_to + bytes_leaving (w);
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

/* A bit for each backing that has its share in flight. */
static unsigned
at_work (struct writeback *w)
{
  unsigned full = 0;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (mover_in_flight_on (w->mover, i) >= MOVER_SHARE)
      full |= 1u << i;
  return full;
}

/* The backing that a segment of CLASS is written to, but for those of EXCEPT:
 * one that is late only if no other takes it, and no more than its share.  One
 * that is not has perhaps to be waited for.  -1 with errno ENOSPC if none takes
 * it, or ETIMEDOUT if those that would are late.
 */
static int
choose (struct writeback *w, unsigned class, unsigned except)
{
  unsigned late = writeback_late (w);
  int backing;

  if (w->commanding)
    except |= w->command_avoids;
  backing = backings_choose (w->backings, class, false, except | late);
  if (backing == -1 && late)
    backing = backings_choose (w->backings, class, false,
                               except | (late & at_work (w)));
  if (backing == -1 && late
      && backings_choose (w->backings, class, false, except) >= 0)
    errno = ETIMEDOUT;
  return backing;
}

/* The same, and it has not its share in flight any more. */
static int
choose_free (struct writeback *w, unsigned class, unsigned except)
{
  int backing;

  for (;;) {
    backing = choose (w, class, except);
    if (backing == -1
        || mover_in_flight_on (w->mover, (unsigned) backing) < MOVER_SHARE)
      return backing;
    /* It ends something, or is late. */
    writeback_collect (w);
  }
}

/* Nothing of this class can be written now, as errno says.  That it may be
 * later weighs more than that others cannot.
 */
static void
leave_out (struct pass *pass, unsigned class)
{
  if (pass->error != ETIMEDOUT)
    pass->error = errno;
  pass->pick.classes &= ~(1u << class);
}

/* Start to write a claimed segment to the backing that its class asks for.  If
 * none takes it, or the day's limit does not allow it, the claim ends.
 */
static void
write_out (struct writeback *w, struct pass *pass, uint32_t segment)
{
  unsigned class = mover_class (w->store, segment), except = 0;
  uint64_t bytes = mover_bytes (w->store, segment);
  int backing;

  /* What is in flight may fail, and then does not count. */
  while (!writeback_limit_allows (w, bytes) && writeback_collect (w))
    ;
  if (!writeback_limit_allows (w, bytes)) {
    mover_unclaim (w->store, segment);
    pass->error = EDQUOT;
    return;
  }
  for (unsigned tries = 0; tries < FREEING_TRIES; ++tries) {
    backing = choose_free (w, class, except);
    if (backing >= 0
        && writeback_start_write (w, w->mover, segment, backing) == 0) {
      pass->started += bytes;
      pass->progress++;
      return;
    }
    if (backing == -1 && except == 0)
      break;
    /* It filled up or failed just now, or what is free there is still being
     * punched out: another one, or the same in a moment.
     */
    if (except != 0)
      nanosleep (&(struct timespec){ 0, 1000000 }, NULL);
    except = backing >= 0 ? 1u << backing : 0;
  }
  if (errno != ETIMEDOUT)
    errno = ENOSPC;
  leave_out (pass, class);
  mover_unclaim (w->store, segment);
}

/* A segment was picked: write it as it is, or pack what is cold of it. */
static void
handle (struct writeback *w, struct pass *pass, uint32_t segment)
{
  unsigned class = mover_class (w->store, segment);

  if (choose (w, class, 0) == -1) {
    leave_out (pass, class);
    mover_unclaim (w->store, segment);
    return;
  }
  pass->pages_looked += mover_pages (w->store, segment);
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
  /* What is too short stays as old as it is: look at each only once, also when
   * it is run again.
   */
  if (pass->least && pass->pick.bound == 0)
    pass->pick.bound = pick_bound (w->store);
  while (!atomic_load (&w->stop) && pass->pick.classes != 0
         && !(pass->cancel && atomic_load (pass->cancel))) {
    /* Or what has ended long ago looked late. */
    writeback_collect_ended (w);
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
      handle (w, pass, segment);
      continue;
    }
    if (pass->most && looked >= pass->most && !pass->least)
      break;
    /* What is being written may fail and come back. */
    if (writeback_collect (w))
      continue;
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
