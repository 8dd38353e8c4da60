/* SPDX-License-Identifier: BSD-3-Clause */
/* A backing of a rig whose server can be made to hang: an nbdkit that is
 * stopped.  One a process.
 */
#ifndef TIERSWAP_TEST_FAR_H
#define TIERSWAP_TEST_FAR_H

#include "rig.h"

#define FAR_BYTES (16 * MIB)
#define FAR_LATE_SOON 100000000 /* nanoseconds */

extern void far_start (struct rig *rig);

/* One that answers whatever it is asked, but for writes. */
extern void far_start_stuck (struct rig *rig);

/* It is gone, and does not come back; it may hang. */
extern void far_stop (void);

/* Add it as the backing of index 0, which it returns: the first one that is
 * added.  Its requests may take so many seconds.
 */
extern unsigned far_add (struct rig *rig, unsigned prio, unsigned deadline);

/* It refuses all reads from now on, or does not any more. */
extern void far_fail_reads (bool fail);

/* It does not answer any more, and is late a moment later. */
extern void far_hang (struct rig *rig);

/* It goes on where it was. */
extern void far_resume (void);

#endif /* TIERSWAP_TEST_FAR_H */
