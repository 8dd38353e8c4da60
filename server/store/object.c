/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "store/codec.h"
#include "store/object.h"

/* No object is shorter. */
#define UNITS_LEAST ((OBJECT_HEADER + 1 + OBJECT_UNIT - 1) / OBJECT_UNIT)

bool
object_header_valid (const struct object *object, uint32_t room)
{
  unsigned members;

  /* What is behind the room is not looked at, not even as a header. */
  if (room < UNITS_LEAST || object_length (object) == 0
      || object_share (object) > PAGE_BYTES || object_units (object) > room)
    return false;
  if (object_pages (object) == 1 || object->slot == OBJECT_FILLER)
    return true;
  members = object_members (object);
  return object_length (object) > 1
         && object->slot == group_first (object->slot)
         && members < 1u << GROUP_PAGES
         && (uint32_t) __builtin_popcount (members) == object_pages (object);
}

bool
objects_valid (const void *base, uint32_t tail, uint32_t stamp)
{
  const unsigned char *bytes = base;
  uint32_t offset = 0;

  while (offset < tail) {
    const struct object *object
        = (const struct object *) (bytes + (uint64_t) offset * OBJECT_UNIT);

    if (!object_header_valid (object, tail - offset)
        || (object->slot != OBJECT_FILLER && !object_unharmed (object, stamp)))
      return false;
    offset += object_units (object);
  }
  return true;
}
