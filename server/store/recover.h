/* SPDX-License-Identifier: BSD-3-Clause */
/* Recovery: what a state holds is found out, and all that follows from it is
 * built anew (store_recover, store_recover_backing in store.h).
 *
 * First the state is only looked at.  The slot words say how much of each
 * segment is live; walking the headers of each segment in memory must find
 * just that.  Where it does not, the process was killed between reserving space
 * and publishing what it copied there: the segment's objects are then looked up
 * one by one, and what lies between them becomes fillers.  Anything else that
 * does not agree is damage, and then the state is refused and left as it was.
 *
 * Promises:
 * - The cost is one pass over the slot table and one over the headers in
 *   memory; pages on backings are not read.
 * - Nothing in the state is trusted before it is looked at: whatever its bytes
 *   are, recovery ends, with -1 and a sentence if they make no sense.
 * - Afterwards what store_check proves is true.
 */
#ifndef TIERSWAP_RECOVER_H
#define TIERSWAP_RECOVER_H

#include "store/store.h"

#endif /* TIERSWAP_RECOVER_H */
