/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "store/codec.h"
#include "store/object.h"

bool
objects_valid (const void *base, uint32_t tail)
{
  const unsigned char *bytes = base;
  uint32_t offset = 0;

  while (offset < tail) {
    const struct object *object
        = (const struct object *) (bytes + (uint64_t) offset * OBJECT_UNIT);
    uint32_t length;

    /* What is behind the tail is not looked at, not even as a header. */
    if (object_units (1) > tail - offset)
      return false;
    length = object->length;
    if (length == 0 || length > PAGE_BYTES
        || object_units (length) > tail - offset)
      return false;
    if (object->slot != OBJECT_FILLER
        && !object_valid (object, object->slot, length))
      return false;
    offset += object_units (length);
  }
  return true;
}
