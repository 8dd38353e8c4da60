/* SPDX-License-Identifier: BSD-3-Clause */
/* The cleaner's thread does nothing while a test looks: a page that it is just
 * moving counts twice, and its segment is passed over by who looks for what to
 * write back at that moment.
 */
#ifndef TIERSWAP_TEST_REST_H
#define TIERSWAP_TEST_REST_H

#include "store/store.h"

extern void rest_cleaner (struct store *store);
extern void resume_cleaner (struct store *store);

/* What the store counts while the cleaner rests. */
extern struct store_statistics statistics_at_rest (struct store *store);

#endif /* TIERSWAP_TEST_REST_H */
