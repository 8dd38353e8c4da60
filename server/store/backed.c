/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "store/append.h"
#include "store/group.h"

/* Neighbouring objects are read together up to this. */
#define IO_MOST (64 * 1024)

static int
prepare (struct backed_reads *reads)
{
  if (!reads->blocks)
    reads->blocks = aligned_alloc (BACKING_ALIGNMENT, BACKED_ROOM);
  if (!reads->queue)
    reads->queue = backing_queue_create (BACKED_READS);
  return reads->blocks && reads->queue ? 0 : -1;
}

void
backed_free (struct backed_reads *reads)
{
  if (reads->queue)
    backing_queue_free (reads->queue);
  free (reads->blocks);
}

static uint64_t
block_down (uint64_t bytes)
{
  return bytes / BACKING_ALIGNMENT * BACKING_ALIGNMENT;
}

/* The requests that read all objects of the list: their number. */
static unsigned
plan (struct store *store, struct backed_reads *reads)
{
  unsigned char *room = reads->blocks;
  struct backing_io *io = NULL;
  unsigned ios = 0;

  for (unsigned i = 0; i < reads->count; ++i) {
    struct backed *one = &reads->list[i];
    uint64_t object = place_number (one->place) * EXTENT_BYTES
                      + (uint64_t) slot_units (one->word) * OBJECT_UNIT;
    uint64_t start = block_down (object);
    uint64_t end = block_down (object
                               + (uint64_t) word_units (one->word)
                                     * slot_pages (one->word) * OBJECT_UNIT
                               + BACKING_ALIGNMENT - 1);
    struct backing *backing
        = atomic_load (&store->backings[place_backing (one->place)].backing);

    /* Neighbours of one extent: that is where a request has to lie. */
    if (io && one->place == reads->list[i - 1].place && start >= io->offset
        && start <= io->offset + io->length && end - io->offset <= IO_MOST) {
      if (end > io->offset + io->length) {
        room += end - (io->offset + io->length);
        io->length = end - io->offset;
      }
    }
    else {
      io = &reads->ios[ios++];
      *io = (struct backing_io){ .backing = backing,
                                 .op = BACKING_READ,
                                 .buffer = room,
                                 .length = end - start,
                                 .offset = start,
                                 .user = one };
      room += io->length;
    }
    one->io = ios - 1;
    one->io_offset = (uint32_t) (object - io->offset);
  }
  return ios;
}

/* A page that was read from a backing returns to its memory tier: alone, if it
 * was of a group.
 */
static void
promote (struct store *store, struct worker *worker, const struct backed *one,
         const struct object *object, const void *page)
{
  const struct segment *segment
      = store_segment (store, (uint32_t) slot_segment (one->word));
  struct append entry = { .object = object,
                          .slot = (uint32_t) one->slot,
                          .stamp = segment->stamp,
                          .expected = one->word };
  struct append_target target
      = { .owner = atomic_load (&segment->owner), .stream = STREAM_FRESH };

  if (slot_pages (one->word) > 1) {
    worker_make_object (worker, owner_tier (target.owner), one->slot, page,
                        worker->room);
    entry.object = (struct object *) worker->room;
    entry.stamp = 0;
  }
  if (append_replace (store, &target, &entry, 1) > 0 && entry.done)
    store_release (store, one->word);
}

void
backed_wrong (struct store *store, unsigned index)
{
  struct store_backing *backing = &store->backings[index];

  atomic_fetch_add (&backing->checksum_errors, 1);
  if (!atomic_exchange (&backing->told_wrong, true))
    message (MESSAGE_ERROR,
             "backing \"%s\": what was read is not what was written there, "
             "which was changed or never came to the disk; the pages concerned "
             "read as errors (further ones are only counted)",
             backing_name (atomic_load (&backing->backing)));
}

/* Check an object that was read, and make its page. */
static int
unpack (struct store *store, struct worker *worker, const struct backed *one)
{
  struct backed_reads *reads = &worker->backed;
  const struct backing_io *io = &reads->ios[one->io];
  const unsigned char *at = (unsigned char *) io->buffer + one->io_offset;
  const struct object *object = (const struct object *) at;
  struct store_backing *backing = &store->backings[place_backing (one->place)];
  const struct segment *segment
      = store_segment (store, (uint32_t) slot_segment (one->word));
  void *page = one->length == PAGE_BYTES ? one->to : worker->page;

  if (io->error) {
    errno = EIO;
    return -1;
  }
  if (!word_is_of (one->word, one->slot, object)
      || !object_unharmed (object, segment->stamp)) {
    backed_wrong (store, place_backing (one->place));
    errno = EIO;
    return -1;
  }
  if (worker_unpack (worker, segment->codec, object, one->slot, one->word, page)
      == -1)
    return -1;
  if (page != one->to)
    memcpy (one->to, worker->page + one->start, one->length);

  if (atomic_load_explicit (&backing->promote, memory_order_relaxed))
    promote (store, worker, one, object, page);
  return 0;
}

/* The objects of a request that has ended; their holds are dropped, but for
 * KEEP only if they failed.
 */
static int
finish (struct store *store, struct worker *worker, const struct backing_io *io,
        bool keep)
{
  struct backed_reads *reads = &worker->backed;
  const struct backed *end = reads->list + reads->count;
  int r = 0;

  for (const struct backed *one = io->user;
       one < end && &reads->ios[one->io] == io; ++one) {
    int result = unpack (store, worker, one);

    if (result == -1)
      r = -1;
    if (result == -1 || !keep)
      segment_drop (store, (uint32_t) slot_segment (one->word), CONTROL_HOLD);
  }
  return r;
}

/* Read all of the list.  What has come is unpacked while the device is at work
 * on the others.  All of the list is held when this begins: within it, equal
 * words are of the same group.
 */
static int
run (struct store *store, struct worker *worker, bool keep)
{
  struct backed_reads *reads = &worker->backed;
  struct backing_io *io;
  unsigned ios;
  int r = 0;

  /* Nor does a pin wait for a device. */
  group_forget (worker);
  if (prepare (reads) == -1) {
    for (unsigned i = 0; i < reads->count; ++i)
      segment_drop (store, (uint32_t) slot_segment (reads->list[i].word),
                    CONTROL_HOLD);
    r = -1;
  }
  else {
    ios = plan (store, reads);
    for (unsigned i = 0; i < ios; ++i)
      if (backing_queue_submit (reads->queue, &reads->ios[i]) == -1) {
        reads->ios[i].error = errno;
        finish (store, worker, &reads->ios[i], keep);
        r = -1;
      }
    while ((io = backing_queue_wait (reads->queue)) != NULL)
      if (finish (store, worker, io, keep) == -1)
        r = -1;
  }
  reads->count = 0;
  group_forget (worker);
  if (r == -1)
    errno = EIO;
  return r;
}

int
backed_read (struct store *store, struct worker *worker)
{
  return run (store, worker, false);
}

int
backed_read_one (struct store *store, struct worker *worker,
                 const struct backed *one)
{
  worker->backed.list[0] = *one;
  worker->backed.count = 1;
  return run (store, worker, true);
}
