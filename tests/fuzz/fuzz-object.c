/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as what a hostile backing answers: a segment whose headers and
 * checksums may be anything, and compressed pages.  Nothing is read past the
 * segment, nothing is written past the page, and a page is whole or refused.
 *
 * The first byte says what the rest is: compressed by which codec, or a
 * segment, with its checksums as they are or made right, as who knows the
 * format would make them.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/codec.h"
#include "store/object.h"

extern int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define PROMISE(truth)                                                         \
  do {                                                                         \
    if (!(truth))                                                              \
      abort ();                                                                \
  } while (0)

#define SEGMENT_MOST (256 * 1024)
#define GUARD 64 /* bytes around a page, for builds without a sanitizer */

static struct codec_context *context;

/* In memory of its own of just that size, for the sanitizer. */
static void
decompress (enum codec_kind kind, const void *stored, size_t length)
{
  unsigned char *in = malloc (length), *page = malloc (PAGE_BYTES + 2 * GUARD);

  PROMISE (in && page);
  memcpy (in, stored, length);
  memset (page, 0xa5, PAGE_BYTES + 2 * GUARD);
  errno = 0;
  if (codec_decompress (context, kind, in, length, page + GUARD) == -1)
    PROMISE (errno == EIO);
  for (unsigned i = 0; i < GUARD; ++i)
    PROMISE (page[i] == 0xa5 && page[GUARD + PAGE_BYTES + i] == 0xa5);
  free (page);
  /* And with nothing behind the page. */
  page = malloc (PAGE_BYTES);
  PROMISE (page != NULL);
  codec_decompress (context, kind, in, length, page);
  free (page);
  free (in);
}

/* Make the checksums of a segment right as far as its headers lead. */
static void
make_checksums (unsigned char *base, uint32_t tail)
{
  uint32_t offset = 0;

  while (tail - offset >= object_units (1)) {
    struct object *object = (struct object *) (base + offset * OBJECT_UNIT);
    uint32_t units = object_units (object->length);

    if (units > tail - offset || object->length == 0)
      break;
    object->checksum
        = object_checksum (object->slot, object->bytes, object->length);
    offset += units;
  }
}

static void
use_segment (const uint8_t *data, size_t size, bool right, enum codec_kind kind)
{
  uint32_t tail = (uint32_t) (size / OBJECT_UNIT), offset = 0;
  unsigned char *base = malloc (tail * OBJECT_UNIT + 1);

  PROMISE (base != NULL);
  memcpy (base, data, tail * OBJECT_UNIT);
  if (right)
    make_checksums (base, tail);
  if (objects_valid (base, tail))
    while (offset < tail) {
      const struct object *object
          = (const struct object *) (base + offset * OBJECT_UNIT);

      PROMISE (object->length >= 1 && object->length <= PAGE_BYTES);
      if (object->length < PAGE_BYTES)
        decompress (kind, object->bytes, object->length);
      offset += object_units (object->length);
      PROMISE (offset <= tail);
    }
  free (base);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const struct codec codecs[] = { { CODEC_LZ4, 0 }, { CODEC_ZSTD, 1 } };
  enum codec_kind kind;

  if (size < 2 || size > SEGMENT_MOST)
    return 0;
  if (!context)
    context = codec_context_create (codecs, 2);
  PROMISE (context != NULL);
  kind = (enum codec_kind) (data[0] % CODEC_KINDS);
  switch (data[0] / CODEC_KINDS % 3) {
  case 0:
    decompress (kind, data + 1, size - 1 < PAGE_BYTES ? size - 1 : PAGE_BYTES);
    break;
  case 1:
    use_segment (data + 1, size - 1, false, kind);
    break;
  default:
    use_segment (data + 1, size - 1, true, kind);
  }
  return 0;
}
