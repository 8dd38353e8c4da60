/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as what a hostile backing answers: a segment whose headers, members
 * of groups and checksums may be anything, and compressed pages, alone and
 * together.  Nothing is read past the segment, nothing is written past the
 * pages, and they are whole or refused.
 *
 * The first byte says what the rest is: compressed by which codec and how many
 * pages, or a segment, with its checksums as they are or made right, as who
 * knows the format would make them.
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
#define GUARD 64 /* bytes around pages, for builds without a sanitizer */

static struct codec_context *context;

/* In memory of its own of just that size, for the sanitizer. */
static void
decompress (enum codec_kind kind, const void *stored, size_t length,
            unsigned pages)
{
  const size_t count = pages * PAGE_BYTES;
  unsigned char *in = malloc (length), *out = malloc (count + 2 * GUARD);

  PROMISE (in && out);
  memcpy (in, stored, length);
  memset (out, 0xa5, count + 2 * GUARD);
  errno = 0;
  if (codec_decompress_group (context, kind, in, length, out + GUARD, pages)
      == -1)
    PROMISE (errno == EIO);
  for (unsigned i = 0; i < GUARD; ++i)
    PROMISE (out[i] == 0xa5 && out[GUARD + count + i] == 0xa5);
  free (out);
  /* And with nothing behind the pages. */
  out = malloc (count);
  PROMISE (out != NULL);
  codec_decompress_group (context, kind, in, length, out, pages);
  free (out);
  free (in);
}

static struct object *
object_at (unsigned char *base, uint32_t offset)
{
  return (struct object *) (base + (uint64_t) offset * OBJECT_UNIT);
}

/* Make the checksums of a segment right as far as its headers lead. */
static void
make_checksums (unsigned char *base, uint32_t tail)
{
  for (uint32_t offset = 0; offset < tail;) {
    struct object *object = object_at (base, offset);

    if (!object_header_valid (object, tail - offset))
      break;
    object->checksum
        = object_checksum (object->slot, object->bytes, object_length (object));
    offset += object_units (object);
  }
}

/* Each member of a group is a page of it, and as many as it says. */
static void
use_members (const struct object *object)
{
  unsigned pages = 0;

  for (unsigned i = 0; i < GROUP_PAGES; ++i) {
    uint64_t slot = (uint64_t) group_first (object->slot) + i;

    if (object_is_of (object, slot, object_share (object),
                      object_pages (object)))
      PROMISE (object_page_of (object, slot) == pages++);
  }
  PROMISE (pages == object_pages (object));
}

/* A word may point anywhere into a segment that its backing has changed.  What
 * it takes for its page is in the space that it accounts for.
 */
static void
use_words (unsigned char *base, uint32_t tail)
{
  for (uint32_t offset = 0; offset + 3 <= tail; ++offset) {
    const struct object *object = object_at (base, offset);
    uint32_t length = object_share (object), pages = object_pages (object);
    uint32_t units;

    if (length == 0 || length > PAGE_BYTES)
      continue;
    units = object_share_units (length, pages) * pages;
    if (units > tail - offset)
      continue;
    for (unsigned i = 0; i < GROUP_PAGES; ++i) {
      uint64_t slot = (uint64_t) group_first (object->slot) + i;

      if (!object_is_of (object, slot, length, pages))
        continue;
      PROMISE (object_page_of (object, slot) < pages);
      PROMISE (OBJECT_HEADER + object_length (object) <= units * OBJECT_UNIT);
    }
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
  use_words (base, tail);
  if (objects_valid (base, tail, 0))
    while (offset < tail) {
      const struct object *object = object_at (base, offset);
      const unsigned char *stored;
      uint32_t length;

      PROMISE (object_share (object) >= 1
               && object_share (object) <= PAGE_BYTES);
      PROMISE (object_units (object) <= tail - offset);
      offset += object_units (object);
      if (object->slot == OBJECT_FILLER)
        continue;
      if (object_pages (object) > 1)
        use_members (object);
      stored = object_data (object, &length);
      if (object_pages (object) > 1 || length < PAGE_BYTES)
        decompress (kind, stored, length, object_pages (object));
    }
  free (base);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const struct codec codecs[] = { { CODEC_LZ4, 0 }, { CODEC_ZSTD, 1 } };
  enum codec_kind kind;
  unsigned pages;

  if (size < 2 || size > SEGMENT_MOST)
    return 0;
  if (!context)
    context = codec_context_create (codecs, 2);
  PROMISE (context != NULL);
  kind = (enum codec_kind) (data[0] % CODEC_KINDS);
  switch (data[0] / CODEC_KINDS % 3) {
  case 0:
    pages = data[0] / CODEC_KINDS / 3 % GROUP_PAGES + 1;
    decompress (kind, data + 1,
                size - 1 < pages * PAGE_BYTES ? size - 1 : pages * PAGE_BYTES,
                pages);
    break;
  case 1:
    use_segment (data + 1, size - 1, false, kind);
    break;
  default:
    use_segment (data + 1, size - 1, true, kind);
  }
  return 0;
}
