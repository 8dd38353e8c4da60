/* SPDX-License-Identifier: BSD-3-Clause */
/* What leaves memory, or goes to a denser tier, by itself: because the pool or
 * a cap is too full, or by its age.  Each does a part of it, and tells whether
 * it did anything.
 */
#ifndef TIERSWAP_RELIEF_H
#define TIERSWAP_RELIEF_H

#include <stdbool.h>

struct writeback;

/* The pool is above its mark, or writers wait. */
extern bool relief_pool (struct writeback *writeback);

/* Cgroups have more in memory than the cap they are under allows. */
extern bool relief_caps (struct writeback *writeback);

/* Segments were not written to for so long. */
extern bool relief_write_aged (struct writeback *writeback);
extern bool relief_demote (struct writeback *writeback);

#endif /* TIERSWAP_RELIEF_H */
