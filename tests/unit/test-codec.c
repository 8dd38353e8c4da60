/* SPDX-License-Identifier: BSD-3-Clause */
/* Every codec at every level gives each kind of page back, and refuses bytes
 * that are not a page.
 */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "pages.h"
#include "store/codec.h"

static void
round_trip (struct codec_context *context, struct codec codec)
{
  unsigned char page[PAGE_BYTES], out[PAGE_BYTES], back[PAGE_BYTES];

  for (unsigned kind = 0; kind < PAGE_KINDS; ++kind) {
    size_t length;

    page_make (page, kind, 7 * kind + 1);
    length = codec_compress (context, 0, codec, page, out, sizeof out - 1);
    if (length == 0) {
      /* Nothing to find, or too fast to find it. */
      assert_true (kind == PAGE_RANDOM || codec.level < -3);
      continue;
    }
    assert_in_range (length, 1, sizeof out - 1);
    memset (back, 0xee, sizeof back);
    assert_int_equal (codec_decompress (context, codec.kind, out, length, back),
                      0);
    assert_memory_equal (page, back, sizeof page);
  }
}

static void
test_levels (void **state)
{
  (void) state;
  for (enum codec_kind kind = CODEC_LZ4; kind < CODEC_KINDS; ++kind) {
    int least, most;

    codec_levels (kind, &least, &most);
    /* All levels but the long tails of accelerations, which are sampled. */
    for (int level = most; level >= least;
         level = level > -20 ? level - 1 : level * 3) {
      struct codec codec = { kind, level };
      struct codec_context *context = codec_context_create (&codec, 1);

      assert_non_null (context);
      assert_true (codec_level_valid (kind, level));
      round_trip (context, codec);
      codec_context_free (context);
    }
    assert_false (codec_level_valid (kind, most + 1));
    assert_false (codec_level_valid (kind, least - 1));
  }
}

static void
test_none (void **state)
{
  struct codec codec = { CODEC_NONE, 0 };
  struct codec_context *context = codec_context_create (&codec, 1);
  unsigned char page[PAGE_BYTES], out[PAGE_BYTES];

  (void) state;
  page_make (page, PAGE_TEXT, 1);
  assert_int_equal (codec_compress (context, 0, codec, page, out, sizeof out),
                    0);
  codec_context_free (context);
}

/* A level changed after the context was made is the one that is used. */
static void
test_level_changes (void **state)
{
  struct codec codec = { CODEC_ZSTD, -50 };
  struct codec_context *context = codec_context_create (&codec, 1);
  unsigned char page[PAGE_BYTES], out[PAGE_BYTES];
  size_t before, after;

  (void) state;
  page_make (page, PAGE_TEXT, 3);
  before = codec_compress (context, 0, codec, page, out, sizeof out);
  codec.level = 19;
  after = codec_compress (context, 0, codec, page, out, sizeof out);
  assert_true (after < before);
  round_trip (context, codec);
  codec = (struct codec){ CODEC_LZ4HC, 9 };
  round_trip (context, codec);
  codec_context_free (context);
}

/* Whatever the bytes are: an error or a whole page, never a byte beyond. */
static void
test_hostile (void **state)
{
  struct codec codec = { CODEC_ZSTD, 1 };
  struct codec_context *context = codec_context_create (&codec, 1);
  unsigned char page[PAGE_BYTES], in[PAGE_BYTES];
  unsigned char guarded[PAGE_BYTES + 64];
  uint64_t seed = 42;
  unsigned refused = 0;

  (void) state;
  for (unsigned round = 0; round < 3000; ++round) {
    enum codec_kind kind = round % 3 == 0   ? CODEC_LZ4
                           : round % 3 == 1 ? CODEC_LZ4HC
                                            : CODEC_ZSTD;
    size_t length;

    page_make (page, PAGE_POINTERS, round);
    codec.kind = kind;
    codec.level = 1;
    length = codec_compress (context, 0, codec, page, in, sizeof in);
    assert_true (length > 0);
    for (unsigned i = 0; i < 1 + round % 5; ++i)
      in[random_next (&seed) % length] ^= 1 << random_next (&seed) % 8;
    memset (guarded + PAGE_BYTES, 0x5a, 64);
    if (codec_decompress (context, kind, in, length - round % 2, guarded)
        == -1) {
      assert_int_equal (errno, EIO);
      refused++;
    }
    for (unsigned i = 0; i < 64; ++i)
      assert_int_equal (guarded[PAGE_BYTES + i], 0x5a);
  }
  assert_true (refused > 0);
  codec_context_free (context);
}

static void
test_names (void **state)
{
  enum codec_kind kind;

  (void) state;
  for (unsigned i = 0; i < CODEC_KINDS; ++i) {
    assert_int_equal (codec_find (codec_name (i), &kind), 0);
    assert_int_equal (kind, i);
  }
  assert_int_equal (codec_find ("lzo", &kind), -1);
  assert_int_equal (errno, EINVAL);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_names),   cmocka_unit_test (test_none),
    cmocka_unit_test (test_levels),  cmocka_unit_test (test_level_changes),
    cmocka_unit_test (test_hostile),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
