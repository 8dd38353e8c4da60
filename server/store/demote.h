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
 * is set to, and end the claim.  Pages read since stay in their tier and are
 * young again; a group stays for any of its pages.  A page that would not
 * become shorter stays as old as it is, among those of which that is known: who
 * picks for demotion leaves them out (pick.untried). Returns the pages demoted,
 * or -1 if there was no room or no worker; what was not moved is where it was.
 */
extern int64_t demote_segment (struct store *store, uint32_t segment);

#endif /* TIERSWAP_DEMOTE_H */
