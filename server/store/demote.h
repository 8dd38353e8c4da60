/* SPDX-License-Identifier: BSD-3-Clause */
/* Demotion: the pages of a segment are recompressed into the next memory
 * tier.
 */
#ifndef TIERSWAP_DEMOTE_H
#define TIERSWAP_DEMOTE_H

#include <stdint.h>

struct store;

/* Recompress the live objects of a claimed segment in memory into the tier
 * after its own, neighbours among them together (group.h), as many as that tier
 * is set to, and end the claim.  Pages read since stay in their tier, as does a
 * page that would not become shorter; a group stays for any of its pages.
 * Returns the pages demoted, or -1 if there was no room or no worker; what was
 * not moved is where it was.
 */
extern int64_t demote_segment (struct store *store, uint32_t segment);

#endif /* TIERSWAP_DEMOTE_H */
