/* SPDX-License-Identifier: BSD-3-Clause */
/* What is told: a row for each fault, the call sites of each layer and how many
 * of them failed, and those that never did.
 */
#ifndef TIERSWAP_TEST_REPORT_H
#define TIERSWAP_TEST_REPORT_H

#include <stdbool.h>

struct fault_site;

/* Open the table, tests/faults/fault-matrix.txt, which is where $FAULTS_OUT
 * says or in the build folder.
 */
extern bool report_open (void);
extern void report_close (void);

/* What is said without a fault, as it was now, is not told in rows. */
extern void report_usual (void);

/* What came of SITE failing with ERROR in the SCENARIO. */
extern void report_row (const char *scenario, const struct fault_site *site,
                        int error);

/* The scenario is done; it took so many seconds. */
extern void report_scenario (const char *scenario, double seconds);

/* That the scenario is left out, or is wrong by itself. */
extern void report_left_out (const char *scenario, const char *why);
extern void report_wrong (const char *scenario);

/* The layers and the sums.  False: something was wrong.  ALL: nothing was left
 * out by whoever runs this.
 */
extern bool report_sums (bool all);

#endif /* TIERSWAP_TEST_REPORT_H */
