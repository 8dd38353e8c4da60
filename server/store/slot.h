/* SPDX-License-Identifier: BSD-3-Clause */
/* The slot word: where one page is, in one atomic 64-bit word.
 *
 *   63 62 | 61         | 60 .. 49 | 48 .. 33 | 32 31   | 30 .. 0
 *   00    | 0 (the whole word is 0)                                empty
 *   01    | referenced | length-1 | offset/4 | pages-1 | segment   object
 *
 *   63 62 | 61 .. 46   | 45 .. 0
 *   10    | cgroup     | pattern, sign-extended                  same-filled
 *   11    | cgroup     | low bits of the pattern                 same-filled,
 *                                       the whole of it stands in wide[slot]
 *
 * Where several pages share one object (a group, see object.h) each of their
 * words points at it and stands for its share: length is the stored bytes
 * divided by the pages, rounded up.
 *
 * A same-filled page repeats one 8-byte pattern and takes no object.  Patterns
 * that are small numbers (zero, minus one) fit in the word; the others use
 * the side table, which is touched only where it is needed.
 *
 * Locking: none.  A word is published by exchange or compare-and-exchange;
 * whoever takes an old word out of the table owns its bytes in the segment's
 * live count and subtracts them, once.  Only the helpers below know the bits.
 */
#ifndef TIERSWAP_SLOT_H
#define TIERSWAP_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t slot_word;

enum slot_kind { SLOT_EMPTY, SLOT_OBJECT, SLOT_SAME, SLOT_SAME_WIDE };

#define SLOT_REFERENCED (UINT64_C (1) << 61)
#define SLOT_PATTERN_BITS 46
#define SLOT_PATTERN_MASK ((UINT64_C (1) << SLOT_PATTERN_BITS) - 1)
#define SLOT_SEGMENT_BITS 31
#define SLOT_PAGES_SHIFT SLOT_SEGMENT_BITS
#define SLOT_UNITS_SHIFT 33
#define SLOT_LENGTH_SHIFT 49
#define SLOT_CGROUPS (1 << 16)

static inline enum slot_kind
slot_kind (slot_word word)
{
  return word >> 62;
}

static inline bool
slot_is_object (slot_word word)
{
  return slot_kind (word) == SLOT_OBJECT;
}

static inline bool
slot_is_same (slot_word word)
{
  return word >> 63;
}

/* UNITS is the offset in the segment in units of 4 bytes, LENGTH the stored
 * length in bytes, 1 to 4096: of one page, if the object is of several PAGES.
 */
static inline slot_word
slot_member (uint64_t segment, uint32_t units, uint32_t length, uint32_t pages)
{
  return ((uint64_t) SLOT_OBJECT << 62)
         | ((uint64_t) (length - 1) << SLOT_LENGTH_SHIFT)
         | ((uint64_t) units << SLOT_UNITS_SHIFT)
         | ((uint64_t) (pages - 1) << SLOT_PAGES_SHIFT) | segment;
}

static inline slot_word
slot_object (uint64_t segment, uint32_t units, uint32_t length)
{
  return slot_member (segment, units, length, 1);
}

static inline uint64_t
slot_segment (slot_word word)
{
  return word & ((UINT64_C (1) << SLOT_SEGMENT_BITS) - 1);
}

static inline uint32_t
slot_units (slot_word word)
{
  return (word >> SLOT_UNITS_SHIFT) & 0xffff;
}

static inline uint32_t
slot_length (slot_word word)
{
  return ((word >> SLOT_LENGTH_SHIFT) & 0xfff) + 1;
}

/* Pages that share the object, 1 to 4. */
static inline uint32_t
slot_pages (slot_word word)
{
  return ((word >> SLOT_PAGES_SHIFT) & 3) + 1;
}

/* No codec stores a page in so few bytes: this one is lost. */
#define SLOT_LENGTH_LOST 1

static inline bool
slot_is_lost (slot_word word)
{
  return slot_length (word) == SLOT_LENGTH_LOST && slot_pages (word) == 1;
}

/* The same object, whether or not it was read since. */
static inline bool
slot_same_object (slot_word a, slot_word b)
{
  return ((a ^ b) & ~SLOT_REFERENCED) == 0;
}

static inline bool
slot_pattern_fits (uint64_t pattern)
{
  int64_t top = (int64_t) pattern >> (SLOT_PATTERN_BITS - 1);
  return top == 0 || top == -1;
}

static inline slot_word
slot_same (uint64_t pattern, uint32_t cgroup)
{
  enum slot_kind kind
      = slot_pattern_fits (pattern) ? SLOT_SAME : SLOT_SAME_WIDE;
  return ((uint64_t) kind << 62) | ((uint64_t) cgroup << SLOT_PATTERN_BITS)
         | (pattern & SLOT_PATTERN_MASK);
}

static inline uint32_t
slot_cgroup (slot_word word)
{
  return (word >> SLOT_PATTERN_BITS) & (SLOT_CGROUPS - 1);
}

/* The pattern of a SLOT_SAME word. */
static inline uint64_t
slot_pattern (slot_word word)
{
  return (uint64_t) ((int64_t) (word << (64 - SLOT_PATTERN_BITS))
                     >> (64 - SLOT_PATTERN_BITS));
}

#endif /* TIERSWAP_SLOT_H */
