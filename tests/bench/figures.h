/* SPDX-License-Identifier: BSD-3-Clause */
/* What every benchmark program shares: the captured pages, clocks, medians,
 * and the one way a figure is told.
 *
 * A figure is one line of fields with tabs between them, which bench.sh sets
 * in columns and judges:
 *
 *   figure  NAME  OURS  BESIDE  RATIO  LIMIT  NOTE
 *
 * OURS and BESIDE are text with units, RATIO is the number judged, LIMIT is
 * ">=0.90", "<=1.03", or "-" for what has no aim.
 */
#ifndef TIERSWAP_FIGURES_H
#define TIERSWAP_FIGURES_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/codec.h"

struct pages {
  char *bytes;
  size_t count; /* a multiple of 64 */
};

/* Read the pages of FILE into memory; exits with a message if it cannot. */
extern void pages_load (struct pages *pages, const char *file);

static inline const char *
pages_at (const struct pages *pages, size_t index)
{
  return pages->bytes + index * PAGE_BYTES;
}

/* Seconds. */
static inline double
clock_seconds (clockid_t clock)
{
  struct timespec now;

  clock_gettime (clock, &now);
  return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

extern void sleep_seconds (double seconds);

/* The middle one of COUNT values, which get sorted. */
extern double median (double *values, size_t count);

/* Shuffle 0 to COUNT - 1 into ORDER, the same for the same SEED. */
extern void shuffle (uint32_t *order, size_t count, uint64_t seed);

extern void figure (const char *name, const char *ours, const char *beside,
                    double ratio, const char *limit, const char *note);

/* A line above the figures that follow. */
extern void figure_heading (const char *format, ...)
    __attribute__ ((format (printf, 1, 2)));

/* Text in a static buffer, good for the next few calls. */
extern const char *text (const char *format, ...)
    __attribute__ ((format (printf, 1, 2)));

/* Say what failed and why (errno), and exit. */
extern void fail (const char *what) __attribute__ ((noreturn));

#endif /* TIERSWAP_FIGURES_H */
