/* SPDX-License-Identifier: BSD-3-Clause */
/* Segments: 256 KiB extents that objects are appended to, once.
 *
 * All that decides over a segment's life is in one atomic control word, so that
 * every step is one compare-and-exchange and whoever makes the last step
 * knows it:
 *
 *   63 left frame | 62 left extent | 61 busy | 60 59 state |
 *   58 .. 43 live | 42 .. 27 tail | 26 .. 14 holds | 13 .. 0 pins
 *
 *   state  free, open (takes objects) or sealed (takes none)
 *   tail   4-byte units handed out from the start
 *   live   4-byte units of objects that a slot word points at, or is about to
 *   pins   readers of the frame: short, they never wait
 *   holds  open: writers between reservation and publication;
 *          sealed: readers of the backing extent
 *   busy   claimed by the cleaner or by writeback, at most one at a time
 *   left   the segment has moved; readers may still be at its old place
 *
 * Invariants:
 *   1. A segment becomes free only from sealed with all other fields zero, by
 *      one compare-and-exchange.  Its place is then given back.
 *   2. A reader pins first and then looks at the slot word again.  If the word
 *      still points here, the segment was not free then (the word's bytes are
 *      in live), and is not free until the pin drops.
 *   3. A stale pin may fall on a free segment or on its next life; it is taken
 *      back without having looked at anything.  So every change keeps the
 *      pins it finds.
 *   4. A sealed segment without holds that is in memory has all its objects
 *      written: its headers may be walked up to the tail by who has it busy.
 *   5. The place changes while busy.  A reader looks at the place after it has
 *      pinned.  So the place that was left is given back by who finds no
 *      pins (a frame was left), or neither pins nor holds (an extent), and
 *      turns the flag into busy while he does.
 */
#ifndef TIERSWAP_SEGMENT_H
#define TIERSWAP_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/frame.h"
#include "store/index_stack.h"
#include "store/object.h"

#define SEGMENT_BYTES FRAME_BYTES
/* One unit less than there are, so that counts of them fit into 16 bits. */
#define SEGMENT_UNITS (SEGMENT_BYTES / OBJECT_UNIT - 1)
#define SEGMENT_NONE INDEX_NONE
/* Segments there may be, in memory and on backings: 8 TiB of them. */
#define SEGMENTS_MOST (UINT32_C (1) << 25)

#define CONTROL_PIN (UINT64_C (1))
#define CONTROL_HOLD (UINT64_C (1) << 14)
#define CONTROL_TAIL_SHIFT 27
#define CONTROL_LIVE_SHIFT 43
#define CONTROL_STATE_SHIFT 59
#define CONTROL_BUSY (UINT64_C (1) << 61)
#define CONTROL_LEFT_EXTENT (UINT64_C (1) << 62)
#define CONTROL_LEFT_FRAME (UINT64_C (1) << 63)
#define CONTROL_LEFT (CONTROL_LEFT_EXTENT | CONTROL_LEFT_FRAME)
#define CONTROL_PINS UINT64_C (0x3fff)
#define CONTROL_HOLDS UINT64_C (0x1fff)
#define CONTROL_UNITS UINT64_C (0xffff)
#define CONTROL_STATE (UINT64_C (3) << CONTROL_STATE_SHIFT)

enum segment_state { SEGMENT_FREE, SEGMENT_OPEN, SEGMENT_SEALED };

/* Objects, those of them that are raw, and their stored bytes, of a segment:
 * raw << 48 | objects << 32 | bytes.
 */
#define CONTENTS_RAW_SHIFT 48
#define CONTENTS_OBJECTS_SHIFT 32

/* Where a segment is: a frame of the arena, or an extent of a backing. */
#define PLACE_NUMBER ((UINT64_C (1) << 56) - 1)
#define PLACE_BACKING_SHIFT 56 /* 0: a frame, else the backing's index + 1 */

struct segment {
  _Atomic uint64_t control;
  _Atomic uint64_t contents;
  _Atomic uint64_t place;
  _Atomic uint32_t owner; /* stable while pinned, held, open or busy */
  uint32_t stamp;         /* of its objects' checksums; stable likewise */
  uint64_t left;          /* the old place; of who has it busy */
  uint32_t older, newer;  /* in the owner's list, under its lock */
  _Atomic uint32_t time;  /* seconds on the monotonic clock: its objects were
                             written until then */
  _Atomic int32_t referenced; /* objects read since; nearly right */
  uint8_t codec;              /* enum codec_kind of its objects */
  uint8_t stream;             /* the list it is in, once it is sealed */
  bool listed;                /* in the owner's list, under its lock */
  /* How many were opened until then, it included, low bits; 0: this server
   * found it in a state.
   */
  _Atomic uint32_t opened;
} __attribute__ ((aligned (64)));
/* States have it. */
_Static_assert(sizeof (struct segment) == 64, "segment record");

struct segments {
  struct segment *table;
  uint32_t capacity;
  _Atomic uint32_t fresh; /* segments from here on were never used */
  _Atomic uint64_t *mark; /* the same in a state, which is raised before a
                             segment is used; NULL: there is none */
  /* The stamp that the next one gets; NULL: none gets any, since the state was
   * begun by a server that knew of none.
   */
  _Atomic uint32_t *stamps;
  _Atomic uint32_t own_stamps; /* where there is no state */
  _Atomic uint32_t *links;
  struct index_stack free;
};

/* With the table of STATE, if it is not NULL.  -1 with errno. */
struct state;
extern int segments_create (struct segments *segments, uint32_t capacity,
                            struct state *state);
extern void segments_free (struct segments *segments);

/* A free segment's number, or SEGMENT_NONE. */
extern uint32_t segments_take (struct segments *segments);
extern void segments_give (struct segments *segments, uint32_t number);

/* A stamp for a segment that is opened: another one than those before have,
 * those of servers before this one included.  It comes around after 2^32
 * segments, which is 1 PiB.
 */
extern uint32_t segments_stamp (struct segments *segments);

/* Where to begin: nowhere near where a server began that had the same backings
 * without a state.
 */
extern uint32_t segments_first_stamp (void);

static inline uint32_t
segments_high_water (const struct segments *segments)
{
  return atomic_load_explicit (&segments->fresh, memory_order_acquire);
}

static inline enum segment_state
control_state (uint64_t control)
{
  return (control & CONTROL_STATE) >> CONTROL_STATE_SHIFT;
}

static inline uint32_t
control_tail (uint64_t control)
{
  return (control >> CONTROL_TAIL_SHIFT) & CONTROL_UNITS;
}

static inline uint32_t
control_live (uint64_t control)
{
  return (control >> CONTROL_LIVE_SHIFT) & CONTROL_UNITS;
}

static inline uint32_t
control_holds (uint64_t control)
{
  return (control / CONTROL_HOLD) & CONTROL_HOLDS;
}

static inline uint32_t
control_pins (uint64_t control)
{
  return control & CONTROL_PINS;
}

/* Invariant 1: sealed and nothing else but what is left of the tail. */
static inline bool
control_freeable (uint64_t control)
{
  return (control & ~(CONTROL_UNITS << CONTROL_TAIL_SHIFT))
         == (uint64_t) SEGMENT_SEALED << CONTROL_STATE_SHIFT;
}

/* The cleaner and writeback may claim it: sealed and not busy.  (In memory
 * it must be all written, too, see control_holds.)
 */
static inline bool
control_claimable (uint64_t control)
{
  return control_state (control) == SEGMENT_SEALED
         && !(control & (CONTROL_BUSY | CONTROL_LEFT))
         && control_live (control) != 0;
}

static inline bool
place_is_frame (uint64_t place)
{
  return place >> PLACE_BACKING_SHIFT == 0;
}

static inline unsigned
place_backing (uint64_t place)
{
  return (unsigned) (place >> PLACE_BACKING_SHIFT) - 1;
}

static inline uint64_t
place_number (uint64_t place)
{
  return place & PLACE_NUMBER;
}

static inline uint64_t
place_on_backing (unsigned backing, uint64_t extent)
{
  return ((uint64_t) (backing + 1) << PLACE_BACKING_SHIFT) | extent;
}

static inline uint64_t
contents_of (uint32_t objects, uint32_t raw, uint32_t bytes)
{
  return ((uint64_t) raw << CONTENTS_RAW_SHIFT)
         | ((uint64_t) objects << CONTENTS_OBJECTS_SHIFT) | bytes;
}

static inline uint32_t
contents_objects (uint64_t contents)
{
  return (contents >> CONTENTS_OBJECTS_SHIFT) & 0xffff;
}

static inline uint32_t
contents_raw (uint64_t contents)
{
  return contents >> CONTENTS_RAW_SHIFT;
}

static inline uint32_t
contents_bytes (uint64_t contents)
{
  return (uint32_t) contents;
}

#endif /* TIERSWAP_SEGMENT_H */
