/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <lz4hc.h>
#include <zstd.h>

#include "store/codec.h"

#define CODECS 4

/* Levels above this need far more memory than a page can make use of. */
#define ZSTD_MOST 19
#define LZ4_LEAST (-65537) /* LZ4_ACCELERATION_MAX of liblz4 */

struct zstd {
  ZSTD_CCtx *context; /* NULL until it is needed */
  int level;
};

struct codec_context {
  void *lz4;   /* LZ4_sizeofState */
  void *lz4hc; /* LZ4_sizeofStateHC, NULL until a codec needs it */
  struct zstd zstd[CODECS];
  /* Those of groups are their own: one that changes between sizes of input
   * gives back and takes memory as it goes.
   */
  struct zstd zstd_group[CODECS];
  ZSTD_DCtx *zstd_out;
};

static const char *const names[CODEC_KINDS] = {
  [CODEC_NONE] = "none",
  [CODEC_LZ4] = "lz4",
  [CODEC_LZ4HC] = "lz4hc",
  [CODEC_ZSTD] = "zstd",
};

const char *
codec_name (enum codec_kind kind)
{
  return names[kind];
}

int
codec_find (const char *name, enum codec_kind *kind)
{
  for (unsigned i = 0; i < CODEC_KINDS; ++i)
    if (strcmp (name, names[i]) == 0) {
      *kind = i;
      return 0;
    }
  errno = EINVAL;
  return -1;
}

void
codec_levels (enum codec_kind kind, int *least, int *most)
{
  *least = *most = 0;
  switch (kind) {
  case CODEC_LZ4:
    *least = LZ4_LEAST;
    *most = 1;
    break;
  case CODEC_LZ4HC:
    *most = LZ4HC_CLEVEL_MAX;
    break;
  case CODEC_ZSTD:
    *least = ZSTD_minCLevel ();
    *most = ZSTD_MOST;
    break;
  default:
    break;
  }
}

bool
codec_level_valid (enum codec_kind kind, int level)
{
  int least, most;

  codec_levels (kind, &least, &most);
  return level >= least && level <= most;
}

/* Make what CODEC needs to compress, if it is not there yet. */
static int
prepare (struct codec_context *context, struct zstd *zstd, struct codec codec)
{
  switch (codec.kind) {
  case CODEC_LZ4HC:
    if (!context->lz4hc)
      context->lz4hc = malloc (LZ4_sizeofStateHC ());
    return context->lz4hc ? 0 : -1;

  case CODEC_ZSTD:
    if (zstd->context && zstd->level == codec.level)
      return 0;
    if (!zstd->context)
      zstd->context = ZSTD_createCCtx ();
    if (!zstd->context)
      return -1;
    /* The size of a page is known: do not spend bytes on telling it. */
    ZSTD_CCtx_setParameter (zstd->context, ZSTD_c_compressionLevel,
                            codec.level);
    ZSTD_CCtx_setParameter (zstd->context, ZSTD_c_contentSizeFlag, 0);
    zstd->level = codec.level;
    return 0;

  default:
    return 0;
  }
}

struct codec_context *
codec_context_create (const struct codec *codecs, unsigned count)
{
  struct codec_context *context = calloc (1, sizeof *context);
  char page[PAGE_BYTES], out[PAGE_BYTES];

  if (!context)
    return NULL;
  context->lz4 = malloc (LZ4_sizeofState ());
  if (!context->lz4)
    goto fail;

  /* Run each codec once: what it allocates and touches is there from now. */
  for (unsigned i = 0; i < sizeof page; ++i)
    page[i] = i * i / 64;
  for (unsigned i = 0; i < count; ++i) {
    char back[PAGE_BYTES];
    size_t length;

    if (prepare (context, &context->zstd[i], codecs[i]) == -1)
      goto fail;
    length = codec_compress (context, i, codecs[i], page, out, sizeof out);
    if (length)
      codec_decompress (context, codecs[i].kind, out, length, back);
  }
  return context;

fail:
  codec_context_free (context);
  errno = ENOMEM;
  return NULL;
}

void
codec_context_free (struct codec_context *context)
{
  if (!context)
    return;
  for (unsigned i = 0; i < CODECS; ++i) {
    ZSTD_freeCCtx (context->zstd[i].context);
    ZSTD_freeCCtx (context->zstd_group[i].context);
  }
  ZSTD_freeDCtx (context->zstd_out);
  free (context->lz4hc);
  free (context->lz4);
  free (context);
}

static size_t
compress (struct codec_context *context, struct zstd *zstd, struct codec codec,
          const void *in, size_t count, void *out, size_t capacity)
{
  size_t length;
  int n;

  switch (codec.kind) {
  case CODEC_LZ4:
    n = LZ4_compress_fast_extState (context->lz4, in, out, (int) count,
                                    (int) capacity,
                                    codec.level < 0 ? -codec.level : 1);
    return n > 0 ? n : 0;

  case CODEC_LZ4HC:
    if (prepare (context, zstd, codec) == -1)
      return 0;
    n = LZ4_compress_HC_extStateHC (context->lz4hc, in, out, (int) count,
                                    (int) capacity, codec.level);
    return n > 0 ? n : 0;

  case CODEC_ZSTD:
    if (prepare (context, zstd, codec) == -1)
      return 0;
    length = ZSTD_compress2 (zstd->context, out, capacity, in, count);
    return ZSTD_isError (length) ? 0 : length;

  default:
    return 0;
  }
}

size_t
codec_compress (struct codec_context *context, unsigned index,
                struct codec codec, const void *page, void *out,
                size_t capacity)
{
  return compress (context, &context->zstd[index], codec, page, PAGE_BYTES, out,
                   capacity);
}

size_t
codec_compress_group (struct codec_context *context, unsigned index,
                      struct codec codec, const void *in, unsigned pages,
                      void *out, size_t capacity)
{
  return compress (context, &context->zstd_group[index], codec, in,
                   (size_t) pages * PAGE_BYTES, out, capacity);
}

int
codec_decompress (struct codec_context *context, enum codec_kind kind,
                  const void *in, size_t length, void *page)
{
  return codec_decompress_group (context, kind, in, length, page, 1);
}

int
codec_decompress_group (struct codec_context *context, enum codec_kind kind,
                        const void *in, size_t length, void *out,
                        unsigned pages)
{
  const size_t count = (size_t) pages * PAGE_BYTES;
  size_t n = 0;
  int r;

  switch (kind) {
  case CODEC_LZ4:
  case CODEC_LZ4HC:
    r = LZ4_decompress_safe (in, out, (int) length, (int) count);
    n = r > 0 ? r : 0;
    break;

  case CODEC_ZSTD:
    /* Made by the trial run, unless zstd came later. */
    if (!context->zstd_out)
      context->zstd_out = ZSTD_createDCtx ();
    if (!context->zstd_out)
      break;
    n = ZSTD_decompressDCtx (context->zstd_out, out, count, in, length);
    break;

  default:
    break;
  }
  if (n != count) {
    errno = EIO;
    return -1;
  }
  return 0;
}
