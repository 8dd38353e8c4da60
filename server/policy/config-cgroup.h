/* SPDX-License-Identifier: BSD-3-Clause */
/* The policies of cgroups as a configuration gives them. */
#ifndef TIERSWAP_CONFIG_CGROUP_H
#define TIERSWAP_CONFIG_CGROUP_H

#include "policy/config-grammar.h"
#include "policy/config.h"

/* Fill the cgroups of CONFIG, whose tiers and backings are there already.
 * What a section leaves out is taken from the nearest ancestor that has one,
 * but for the limit.  -1, and the report says why.
 */
extern int config_check_cgroups (cfg_t *file, uint64_t memory,
                                 struct config *config,
                                 struct config_report *report);

#endif /* TIERSWAP_CONFIG_CGROUP_H */
