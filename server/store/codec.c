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

struct codec_context {
  void *lz4;               /* LZ4_sizeofState */
  void *lz4hc;             /* LZ4_sizeofStateHC, NULL until a codec needs it */
  ZSTD_CCtx *zstd[CODECS]; /* NULL until codec number i is zstd */
  int zstd_level[CODECS];
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
prepare (struct codec_context *context, unsigned index, struct codec codec)
{
  ZSTD_CCtx *zstd = context->zstd[index];

  switch (codec.kind) {
  case CODEC_LZ4HC:
    if (!context->lz4hc)
      context->lz4hc = malloc (LZ4_sizeofStateHC ());
    return context->lz4hc ? 0 : -1;

  case CODEC_ZSTD:
    if (zstd && context->zstd_level[index] == codec.level)
      return 0;
    if (!zstd)
      zstd = context->zstd[index] = ZSTD_createCCtx ();
    if (!zstd)
      return -1;
    /* The size of a page is known: do not spend bytes on telling it. */
    ZSTD_CCtx_setParameter (zstd, ZSTD_c_compressionLevel, codec.level);
    ZSTD_CCtx_setParameter (zstd, ZSTD_c_contentSizeFlag, 0);
    context->zstd_level[index] = codec.level;
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

    if (prepare (context, i, codecs[i]) == -1)
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
  for (unsigned i = 0; i < CODECS; ++i)
    ZSTD_freeCCtx (context->zstd[i]);
  ZSTD_freeDCtx (context->zstd_out);
  free (context->lz4hc);
  free (context->lz4);
  free (context);
}

size_t
codec_compress (struct codec_context *context, unsigned index,
                struct codec codec, const void *page, void *out,
                size_t capacity)
{
  size_t length;
  int n;

  switch (codec.kind) {
  case CODEC_LZ4:
    n = LZ4_compress_fast_extState (context->lz4, page, out, PAGE_BYTES,
                                    (int) capacity,
                                    codec.level < 0 ? -codec.level : 1);
    return n > 0 ? n : 0;

  case CODEC_LZ4HC:
    if (prepare (context, index, codec) == -1)
      return 0;
    n = LZ4_compress_HC_extStateHC (context->lz4hc, page, out, PAGE_BYTES,
                                    (int) capacity, codec.level);
    return n > 0 ? n : 0;

  case CODEC_ZSTD:
    if (prepare (context, index, codec) == -1)
      return 0;
    length = ZSTD_compress2 (context->zstd[index], out, capacity, page,
                             PAGE_BYTES);
    return ZSTD_isError (length) ? 0 : length;

  default:
    return 0;
  }
}

int
codec_decompress (struct codec_context *context, enum codec_kind kind,
                  const void *in, size_t length, void *page)
{
  size_t n = 0;
  int r;

  switch (kind) {
  case CODEC_LZ4:
  case CODEC_LZ4HC:
    r = LZ4_decompress_safe (in, page, (int) length, PAGE_BYTES);
    n = r > 0 ? r : 0;
    break;

  case CODEC_ZSTD:
    /* Made by the trial run, unless zstd came later. */
    if (!context->zstd_out)
      context->zstd_out = ZSTD_createDCtx ();
    if (!context->zstd_out)
      break;
    n = ZSTD_decompressDCtx (context->zstd_out, page, PAGE_BYTES, in, length);
    break;

  default:
    break;
  }
  if (n != PAGE_BYTES) {
    errno = EIO;
    return -1;
  }
  return 0;
}
