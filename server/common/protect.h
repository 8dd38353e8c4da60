/* SPDX-License-Identifier: BSD-3-Clause */
/* Protection of a process that the memory of others relies on: the server, and
 * what connects it to the kernel again.
 *
 * - No page of it is ever swapped.
 * - Allocation never waits for reclaim I/O, which may be our own:
 *   PR_SET_IO_FLUSHER, inherited by the threads started later.
 * - With no memory left the kernel still gives it some: SCHED_RR.
 * - The OOM killer looks elsewhere: oom_score_adj -1000.
 * - The program and its libraries are touched, so that what it does next takes
 *   little new memory; so is a part of the heap, which is not given back.
 */
#ifndef TIERSWAP_PROTECT_H
#define TIERSWAP_PROTECT_H

#include <stdbool.h>
#include <stddef.h>

struct protection {
  size_t heap;  /* bytes of it that are touched */
  bool sparse;  /* it maps far more than it touches: lock what is touched */
  bool threads; /* they share the heap, and the scheduling is theirs too */
};

#define PROTECT_ROOM 512

/* Do all of it, before any thread starts and before large memory is mapped.
 * False: what is not permitted is in FAILED, with what it needs.
 */
extern bool protect_process (const struct protection *protection,
                             char failed[PROTECT_ROOM]);

/* Set how gladly the OOM killer takes the process: -1000 (not) to 1000. */
extern int protect_set_oom_score (const char *score);

#endif /* TIERSWAP_PROTECT_H */
