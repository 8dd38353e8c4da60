/* SPDX-License-Identifier: BSD-3-Clause */
/* swap-load: a program with more memory than its cgroup lets it have.
 *
 *   swap-load PAGES MEBIBYTES TOUCHES
 *
 * It fills MEBIBYTES with the captured PAGES over and over, each page numbered,
 * and prints the seconds that it took to touch all of it once more in order,
 * then TOUCHES pages at random.  A page that is not what it was is a failure.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "figures.h"

#define WORDS (PAGE_BYTES / sizeof (uint64_t))
#define SAMPLE 4096 /* of the captured pages, spread over all of them */

static uint64_t (*memory)[WORDS];
static size_t count;
static uint64_t sums[SAMPLE];

static uint64_t
sum_of (const uint64_t words[WORDS])
{
  return words[1] + words[WORDS / 2] * 3 + words[WORDS - 1] * 5;
}

static void
fill (const char *file)
{
  struct pages pages;
  size_t step;

  pages_load (&pages, file);
  step = pages.count > SAMPLE ? pages.count / SAMPLE : 1;
  for (size_t i = 0; i < count; ++i) {
    memcpy (memory[i], pages_at (&pages, i % SAMPLE * step % pages.count),
            PAGE_BYTES);
    memory[i][0] = i;
    sums[i % SAMPLE] = sum_of (memory[i]);
  }
  munmap (pages.bytes, pages.count * PAGE_BYTES);
}

/* Touch a page and write to it, so that it has to be written out again. */
static void
touch (size_t page, uint64_t round)
{
  if (memory[page][0] != page || sum_of (memory[page]) != sums[page % SAMPLE]) {
    errno = EIO;
    fail ("a page came back wrong");
  }
  memory[page][2] = round;
}

static void *
map (size_t bytes)
{
  void *p = mmap (NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (p == MAP_FAILED)
    fail ("mmap");
  madvise (p, bytes, MADV_NOHUGEPAGE);
  return p;
}

int
main (int argc, char *argv[])
{
  double start, middle, end;
  uint64_t state = UINT64_C (0x9e3779b97f4a7c15);
  size_t touches;

  if (argc != 4) {
    fputs ("usage: swap-load PAGES MEBIBYTES TOUCHES\n", stderr);
    return 2;
  }
  count = strtoul (argv[2], NULL, 10) * ((1 << 20) / PAGE_BYTES);
  touches = strtoul (argv[3], NULL, 10);
  memory = map (count * PAGE_BYTES);
  fill (argv[1]);

  start = clock_seconds (CLOCK_MONOTONIC);
  for (size_t i = 0; i < count; ++i)
    touch (i, 1);
  middle = clock_seconds (CLOCK_MONOTONIC);
  for (size_t i = 0; i < touches; ++i) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    touch (state * UINT64_C (0x2545f4914f6cdd1d) % count, 2);
  }
  end = clock_seconds (CLOCK_MONOTONIC);
  printf ("%.3f %.3f\n", middle - start, end - middle);
  return 0;
}
