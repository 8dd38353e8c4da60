/* SPDX-License-Identifier: BSD-3-Clause */
/* Codecs: how one page becomes fewer bytes and comes back.
 *
 * A codec context belongs to one thread.  It is made once, with everything it
 * will ever need already allocated and touched, so that compressing and
 * decompressing allocate nothing.  Decompression never writes past the page,
 * whatever the bytes say.
 */
#ifndef TIERSWAP_CODEC_H
#define TIERSWAP_CODEC_H

#include <stdbool.h>
#include <stddef.h>

#define PAGE_BYTES 4096

enum codec_kind {
  CODEC_NONE,  /* the page as it is; level 0 only */
  CODEC_LZ4,   /* level 0 or 1: the default; -1 to -65537: acceleration */
  CODEC_LZ4HC, /* level 1 to 12; 0 is the default, 9 */
  CODEC_ZSTD,  /* level -131072 to 19, 0 is the default, 3 */
  CODEC_KINDS
};

struct codec {
  enum codec_kind kind;
  int level;
};

/* "none", "lz4", "lz4hc" or "zstd". */
extern const char *codec_name (enum codec_kind kind);

/* Find a codec by its name.  -1 with errno EINVAL if there is none. */
extern int codec_find (const char *name, enum codec_kind *kind);

/* The levels that KIND takes, both ends included. */
extern void codec_levels (enum codec_kind kind, int *least, int *most);
extern bool codec_level_valid (enum codec_kind kind, int level);

struct codec_context;

/* Make a context that can decompress every codec and compress with the COUNT
 * (at most 4) codecs of the array.  NULL with errno ENOMEM.
 */
extern struct codec_context *codec_context_create (const struct codec *codecs,
                                                   unsigned count);
extern void codec_context_free (struct codec_context *context);

/* Compress one page with codec number INDEX of the context's array.
 * CODEC may differ from the one given at creation (a level changed live): the
 * context is then adjusted first, which may allocate, once.
 * CAPACITY is the room at OUT in bytes.
 * Returns the compressed length in bytes, 1 to CAPACITY, or 0 when the page
 * does not fit there: the caller then stores it raw.
 */
extern size_t codec_compress (struct codec_context *context, unsigned index,
                              struct codec codec, const void *page, void *out,
                              size_t capacity);

/* The same for PAGES pages together, at least two.  What that takes is
 * allocated at the first time.
 */
extern size_t codec_compress_group (struct codec_context *context,
                                    unsigned index, struct codec codec,
                                    const void *in, unsigned pages, void *out,
                                    size_t capacity);

/* Decompress LENGTH bytes to exactly one page.  -1 with errno EIO if they
 * are not the compressed form of one page.
 */
extern int codec_decompress (struct codec_context *context,
                             enum codec_kind kind, const void *in,
                             size_t length, void *page);

/* The same to exactly PAGES pages. */
extern int codec_decompress_group (struct codec_context *context,
                                   enum codec_kind kind, const void *in,
                                   size_t length, void *out, unsigned pages);

#endif /* TIERSWAP_CODEC_H */
