/* SPDX-License-Identifier: BSD-3-Clause */
/* How much memory there is to be had: that of the machine, or less where a
 * cgroup holds this process to less.
 */
#ifndef TIERSWAP_CONFIG_MEMORY_H
#define TIERSWAP_CONFIG_MEMORY_H

#include <stdint.h>

/* The least of MEMORY and the limits of the cgroups (v1 and v2) around this
 * process, as the files under ROOT ("" but for tests) tell them:
 * ROOT/proc/self/cgroup, ROOT/proc/self/mountinfo and what is mounted where
 * that says.  What cannot be read limits nothing.
 */
extern uint64_t config_memory_limit (const char *root, uint64_t memory);

#endif /* TIERSWAP_CONFIG_MEMORY_H */
