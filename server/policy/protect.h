/* SPDX-License-Identifier: BSD-3-Clause */
/* Protection of a process that serves the memory it relies on.
 *
 * - No page of it is ever swapped: mlockall with MCL_ONFAULT, so that large
 *   sparse tables are locked as they are touched and not populated whole.
 *   This also mends what a plain MCL_FUTURE (nbdkit --swap) would do to them.
 * - Allocation never waits for reclaim I/O, which may be our own:
 *   PR_SET_IO_FLUSHER, inherited by the threads started later.
 * - With no memory left the kernel still gives it some: SCHED_RR, inherited
 *   too.
 * - The program and its libraries are touched, so that serving the first
 *   request takes little new memory.
 * - The OOM killer looks elsewhere: oom_score_adj -1000.
 * - Memory for the buffers of threads is there before they come: what a front
 *   end's thread allocates for its first large request is needed just when the
 *   machine has no memory left but what that request will free.  So all
 *   threads share one heap, and a part of it is touched now.
 */
#ifndef TIERSWAP_PROTECT_H
#define TIERSWAP_PROTECT_H

/* Do all of it, in the process that will serve, before any thread starts and
 * before large memory is mapped.  What is not permitted is told in one
 * warning for all, and is not a failure.
 */
extern void protect_process (void);

#endif /* TIERSWAP_PROTECT_H */
