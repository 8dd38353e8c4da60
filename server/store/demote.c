/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "store/demote.h"
#include "store/walk.h"
#include "store/worker.h"

/* Make the object of the next tier in ROOM.  False if it gains nothing, or if
 * the page is damaged, which a new checksum would hide.
 */
static bool
recompress (struct worker *worker, const struct segment *segment, unsigned tier,
            const struct append *old, unsigned char *room)
{
  const struct object *object = old->object;
  const void *page = object->bytes;

  if (atomic_load_explicit (&worker->store->verify, memory_order_relaxed)
      && !object_valid (object, old->slot, object->length))
    return false;
  if (object->length != PAGE_BYTES) {
    if (codec_decompress (worker->codec, segment->codec, object->bytes,
                          object->length, worker->page)
        == -1)
      return false;
    page = worker->page;
  }
  worker_make_object (worker, tier, old->slot, page, room);
  return ((struct object *) room)->length < object->length;
}

int64_t
demote_segment (struct store *store, uint32_t number)
{
  struct segment *segment = store_segment (store, number);
  uint32_t owner = atomic_load (&segment->owner);
  uint32_t time = atomic_load_explicit (&segment->time, memory_order_relaxed);
  unsigned tier = tier_after (store, owner_tier (owner));
  struct append_target down = {
    .owner = cgroup_home (store,
                          owner_index (owner_cgroup (owner), tier % STORE_TIERS,
                                       owner_class (owner)),
                          STREAM_SURVIVORS),
    .stream = STREAM_SURVIVORS,
    .time = time,
  };
  /* What stays is young again: it was read, or demoting it is no use. */
  struct append_target stay = { .owner = owner,
                                .stream = STREAM_SURVIVORS,
                                .time = store_seconds (),
                                .cleaner = true };
  struct worker *worker = worker_get (store);
  struct walk walk = walk_start (store, number);
  struct append live[WALK_OBJECTS];
  int64_t demoted = 0;
  unsigned count;
  int r = worker && tier < STORE_TIERS ? 0 : -1;

  while (r == 0 && (count = walk_next (&walk, live)) > 0) {
    struct append staying[WALK_OBJECTS];
    unsigned stays = 0, batched = 0;

    for (unsigned i = 0; i < count && r == 0; ++i) {
      unsigned char *room = worker->room + batched * OBJECT_ROOM;

      if (live[i].expected & SLOT_REFERENCED
          || !recompress (worker, segment, tier, &live[i], room)) {
        staying[stays++] = live[i];
        continue;
      }
      worker->batch[batched] = live[i];
      worker->batch[batched++].object = (struct object *) room;
      if (batched == BATCH_PAGES) {
        r = walk_move (&walk, &down, worker->batch, batched);
        demoted += batched;
        batched = 0;
      }
    }
    if (batched && r == 0) {
      r = walk_move (&walk, &down, worker->batch, batched);
      demoted += batched;
    }
    if (stays && r == 0)
      r = walk_move (&walk, &stay, staying, stays);
  }
  segment_drop (store, number, CONTROL_BUSY);
  return r == -1 ? -1 : demoted;
}
