/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <time.h>

#include "policy/pass.h"
#include "policy/relief.h"
#include "store/demote.h"
#include "store/room.h"

/* Bytes that leave when writers wait although the pool is not above its mark:
 * the tier that they need is at its own limit.
 */
#define TIER_RELIEF (8 * EXTENT_BYTES)

/* What writing back a page takes, in nanoseconds, of so many since START. */
static uint64_t
pace_since (const struct timespec *start, uint64_t pages)
{
  struct timespec end;

  clock_gettime (CLOCK_MONOTONIC, &end);
  return (uint64_t) ((end.tv_sec - start->tv_sec) * INT64_C (1000000000)
                     + end.tv_nsec - start->tv_nsec)
             / pages
         + 1;
}

/* First from cgroups that hold their share of the pool at least: what fills it
 * does not push out what others have.  Only if there is nothing, from all.
 */
static void
run_fair_pass (struct writeback *w, struct pass *pass)
{
  struct store_cgroup_set above;
  struct pass fair = *pass;

  if (store_cgroups_above_share (w->store, &above)) {
    fair.pick.cgroups = &above;
    pass_run (w, &fair);
    if (fair.progress > 0 || pass_enough (w, &fair)) {
      *pass = fair;
      pass->pick.cgroups = NULL;
      return;
    }
  }
  pass_run (w, pass);
}

bool
relief_pool (struct writeback *w)
{
  uint64_t limit = store_pool_limit (w->store);
  uint64_t high = limit / 100 * atomic_load (&w->high);
  uint64_t low = limit / 100 * atomic_load (&w->low);
  uint64_t asked = room_asked (w->store);
  struct pass pass = pass_for (0);
  uint64_t used = store_memory_used (w->store);
  uint64_t pages = w->own.pages;
  struct timespec start;

  pass.seal = room_waited_for (w->store);
  if (!pass.seal && used <= high) {
    room_set_pace (w->store, high, 0);
    return false;
  }
  clock_gettime (CLOCK_MONOTONIC, &start);
  pass.down_to = low;
  if (used <= low)
    pass.down_to = used > TIER_RELIEF ? used - TIER_RELIEF : 1;
  pass.most = TURN;
  run_fair_pass (w, &pass);
  if (pass.progress == 0) {
    writeback_collect_all (w);
    if (room_acquit (w->store))
      return true;
    /* What is late may yet end, or fail and go elsewhere. */
    if (mover_in_flight (w->mover) > 0)
      return false;
    room_in_vain (w->store, asked);
    room_set_pace (w->store, high, 0);
    return false;
  }
  room_judge (w->store);
  pages = w->own.pages - pages;
  if (pages > 0)
    room_set_pace (w->store, high, pace_since (&start, pages));
  return true;
}

/* Segments that are being filled may come on top of a cap. */
#define CAP_OPEN (2 * EXTENT_BYTES)

/* More is in memory under a cap than it allows: that, and nothing else. */
static bool
relieve_cap (struct writeback *w, uint32_t cap)
{
  uint64_t limit = store_cap_limit (w->store, cap);
  uint64_t pages = w->own.pages;
  struct store_cgroup_set under;
  struct pass pass = pass_for (0);
  struct timespec start;

  store_cgroups_under (w->store, cap, &under);
  pass.pick.cgroups = &under;
  pass.cap = cap;
  pass.down_to = limit - limit / 8;
  pass.most = TURN;
  pass.seal = store_cap_used (w->store, cap) > limit + CAP_OPEN;
  clock_gettime (CLOCK_MONOTONIC, &start);
  pass_run (w, &pass);
  if (pass.progress == 0) {
    if (!pass_enough (w, &pass))
      room_set_cap_pace (w->store, cap, 0);
    return false;
  }
  pages = w->own.pages - pages;
  if (pages > 0)
    room_set_cap_pace (w->store, cap, pace_since (&start, pages));
  return true;
}

bool
relief_caps (struct writeback *w)
{
  bool did = false;

  store_count_caps (w->store);
  for (uint32_t cap = 0; (cap = store_caps_above (w->store, cap)) != 0;)
    did |= relieve_cap (w, cap);
  return did;
}

bool
relief_write_aged (struct writeback *w)
{
  unsigned age = atomic_load (&w->age);
  struct pass pass = pass_for (age);

  if (age == 0 || w->merging)
    return false;
  pass.most = TURN;
  pass.seal = true;
  pass_run (w, &pass);
  return pass.progress > 0;
}

bool
relief_demote (struct writeback *w)
{
  bool did = false;

  for (unsigned tier = 0; tier < STORE_TIERS; ++tier) {
    unsigned age = atomic_load (&w->demote_ages[tier]);
    struct pass pass = pass_for (age);

    if (age == 0 || !store_has_tier (w->store, tier))
      continue;
    pass.pick.tier = tier;
    pass.pick.classes = (1u << STORE_CLASSES) - 1;
    pass.pick.untried = true;
    /* First, so that what stays young does not come to what is old. */
    pass_seal (w, &pass);
    for (unsigned n = 0; n < TURN; ++n) {
      uint32_t segment = pick_coldest (w->store, &pass.pick);
      int64_t pages;

      if (segment == PICK_NONE)
        break;
      pages = demote_segment (w->store, segment);
      if (pages < 0)
        break;
      atomic_fetch_add (&w->pages_demoted, (uint64_t) pages);
      did = true;
    }
  }
  return did;
}
