/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/append.h"
#include "store/backed.h"
#include "store/cleaner.h"
#include "store/mover.h"
#include "store/state.h"

/* A segment is written as it is if no more than this of it is dead. */
#define DEAD_MOST (SEGMENT_UNITS / 64)

struct move {
  struct backing_io io;
  struct moved moved;
  uint64_t extent;
  uint32_t frame;
  bool in_flight;
  struct move *next; /* of the free ones */
};

struct mover {
  struct store *store;
  struct backing_queue *queue;
  struct move moves[MOVER_DEPTH];
  struct move *free;
  unsigned in_flight;
  uint64_t tag; /* of moves that begin */
  struct {
    unsigned in_flight;
    /* When it was given something to do after it had nothing, or ended
     * something, whichever was later: nanoseconds.
     */
    uint64_t since;
  } backings[STORE_BACKINGS];
};

struct mover *
mover_create (struct store *store)
{
  struct mover *mover = calloc (1, sizeof *mover);

  if (!mover)
    return NULL;
  mover->store = store;
  mover->queue = backing_queue_create (MOVER_DEPTH);
  if (!mover->queue || backing_queue_reserve (mover->queue) == -1) {
    if (mover->queue)
      backing_queue_free (mover->queue);
    free (mover);
    return NULL;
  }
  for (unsigned i = 0; i < MOVER_DEPTH; ++i) {
    mover->moves[i].next = mover->free;
    mover->free = &mover->moves[i];
  }
  return mover;
}

void
mover_free (struct mover *mover)
{
  struct moved moved;

  if (!mover)
    return;
  while (mover_wait (mover, &moved))
    ;
  backing_queue_free (mover->queue);
  free (mover);
}

unsigned
mover_in_flight (const struct mover *mover)
{
  return mover->in_flight;
}

unsigned
mover_in_flight_on (const struct mover *mover, unsigned backing)
{
  return mover->backings[backing].in_flight;
}

void
mover_set_tag (struct mover *mover, uint64_t tag)
{
  mover->tag = tag;
}

uint64_t
mover_pages_in_flight (const struct mover *mover, uint64_t tag)
{
  uint64_t pages = 0;

  for (unsigned i = 0; i < MOVER_DEPTH; ++i) {
    const struct move *move = &mover->moves[i];

    if (move->in_flight && !move->moved.to_memory && move->moved.tag == tag)
      pages += move->moved.pages;
  }
  return pages;
}

static uint64_t
nanoseconds_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec * UINT64_C (1000000000) + now.tv_nsec;
}

/* Nanoseconds until a backing is late, 0: it is, or has nothing to do. */
static uint64_t
late_in (const struct mover *mover, unsigned backing)
{
  uint64_t patience = atomic_load (&mover->store->backings[backing].patience);
  uint64_t waited;

  if (mover->backings[backing].in_flight == 0)
    return 0;
  if (patience == 0)
    patience = MOVER_PATIENCE;
  waited = nanoseconds_now () - mover->backings[backing].since;
  return waited < patience ? patience - waited : 0;
}

unsigned
mover_late (const struct mover *mover)
{
  unsigned late = 0;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (mover->backings[i].in_flight > 0 && late_in (mover, i) == 0)
      late |= 1u << i;
  return late;
}

uint64_t
mover_late_in (const struct mover *mover)
{
  uint64_t last = 0;

  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    uint64_t here = late_in (mover, i);

    if (here > last)
      last = here;
  }
  return last;
}

/* Bytes of a segment up to its tail, in whole blocks. */
static size_t
blocks_of (struct segment *segment)
{
  size_t bytes
      = (size_t) control_tail (atomic_load (&segment->control)) * OBJECT_UNIT;

  return (bytes + BACKING_ALIGNMENT - 1) / BACKING_ALIGNMENT
         * BACKING_ALIGNMENT;
}

static int
submit (struct mover *mover, struct move *move, struct segment *segment,
        enum backing_op op)
{
  struct store *store = mover->store;

  move->io = (struct backing_io){
    .backing = atomic_load (&store->backings[move->moved.backing].backing),
    .op = op,
    .buffer = arena_frame (&store->arena, move->frame),
    .length = blocks_of (segment),
    .offset = move->extent * EXTENT_BYTES,
    .user = move,
  };
  if (backing_queue_submit (mover->queue, &move->io) == -1)
    return -1;
  mover->free = move->next;
  move->in_flight = true;
  mover->in_flight++;
  if (mover->backings[move->moved.backing].in_flight++ == 0)
    mover->backings[move->moved.backing].since = nanoseconds_now ();
  return 0;
}

int
mover_write (struct mover *mover, uint32_t number, unsigned backing_index)
{
  struct store *store = mover->store;
  struct segment *segment = store_segment (store, number);
  struct backing *backing
      = atomic_load (&store->backings[backing_index].backing);
  struct move *move = mover->free;
  uint64_t contents = atomic_load (&segment->contents);
  size_t tail
      = (size_t) control_tail (atomic_load (&segment->control)) * OBJECT_UNIT;
  int64_t extent;

  if (!move) {
    errno = EBUSY;
    return -1;
  }
  extent = backing_extent_allocate (backing);
  if (extent == -1)
    return -1;
  move->extent = (uint64_t) extent;
  /* A killed server's last writes may still be under way to it. */
  if (store->backings[backing_index].mark)
    state_raise (store->backings[backing_index].mark, move->extent);
  move->frame = (uint32_t) place_number (atomic_load (&segment->place));
  move->moved = (struct moved){ .segment = number,
                                .backing = backing_index,
                                .bytes = blocks_of (segment),
                                .pages = contents_objects (contents),
                                .tag = mover->tag };
  /* What an earlier segment left in the frame is nobody's business there. */
  memset (arena_frame (&store->arena, move->frame) + tail, 0,
          blocks_of (segment) - tail);
  if (submit (mover, move, segment, BACKING_WRITE) == -1) {
    int saved_errno = errno;

    backing_extent_free (backing, move->extent);
    errno = saved_errno;
    return -1;
  }
  return 0;
}

int
mover_load (struct mover *mover, uint32_t number)
{
  struct store *store = mover->store;
  struct segment *segment = store_segment (store, number);
  uint32_t owner = atomic_load (&segment->owner);
  uint64_t place = atomic_load (&segment->place);
  struct move *move = mover->free;

  if (!move) {
    errno = EBUSY;
    return -1;
  }
  move->frame = segment_take_frame (store, owner);
  if (move->frame == FRAME_NONE) {
    errno = ENOSPC;
    return -1;
  }
  move->extent = place_number (place);
  move->moved = (struct moved){ .segment = number,
                                .backing = place_backing (place),
                                .to_memory = true,
                                .bytes = blocks_of (segment),
                                .tag = mover->tag };
  if (submit (mover, move, segment, BACKING_READ) == -1) {
    segment_give_frame (store, owner, move->frame);
    return -1;
  }
  return 0;
}

/* One that comes back, what is packed of it, and what is spared. */
#define FRAMES_TO_PACK 3

bool
mover_may_load (struct store *store, uint32_t segment)
{
  return budget_left (store,
                      atomic_load (&store_segment (store, segment)->owner))
         >= FRAMES_TO_PACK;
}

static bool
frame_valid (struct store *store, const struct move *move)
{
  struct segment *segment = store_segment (store, move->moved.segment);

  return objects_valid (arena_frame (&store->arena, move->frame),
                        control_tail (atomic_load (&segment->control)),
                        segment->stamp);
}

static void
end_write (struct mover *mover, struct move *move)
{
  struct store *store = mover->store;
  unsigned backing = move->moved.backing;

  if (move->moved.error == 0) {
    segment_move (store, move->moved.segment,
                  place_on_backing (backing, move->extent));
    return;
  }
  backing_extent_free (atomic_load (&store->backings[backing].backing),
                       move->extent);
  segment_drop (store, move->moved.segment, CONTROL_BUSY);
}

static void
end_load (struct mover *mover, struct move *move)
{
  struct store *store = mover->store;
  struct moved *moved = &move->moved;

  if (moved->error == 0 && !frame_valid (store, move)) {
    backed_wrong (store, moved->backing);
    moved->error = EBADMSG;
  }
  if (moved->error == 0) {
    moved->pages = contents_objects (
        atomic_load (&store_segment (store, moved->segment)->contents));
    segment_move (store, moved->segment, move->frame);
    return;
  }
  segment_give_frame (
      store, atomic_load (&store_segment (store, moved->segment)->owner),
      move->frame);
  segment_drop (store, moved->segment, CONTROL_BUSY);
}

bool
mover_wait_for (struct mover *mover, struct moved *moved, uint64_t nanoseconds)
{
  struct backing_io *io;
  struct move *move;

  if (mover->in_flight == 0) {
    /* What was given up may have ended: its extents are kept back until then.
     */
    backing_queue_wait_for (mover->queue, 0);
    return false;
  }
  io = backing_queue_wait_for (mover->queue, nanoseconds);
  if (!io)
    return false;
  move = io->user;
  move->moved.error = io->error;
  if (move->moved.to_memory)
    end_load (mover, move);
  else
    end_write (mover, move);
  *moved = move->moved;
  move->next = mover->free;
  mover->free = move;
  move->in_flight = false;
  mover->in_flight--;
  mover->backings[moved->backing].in_flight--;
  mover->backings[moved->backing].since = nanoseconds_now ();
  return true;
}

bool
mover_wait (struct mover *mover, struct moved *moved)
{
  return mover_wait_for (mover, moved, BACKING_FOREVER);
}

void
mover_unclaim (struct store *store, uint32_t segment)
{
  segment_drop (store, segment, CONTROL_BUSY);
}

unsigned
mover_class (struct store *store, uint32_t segment)
{
  return owner_class (atomic_load (&store_segment (store, segment)->owner));
}

bool
mover_claim (struct store *store, uint32_t segment)
{
  if (!segment_claim_in_memory (store, segment))
    return false;
  if (mover_class (store, segment) != 0)
    return true;
  mover_unclaim (store, segment);
  return false;
}

uint64_t
mover_bytes (struct store *store, uint32_t segment)
{
  return blocks_of (store_segment (store, segment));
}

uint64_t
mover_pages (struct store *store, uint32_t segment)
{
  return contents_objects (
      atomic_load (&store_segment (store, segment)->contents));
}

bool
mover_is_packed (struct store *store, uint32_t number, uint32_t least)
{
  struct segment *segment = store_segment (store, number);
  uint64_t control = atomic_load (&segment->control);

  if (atomic_load (&segment->referenced) > 0
      || control_tail (control) - control_live (control) > DEAD_MOST)
    return false;
  /* Packed with the same bound, or not at all: short ones may be in it. */
  if (least > 0 && segment->stream != STREAM_OUTGOING)
    return false;
  /* On a backing it could not be mended any more. */
  return !damage_suspected (store, number);
}

int
mover_pack (struct store *store, uint32_t segment, uint32_t least)
{
  const struct outgoing outgoing = { least };

  return cleaner_empty (store, segment, &outgoing);
}
