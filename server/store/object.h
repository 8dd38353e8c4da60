/* SPDX-License-Identifier: BSD-3-Clause */
/* An object: one page as it is stored.
 *
 *   byte 0        4          8        10
 *        slot     checksum   length   compressed bytes ... padding
 *
 * Objects stand one after another in a segment, each at a multiple of 4
 * bytes: with the 8 bytes of the slot word, a page costs 20 bytes beyond its
 * compressed ones.  The slot tells the cleaner whose page this is; the object
 * is live if that slot's word points exactly here.  The checksum is of the
 * bytes stored, keyed by the slot, so that an object read from a wrong place is
 * noticed.
 */
#ifndef TIERSWAP_OBJECT_H
#define TIERSWAP_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define OBJECT_UNIT 4

struct object {
  uint32_t slot;
  uint32_t checksum;
  uint16_t length; /* stored bytes, 1 to 4096; 4096 is a raw page */
  unsigned char bytes[];
} __attribute__ ((packed, aligned (2)));

#define OBJECT_HEADER 10
_Static_assert(sizeof (struct object) == OBJECT_HEADER, "object header");

/* Space that an object of LENGTH stored bytes takes, in units. */
static inline uint32_t
object_units (uint32_t length)
{
  return (OBJECT_HEADER + length + OBJECT_UNIT - 1) / OBJECT_UNIT;
}

static inline uint32_t
object_checksum (uint32_t slot, const void *bytes, uint32_t length)
{
  return (uint32_t) XXH3_64bits_withSeed (bytes, length, slot);
}

/* Is an object the unharmed one that a word of SLOT with LENGTH points at? */
static inline bool
object_valid (const struct object *object, uint64_t slot, uint32_t length)
{
  return object->slot == slot && object->length == length
         && object->checksum
                == object_checksum (object->slot, object->bytes, length);
}

/* Nobody's object, which fills space that was reserved in vain. */
#define OBJECT_FILLER UINT32_MAX

/* Do the headers of what may be anything lead from one object to the next up to
 * TAIL units from BASE, and is each object unharmed?
 */
extern bool objects_valid (const void *base, uint32_t tail);

#endif /* TIERSWAP_OBJECT_H */
