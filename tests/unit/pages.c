/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "pages.h"

uint64_t
random_next (uint64_t *state)
{
  uint64_t z = *state += UINT64_C (0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * UINT64_C (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static void
fill (unsigned char page[4096], uint64_t pattern)
{
  for (unsigned i = 0; i < 4096; i += sizeof pattern)
    memcpy (page + i, &pattern, sizeof pattern);
}

static void
make_text (unsigned char page[4096], uint64_t seed)
{
  static const char words[][12] = {
    "the ",   "page ",    "of ",   "memory ", "is ",      "swapped ",
    "cold ",  "segment ", "and ",  "tier ",   "written ", "reclaim ",
    "frame ", "slot ",    "word ", "kernel ",
  };
  unsigned at = 0;

  while (at < 4096) {
    const char *word = words[random_next (&seed) % 16];
    unsigned length = (unsigned) strlen (word);

    if (length > 4096 - at)
      length = 4096 - at;
    memcpy (page + at, word, length);
    at += length;
  }
}

static void
make_numbers (unsigned char page[4096], uint64_t seed, unsigned random,
              uint64_t mask, uint64_t base)
{
  for (unsigned i = 0; i < 512; ++i) {
    uint64_t n = 0;

    if (i < random)
      n = base + (random_next (&seed) & mask);
    memcpy (page + i * 8, &n, sizeof n);
  }
}

void
page_make (unsigned char page[4096], enum page_kind kind, uint64_t seed)
{
  switch (kind) {
  case PAGE_ZERO:
    fill (page, 0);
    break;
  case PAGE_SMALL:
    fill (page, random_next (&seed) % 1000);
    break;
  case PAGE_WIDE:
    fill (page, random_next (&seed) | UINT64_C (1) << 62);
    break;
  case PAGE_TEXT:
    make_text (page, seed);
    break;
  case PAGE_POINTERS:
    make_numbers (page, seed, 400, 0xffff8, UINT64_C (0x7f1234500000));
    break;
  case PAGE_HALF:
    make_numbers (page, seed, 256, UINT64_MAX, 0);
    break;
  default:
    make_numbers (page, seed, 512, UINT64_MAX, 0);
    break;
  }
}
