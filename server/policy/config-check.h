/* SPDX-License-Identifier: BSD-3-Clause */
/* The meaning of a configuration: what its values may be, alone and together,
 * and what stands in for those that are not given.
 */
#ifndef TIERSWAP_CONFIG_CHECK_H
#define TIERSWAP_CONFIG_CHECK_H

#include "policy/config-grammar.h"
#include "policy/config.h"

/* Fill CONFIG, which is all zeros, from what was read.  MEMORY is that of the
 * machine in bytes.  -1, and the report says why; the caller gives CONFIG to
 * config_free then too.
 */
extern int config_check (cfg_t *file, uint64_t memory, struct config *config,
                         struct config_report *report);

#endif /* TIERSWAP_CONFIG_CHECK_H */
