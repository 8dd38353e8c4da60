/* SPDX-License-Identifier: BSD-3-Clause */
/* What failed in runs of this program, on this machine and in its guest, each
 * of which leaves its notes in a file.
 */
#ifndef TIERSWAP_TEST_NOTES_H
#define TIERSWAP_TEST_NOTES_H

#include <stdbool.h>
#include <stdint.h>

enum note {
  NOTE_NEVER,     /* it was not come to */
  NOTE_NOT_AGAIN, /* it was, but not when it was to fail */
  NOTE_FAILED,
};

/* The SCENARIO was run here. */
extern void notes_ran (const char *scenario);

/* Put what happened here into the file PATH, at once.  What others put into
 * theirs, of the same program, is added to what is known here; false: there is
 * nothing of it.
 */
extern bool notes_write (const char *path);
extern bool notes_read (const char *path);

/* What is known, here and by what was read; ADDRESS is of the program as it
 * lies.
 */
extern enum note notes_of (uintptr_t address);
extern bool notes_have_run (const char *scenario);

#endif /* TIERSWAP_TEST_NOTES_H */
