/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/cleaner.h"
#include "store/group.h"
#include "store/room.h"
#include "store/walk.h"

/* Shares of dead space in sealed segments, in 1/1024 of their size.  While
 * pages are being written the cleaner starts at START; writers help above
 * BEHIND; when nothing is written, or the pool is near its limit, it goes on
 * down to REST.
 */
#define DEAD_START 72
#define DEAD_BEHIND 96
#define DEAD_REST 14

#define VICTIMS 1024
#define BUCKETS 128
#define BUCKET_UNITS (SEGMENT_UNITS / BUCKETS)
#define IDLE_MILLISECONDS 200

int
cleaner_create (struct store *store)
{
  pthread_mutex_init (&store->cleaner.lock, NULL);
  pthread_mutex_init (&store->cleaner.round, NULL);
  store->cleaner.victims = calloc (VICTIMS, sizeof *store->cleaner.victims);
  return store->cleaner.victims ? 0 : -1;
}

void
cleaner_free (struct store *store)
{
  free (store->cleaner.victims);
  pthread_mutex_destroy (&store->cleaner.lock);
  pthread_mutex_destroy (&store->cleaner.round);
}

/* The segment in FRAME and its control word; SEGMENT_NONE if none is sealed
 * there.
 */
static uint32_t
segment_in_frame (struct store *store, uint32_t frame, uint64_t *control)
{
  uint32_t number = atomic_load_explicit (&store->arena.segments[frame],
                                          memory_order_relaxed);

  if (number == 0)
    return SEGMENT_NONE;
  *control = atomic_load_explicit (&store_segment (store, number - 1)->control,
                                   memory_order_relaxed);
  return control_state (*control) == SEGMENT_SEALED ? number - 1 : SEGMENT_NONE;
}

/* Dead space in 1/1024 of the sealed segments, as far as is known. */
static uint64_t
dead_share (struct store *store)
{
  int64_t dead = (int64_t) atomic_load_explicit (&store->cleaner.dead_units,
                                                 memory_order_relaxed);
  uint64_t used
      = atomic_load_explicit (&store->cleaner.used_units, memory_order_relaxed);

  return used && dead > 0 ? (uint64_t) dead * 1024 / used : 0;
}

static void
judge (struct store *store)
{
  bool behind = dead_share (store) > DEAD_BEHIND;

  if (atomic_load_explicit (&store->cleaner.behind, memory_order_relaxed)
      != behind)
    atomic_store (&store->cleaner.behind, behind);
}

/* Look at all segments in memory: how much is dead, and which are the
 * emptiest.  Under the cleaner's lock.
 */
static void
scan (struct store *store)
{
  struct cleaner *cleaner = &store->cleaner;
  uint32_t histogram[BUCKETS + 1] = { 0 };
  uint32_t next[BUCKETS + 1], end[BUCKETS + 1];
  uint32_t frames = arena_high_water (&store->arena), number, bucket;
  uint64_t control, dead = 0, used = 0;
  uint32_t total = 0, cutoff;

  atomic_store (&cleaner->scanned_at, atomic_load (&store->opened));
  for (uint32_t frame = 0; frame < frames; ++frame) {
    number = segment_in_frame (store, frame, &control);
    if (number == SEGMENT_NONE)
      continue;
    used += SEGMENT_UNITS;
    dead += SEGMENT_UNITS - control_live (control);
    if (control_claimable (control))
      histogram[control_live (control) / BUCKET_UNITS]++;
  }
  atomic_store_explicit (&cleaner->dead_units, dead, memory_order_relaxed);
  atomic_store_explicit (&cleaner->used_units, used, memory_order_relaxed);
  judge (store);

  for (cutoff = 0; cutoff <= BUCKETS; ++cutoff) {
    if (total + histogram[cutoff] > VICTIMS)
      break;
    next[cutoff] = total;
    total += histogram[cutoff];
    end[cutoff] = total;
  }
  if (cutoff == 0) {
    /* More than fit are all but empty: any of them will do. */
    next[0] = 0;
    cutoff = 1;
    total = end[0] = VICTIMS;
  }
  cleaner->victims_next = 0;
  cleaner->victims_count = total;
  for (uint32_t i = 0; i < total; ++i)
    cleaner->victims[i] = SEGMENT_NONE;

  for (uint32_t frame = 0; frame < frames; ++frame) {
    number = segment_in_frame (store, frame, &control);
    if (number == SEGMENT_NONE || !control_claimable (control))
      continue;
    bucket = control_live (control) / BUCKET_UNITS;
    /* Live counts have moved on since they were counted: a bucket may be
     * fuller now, and what does not fit is left for the next time.
     */
    if (bucket < cutoff && next[bucket] < end[bucket])
      cleaner->victims[next[bucket]++] = number;
  }
}

static bool
claim (struct store *store, uint32_t number, uint32_t dead_units)
{
  uint64_t control = atomic_load (&store_segment (store, number)->control);

  return SEGMENT_UNITS - control_live (control) >= dead_units
         && segment_claim_in_memory (store, number);
}

/* Claim the emptiest segment of what was found by the last scan. */
static uint32_t
take_found (struct store *store, uint32_t tier, uint32_t dead_units)
{
  struct cleaner *cleaner = &store->cleaner;
  bool passed = false;

  for (uint32_t i = cleaner->victims_next; i < cleaner->victims_count; ++i) {
    uint32_t number = cleaner->victims[i];

    if (number != SEGMENT_NONE && tier != ANY_TIER
        && owner_tier (atomic_load (&store_segment (store, number)->owner))
               != tier) {
      passed = true;
      continue;
    }
    cleaner->victims[i] = SEGMENT_NONE;
    if (!passed)
      cleaner->victims_next = i + 1;
    if (number != SEGMENT_NONE && claim (store, number, dead_units))
      return number;
  }
  return SEGMENT_NONE;
}

static uint32_t
take_victim (struct store *store, uint32_t tier, uint32_t dead_units)
{
  uint32_t number;

  pthread_mutex_lock (&store->cleaner.lock);
  number = take_found (store, tier, dead_units);
  if (number == SEGMENT_NONE) {
    scan (store);
    number = take_found (store, tier, dead_units);
  }
  pthread_mutex_unlock (&store->cleaner.lock);
  return number;
}

static uint64_t
bytes_of (const struct append *list, unsigned count)
{
  uint64_t bytes = 0;

  for (unsigned i = 0; i < count; i = append_next (list, count, i))
    bytes += OBJECT_HEADER + object_length (list[i].object);
  return bytes;
}

/* What becomes of an object. */
enum fate {
  FATE_GOES,  /* to the survivors, or to what is packed for writeback */
  FATE_STAYS, /* in memory, as old as it is */
  FATE_YOUNG, /* in memory, since it was read */
  FATES
};

/* That of an object when others are packed for writeback.  A group stays for
 * each of its pages.
 */
static enum fate
fate_of (const struct append *list, unsigned count,
         const struct outgoing *outgoing)
{
  if (!outgoing)
    return FATE_GOES;
  if (object_share (list[0].object) < outgoing->least)
    return FATE_STAYS;
  for (unsigned i = 0; i < count; ++i)
    if (list[i].expected & SLOT_REFERENCED)
      return FATE_YOUNG;
  return FATE_GOES;
}

/* Move the live pages of one object.  A group that has lost some is made anew,
 * or what they take would stay taken.
 */
static int
move_partial (struct walk *walk, const struct append_target *target,
              struct append *list, unsigned count)
{
  struct worker *worker = worker_get (walk->store);

  if (!worker)
    return -1;
  /* One that cannot be read (the memory is bad) is copied as it is. */
  group_remake (worker, store_segment (walk->store, walk->segment), list,
                count);
  return walk_move (walk, target, list, count);
}

int
cleaner_empty (struct store *store, uint32_t number,
               const struct outgoing *outgoing)
{
  struct segment *segment = store_segment (store, number);
  struct walk walk = walk_start (store, number);
  struct append_target targets[FATES] = {
    [FATE_GOES] = outgoing ? walk_target (store, segment, STREAM_OUTGOING)
                           : walk_target_staying (store, segment),
    [FATE_STAYS] = walk_target_staying (store, segment),
    [FATE_YOUNG] = walk_target_young (store, segment),
  };
  struct append live[WALK_OBJECTS], lists[FATES][WALK_OBJECTS];
  unsigned count;
  uint64_t bytes = 0;
  int r = 0;

  /* Younger than all that was written until now, so that whoever looks for
   * those finds each page once.
   */
  targets[FATE_YOUNG].time++;
  while (r == 0 && (count = walk_next (&walk, live)) > 0) {
    unsigned counts[FATES] = { 0 };

    bytes += bytes_of (live, count);
    for (unsigned i = 0, next; i < count && r == 0; i = next) {
      unsigned pages;
      enum fate fate;

      next = append_next (live, count, i);
      pages = next - i;
      fate = fate_of (live + i, pages, outgoing);
      if (pages < object_pages (live[i].object)) {
        r = move_partial (&walk, &targets[fate], live + i, pages);
        continue;
      }
      memcpy (lists[fate] + counts[fate], live + i, pages * sizeof *live);
      counts[fate] += pages;
    }
    for (enum fate fate = 0; fate < FATES && r == 0; ++fate)
      r = walk_move (&walk, &targets[fate], lists[fate], counts[fate]);
  }
  if (r == -1)
    segment_drop (store, number, CONTROL_BUSY);
  else if (!damage_end_claim (store, number))
    r = -1;
  atomic_fetch_add_explicit (&store->cleaner.bytes_copied, bytes,
                             memory_order_relaxed);
  if (r == 0)
    atomic_fetch_add_explicit (&store->cleaner.segments_cleaned, 1,
                               memory_order_relaxed);
  return r;
}

static uint64_t
thread_nanoseconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * UINT64_C (1000000000) + now.tv_nsec;
}

int
cleaner_clean_one (struct store *store, uint32_t tier, uint32_t dead_units)
{
  uint64_t before = thread_nanoseconds ();
  uint32_t number = take_victim (store, tier, dead_units), freed;
  int r;

  if (number == SEGMENT_NONE)
    return 0;
  freed
      = SEGMENT_UNITS
        - control_live (atomic_load (&store_segment (store, number)->control));
  r = cleaner_empty (store, number, NULL);
  atomic_fetch_add_explicit (&store->cleaner.nanoseconds,
                             thread_nanoseconds () - before,
                             memory_order_relaxed);
  if (r == -1)
    return -1;
  atomic_fetch_sub_explicit (&store->cleaner.dead_units, freed,
                             memory_order_relaxed);
  judge (store);
  return freed > 0 ? (int) freed : 1;
}

/* So many segments may be opened before it is worth looking again. */
static uint64_t
scan_interval (struct store *store)
{
  return atomic_load_explicit (&store->frames, memory_order_relaxed) / 128 + 1;
}

static uint64_t
opened_since_scan (struct store *store)
{
  return atomic_load_explicit (&store->opened, memory_order_relaxed)
         - atomic_load_explicit (&store->cleaner.scanned_at,
                                 memory_order_relaxed);
}

static void
scan_now (struct store *store)
{
  pthread_mutex_lock (&store->cleaner.lock);
  scan (store);
  pthread_mutex_unlock (&store->cleaner.lock);
}

void
cleaner_pace (struct store *store, uint64_t opened_before)
{
  struct cleaner *cleaner = &store->cleaner;
  int to_free = SEGMENT_UNITS, freed;
  uint64_t since;

  if (atomic_load_explicit (&store->opened, memory_order_relaxed)
      == opened_before)
    return;
  since = opened_since_scan (store);
  if (since >= scan_interval (store))
    wake_ring (&cleaner->wake);
  room_watch (store);
  /* The cleaner does not get to run: see for ourselves where we are. */
  if (since >= 2 * scan_interval (store))
    scan_now (store);

  /* One segment's worth was written: free as much. */
  while (to_free > 0
         && atomic_load_explicit (&cleaner->behind, memory_order_relaxed)) {
    freed = cleaner_clean_one (store, ANY_TIER,
                               SEGMENT_UNITS / 1024 * DEAD_START);
    if (freed <= 0)
      break;
    to_free -= freed;
  }
}

static bool
near_limit (struct store *store)
{
  return store_memory_used (store)
         >= atomic_load_explicit (&store->pool_limit, memory_order_relaxed) / 8
                * 7;
}

/* One round: look, then clean as long as it is worth it. */
static void
round_once (struct store *store, bool idle)
{
  bool rest = idle || near_limit (store);
  uint64_t goal = rest ? DEAD_REST : DEAD_START;
  uint32_t worth = rest ? CLEANER_WORTH / 2 : SEGMENT_UNITS / 1024 * goal;

  pthread_mutex_lock (&store->cleaner.round);
  damage_look (store, false);
  scan_now (store);
  while (dead_share (store) > goal && !atomic_load (&store->stop)) {
    if (cleaner_clean_one (store, ANY_TIER, worth) <= 0)
      break;
    if (opened_since_scan (store) >= scan_interval (store))
      scan_now (store);
  }
  pthread_mutex_unlock (&store->cleaner.round);
}

void *
cleaner_run (void *data)
{
  struct store *store = data;
  struct worker *worker = worker_get (store);
  uint64_t opened = 0, now;
  bool rested = false;
  const struct sched_param normal = { 0 };

  /* Where those who serve are real-time threads, it is not one of them. */
  pthread_setschedparam (pthread_self (), SCHED_OTHER, &normal);
  /* No request waits for it. */
  if (worker)
    worker->groups = true;
  while (!atomic_load (&store->stop)) {
    /* Once at rest, only a change wakes it. */
    rested = rested && !damage_waits (store);
    if (rested)
      atomic_store (&store->cleaner.asleep, true);
    wake_wait (&store->cleaner.wake, rested ? -1 : IDLE_MILLISECONDS);
    now = atomic_load (&store->opened);
    rested = now == opened;
    opened = now;
    round_once (store, rested);
  }
  return NULL;
}
