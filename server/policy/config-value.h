/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of a configuration: the text of one option to a number, a size, a
 * truth or a path, refused with its line if it is none.
 *
 * In all of these: an option that is not given leaves the result as it is,
 * so that the caller puts its default there before; -1 is a value that is
 * refused, and the report says why.
 */
#ifndef TIERSWAP_CONFIG_VALUE_H
#define TIERSWAP_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/config-grammar.h"
#include "policy/config-report.h"

extern int config_value_number (cfg_t *section, const char *option,
                                unsigned least, unsigned most, unsigned *number,
                                struct config_report *report);

extern int config_value_bool (cfg_t *section, const char *option, bool *truth,
                              struct config_report *report);

/* What a size may be. */
struct config_size_rule {
  uint64_t memory;     /* bytes that "100%" is of; 0: no percentage */
  uint64_t least;      /* bytes */
  uint64_t most;       /* bytes */
  const char *most_is; /* what MOST is, for a message: "pool.limit" */
  const char *remedy;  /* what to write in place of 0; NULL: 0 is allowed */
  bool whole_pages;    /* it must be a multiple of 4096 */
};
extern int config_value_size (cfg_t *section, const char *option,
                              const struct config_size_rule *rule,
                              uint64_t *bytes, struct config_report *report);

/* A path that does not depend on the working folder; "" is NULL. */
extern int config_value_path (cfg_t *section, const char *option, char **path,
                              struct config_report *report);

#endif /* TIERSWAP_CONFIG_VALUE_H */
