/* SPDX-License-Identifier: BSD-3-Clause */
/* What is told: a row for each fault, the call sites of each layer and how many
 * of them failed, and those that never did.
 */
#ifndef TIERSWAP_TEST_REPORT_H
#define TIERSWAP_TEST_REPORT_H

#include <stdbool.h>

struct fault_site;

/* PATH of a file of the matrix with this ENDING, such as ".txt": it is where
 * $FAULTS_OUT says or in tests/faults/ of the build folder.
 */
extern const char *report_path (const char *ending, char path[512]);

/* Open the table, which is such a file. */
extern bool report_open (const char *ending);
extern void report_close (void);

/* Is it a PLACE of ours: "folder/file.c:LINE"? */
extern bool report_is_of_layer (const char *place);

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

/* Call sites that never failed, here or elsewhere, and for which there is no
 * reason.
 */
extern unsigned report_count_open (void);

/* The layers, and the call sites that never failed, here or elsewhere (see
 * notes.h), with the reason.  False: there is one without, and no scenario was
 * LEFT_OUT ("", or a list of them).
 */
extern bool report_coverage (const char *left_out);

/* The sums of this run.  False: something was wrong. */
extern bool report_sums (void);

#endif /* TIERSWAP_TEST_REPORT_H */
