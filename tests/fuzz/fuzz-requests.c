/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as requests of an NBD client, of any offset and length, inside the
 * device or not: what is answered is what a plain array would answer, and what
 * is beyond the device is refused and changes nothing.
 *
 * A request is 8 bytes: what to do, what is written, offset, length.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

extern int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define PROMISE(truth)                                                         \
  do {                                                                         \
    if (!(truth))                                                              \
      abort ();                                                                \
  } while (0)

#define SIZE (256 * 1024) /* of the device, and the most that is asked for */

static unsigned char model[SIZE], buffer[SIZE];
static struct store *store;

static int
count (void *opaque, uint64_t offset, uint64_t length, enum store_extent kind)
{
  uint64_t *next = opaque;

  PROMISE (offset == *next && length > 0 && length <= SIZE - offset);
  if (kind != STORE_DATA)
    for (uint64_t i = 0; i < length; ++i)
      PROMISE (model[offset + i] == 0);
  *next += length;
  return 0;
}

/* Trimming leaves parts of pages as they are. */
static void
trim_model (uint64_t length, uint64_t offset)
{
  uint64_t start = (offset + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
  uint64_t end = (offset + length) / PAGE_BYTES * PAGE_BYTES;

  if (start < end)
    memset (model + start, 0, end - start);
}

static void
fill (uint8_t kind, uint64_t length)
{
  for (uint64_t i = 0; i < length; ++i)
    buffer[i] = kind % 3 == 0   ? kind
                : kind % 3 == 1 ? (uint8_t) (i * kind)
                                : (uint8_t) (i * i * 2654435761u >> kind % 24);
}

static void
request (const uint8_t *data)
{
  static const struct store_placement placement = { .prio = 1 };
  uint64_t offset = data[2] | data[3] << 8 | data[4] << 16;
  uint64_t length = data[5] | data[6] << 8 | data[7] << 16, next = offset;
  bool inside;
  int r = 0;

  /* Most within the device, some of whole pages, some far beyond. */
  if (data[0] & 0x10)
    offset &= ~(uint64_t) (PAGE_BYTES - 1);
  if (data[0] & 0x20)
    length &= ~(uint64_t) (PAGE_BYTES - 1);
  if ((data[0] & 0xc0) == 0xc0)
    offset = UINT64_MAX - offset;
  else if (data[0] & 0x40)
    offset %= 2 * SIZE;
  else
    offset %= SIZE;
  length %= SIZE + 1;
  next = offset;
  inside = offset <= SIZE && length <= SIZE - offset;

  errno = 0;
  switch (data[0] % 6) {
  case 0:
    r = store_read (store, buffer, length, offset);
    if (inside)
      PROMISE (r == 0 && memcmp (buffer, model + offset, length) == 0);
    break;
  case 1:
  case 2:
    fill (data[1], length);
    r = store_write (store, buffer, length, offset, &placement);
    if (r == 0 && inside)
      memcpy (model + offset, buffer, length);
    break;
  case 3:
    r = store_trim (store, length, offset);
    if (r == 0 && inside)
      trim_model (length, offset);
    break;
  case 4:
    r = store_zero (store, length, offset, data[1] & 1, &placement);
    if (r == 0 && inside)
      memset (model + offset, 0, length);
    break;
  case 5:
    next -= next % PAGE_BYTES;
    r = store_extents (store, length, offset, count, &next);
    if (inside && length > 0)
      PROMISE (next >= offset + length);
    break;
  }
  if (inside)
    PROMISE (r == 0);
  else
    PROMISE (r == -1 && errno == EINVAL);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const struct store_options options = {
    .size = SIZE,
    .pool_limit = 8 << 20,
    .tiers = { { 1, { CODEC_LZ4, 0 }, 0 } },
    .tiers_count = 1,
  };

  if (!store)
    PROMISE (store_create (&options, &store) == 0);
  PROMISE (store_trim (store, SIZE, 0) == 0);
  memset (model, 0, SIZE);
  for (; size >= 8; data += 8, size -= 8)
    request (data);
  PROMISE (store_read (store, buffer, SIZE, 0) == 0);
  PROMISE (memcmp (buffer, model, SIZE) == 0);
  PROMISE (store_check (store) == 0);
  return 0;
}
