/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "store/group.h"

_Static_assert(STORE_GROUP == GROUP_PAGES, "what may be asked for fits");
_Static_assert(GROUP_PAGES *(PAGE_BYTES - LEAST_SAVING) <= OBJECT_LENGTH_MOST,
               "a group's length fits");

static const unsigned char *
page_in (const struct worker *worker, const struct object *object,
         uint64_t slot)
{
  return worker->group.pages + object_page_of (object, slot) * PAGE_BYTES;
}

const void *
group_page (struct worker *worker, enum codec_kind kind,
            const struct object *object, uint64_t slot, slot_word word)
{
  const unsigned char *data;
  uint32_t length;

  /* Memory is trusted, but not with a length that leads out of the segment: a
   * word that came back from a backing may not be of what stands there.
   */
  if (!word_is_of (word, slot, object) || object_length (object) < 2) {
    errno = EIO;
    return NULL;
  }
  word &= ~SLOT_REFERENCED;
  if (worker->group.word != word) {
    group_forget (worker);
    data = object_data (object, &length);
    if (codec_decompress_group (worker->codec, kind, data, length,
                                worker->group.pages, slot_pages (word))
        == -1)
      return NULL;
    worker->group.word = word;
  }
  return page_in (worker, object, slot);
}

void
group_keep (struct worker *worker, uint32_t segment)
{
  if (worker->group.pinned)
    segment_unpin (worker->store, segment);
  else
    worker->group.pinned = segment + 1;
}

void
group_forget (struct worker *worker)
{
  uint32_t pinned = worker->group.pinned;

  worker->group.word = 0;
  worker->group.pinned = 0;
  if (pinned)
    segment_unpin (worker->store, pinned - 1);
}

bool
group_make (struct worker *worker, unsigned number, struct append *list,
            unsigned count, const unsigned char *pages, unsigned char *room,
            uint32_t most)
{
  struct tier *tier = &worker->store->tiers[number];
  struct codec codec
      = { tier->kind,
          atomic_load_explicit (&tier->level, memory_order_relaxed) };
  struct object *object = (struct object *) room;
  uint32_t capacity = count * (PAGE_BYTES - LEAST_SAVING), length;

  if (capacity > most - 1)
    capacity = most - 1;
  if (capacity < 2)
    return false;
  length = (uint32_t) codec_compress_group (worker->codec, number, codec, pages,
                                            count, object->bytes + 1,
                                            capacity - 1);
  if (length == 0)
    return false;

  length++;
  object->slot = group_first (list[0].slot);
  object->size = object_size (length, count);
  object->bytes[0] = 0;
  for (unsigned i = 0; i < count; ++i) {
    object->bytes[0] |= (unsigned char) group_bit (list[i].slot);
    list[i].object = object;
    list[i].stamp = 0;
  }
  object->checksum = object_checksum (object->slot, object->bytes, length);
  if (!atomic_load_explicit (&tier->grouped, memory_order_relaxed))
    atomic_store (&tier->grouped, true);
  return true;
}

bool
group_gather (struct worker *worker, const struct segment *segment,
              const struct append *list, unsigned count)
{
  /* What was read before may be of a segment that is another one by now. */
  group_forget (worker);
  if (!worker_may_remake (worker, &list[0])
      || !group_page (worker, segment->codec, list[0].object, list[0].slot,
                      list[0].expected))
    return false;
  worker->group.word = 0;
  for (unsigned i = 0; i < count; ++i)
    memmove (worker->group.pages + i * PAGE_BYTES,
             page_in (worker, list[0].object, list[i].slot), PAGE_BYTES);
  return true;
}

bool
group_remake (struct worker *worker, const struct segment *segment,
              struct append *list, unsigned count)
{
  const struct object *old = list[0].object;
  unsigned tier = owner_tier (atomic_load (&segment->owner));
  unsigned most = atomic_load_explicit (&worker->store->tiers[tier].group,
                                        memory_order_relaxed);
  unsigned char *pages = worker->group.pages;
  bool together;

  if (!group_gather (worker, segment, list, count))
    return false;
  together = count > 1 && count <= most && worker->groups
             && group_make (worker, tier, list, count, pages, worker->remade,
                            object_length (old));
  for (unsigned i = 0; i < count && !together; ++i) {
    unsigned char *room = worker->remade + i * OBJECT_ROOM;

    worker_make_object (worker, tier, list[i].slot, pages + i * PAGE_BYTES,
                        room);
    list[i].object = (struct object *) room;
    list[i].stamp = 0;
  }
  return true;
}
