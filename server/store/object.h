/* SPDX-License-Identifier: BSD-3-Clause */
/* An object: one page as it is stored, or a group of neighbouring ones.
 *
 *   byte 0        4          8        10
 *        slot     checksum   size     stored bytes ... padding
 *
 * Objects stand one after another in a segment, each at a multiple of 4
 * bytes: with the 8 bytes of the slot word, a page costs 20 bytes beyond its
 * compressed ones.  The slot tells the cleaner whose page this is; the object
 * is live if that slot's word points exactly here.  The checksum is of the
 * bytes stored, keyed by the slot, so that an object read from a wrong place is
 * noticed.  In a segment it is mixed with the segment's stamp, which no other
 * segment has: what a segment left at the same place of a backing, objects of
 * the same slots among it, is not taken for what should have been written over
 * it and was not, since the disk lost its last writes.
 *
 * A group is of 2 to 4 pages of the same four slots (those that differ in the
 * two low bits alone), compressed as one:
 *
 *   slot          the first of the four slots
 *   stored bytes  a byte with a bit for each of the four that is a member; then
 *                 the members, in their order, compressed together
 *   padding       up to a multiple of 4 bytes for each member, so that all
 *                 have the same share of the space
 *
 * Each member's word points at the group and accounts for its share.  A member
 * whose word points elsewhere is dead, and with it its share.
 */
#ifndef TIERSWAP_OBJECT_H
#define TIERSWAP_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define OBJECT_UNIT 4
#define GROUP_PAGES 4

struct object {
  uint32_t slot;
  uint32_t checksum;
  uint16_t size; /* pages - 1 << 14 | stored bytes; 4096 bytes of one page are
                    the page as it is */
  unsigned char bytes[];
} __attribute__ ((packed, aligned (2)));

#define OBJECT_HEADER 10
_Static_assert(sizeof (struct object) == OBJECT_HEADER, "object header");

#define OBJECT_LENGTH_BITS 14
#define OBJECT_LENGTH_MOST ((1u << OBJECT_LENGTH_BITS) - 1)

static inline uint16_t
object_size (uint32_t length, uint32_t pages)
{
  return (uint16_t) ((pages - 1) << OBJECT_LENGTH_BITS | length);
}

/* Stored bytes, of all its pages. */
static inline uint32_t
object_length (const struct object *object)
{
  return object->size & OBJECT_LENGTH_MOST;
}

static inline uint32_t
object_pages (const struct object *object)
{
  return (object->size >> OBJECT_LENGTH_BITS) + 1u;
}

/* Stored bytes of each of its pages, as their words have it. */
static inline uint32_t
object_share (const struct object *object)
{
  return (object_length (object) + object_pages (object) - 1)
         / object_pages (object);
}

/* Space in units that each of PAGES takes with a share of LENGTH bytes. */
static inline uint32_t
object_share_units (uint32_t length, uint32_t pages)
{
  return (OBJECT_HEADER + length * pages + OBJECT_UNIT * pages - 1)
         / (OBJECT_UNIT * pages);
}

/* Space that an object takes, in units. */
static inline uint32_t
object_units (const struct object *object)
{
  return object_share_units (object_share (object), object_pages (object))
         * object_pages (object);
}

/* No object takes more units. */
#define PAGE_UNITS_MOST ((OBJECT_HEADER + 4096 + OBJECT_UNIT - 1) / OBJECT_UNIT)
#define GROUP_UNITS_MOST (GROUP_PAGES * PAGE_UNITS_MOST)

static inline uint32_t
group_first (uint64_t slot)
{
  return (uint32_t) slot & ~(GROUP_PAGES - 1u);
}

static inline unsigned
group_bit (uint64_t slot)
{
  return 1u << (slot & (GROUP_PAGES - 1));
}

/* A bit for each of the four slots whose page is in the object. */
static inline unsigned
object_members (const struct object *object)
{
  return object_pages (object) == 1 ? group_bit (object->slot)
                                    : object->bytes[0];
}

/* The compressed bytes. */
static inline const unsigned char *
object_data (const struct object *object, uint32_t *length)
{
  const unsigned skip = object_pages (object) > 1;

  *length = object_length (object) - skip;
  return object->bytes + skip;
}

/* Which page of the object is SLOT's. */
static inline unsigned
object_page_of (const struct object *object, uint64_t slot)
{
  return (unsigned) __builtin_popcount (object_members (object)
                                        & (group_bit (slot) - 1));
}

/* Is this the object of SLOT, of so many PAGES with a share of LENGTH?  Looks
 * at the header alone, and at a group's members.
 */
static inline bool
object_is_of (const struct object *object, uint64_t slot, uint32_t length,
              uint32_t pages)
{
  if (object_pages (object) != pages || object_share (object) != length)
    return false;
  if (pages == 1)
    return object->slot == slot;
  return object->slot == group_first (slot)
         && (object_members (object) & group_bit (slot))
         && object_members (object) < 1u << GROUP_PAGES
         && (uint32_t) __builtin_popcount (object_members (object)) == pages;
}

static inline uint32_t
object_checksum (uint32_t slot, const void *bytes, uint32_t length)
{
  return (uint32_t) XXH3_64bits_withSeed (bytes, length, slot);
}

/* Is what is stored as it was, in a segment of this STAMP?  The header has to
 * make sense.  An object that was just made is in none, and has the stamp 0.
 */
static inline bool
object_unharmed (const struct object *object, uint32_t stamp)
{
  return object->checksum
         == (object_checksum (object->slot, object->bytes,
                              object_length (object))
             ^ stamp);
}

/* Nobody's object, which fills space that was reserved in vain. */
#define OBJECT_FILLER UINT32_MAX

/* Does the header of what may be anything make sense, and a group's members
 * with it, where ROOM units are left?
 */
extern bool object_header_valid (const struct object *object, uint32_t room);

/* Do the headers of what may be anything lead from one object to the next up to
 * TAIL units from BASE, and is each object unharmed?
 */
extern bool objects_valid (const void *base, uint32_t tail, uint32_t stamp);

#endif /* TIERSWAP_OBJECT_H */
