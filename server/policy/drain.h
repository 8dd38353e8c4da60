/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes back from backings to go elsewhere: everything, from one that is
 * drained; what is left in sparse extents, where free ones run low.  Each does
 * a part of it, and tells whether it did anything.
 */
#ifndef TIERSWAP_DRAIN_H
#define TIERSWAP_DRAIN_H

#include <stdbool.h>

struct writeback;

extern bool drain_all (struct writeback *writeback);
extern bool drain_merge (struct writeback *writeback);

/* Those that shall leave are closed when they are empty. */
extern void drain_close_empty (struct writeback *writeback);

#endif /* TIERSWAP_DRAIN_H */
