/* SPDX-License-Identifier: BSD-3-Clause */
/* The grammar of a configuration, read by libconfuse: which sections and
 * options there are.  What their values may be is checked after that
 * (config-check.h).
 *
 * libconfuse's lexer has one state for the whole process, so only one thread
 * at a time may be between config_grammar_read and cfg_free.
 */
#ifndef TIERSWAP_CONFIG_GRAMMAR_H
#define TIERSWAP_CONFIG_GRAMMAR_H

#include <confuse.h>

#include "policy/config-report.h"
#include "policy/config-text.h"

/* An option that is set: every value is kept as its text. */
struct config_setting {
  int line;
  char text[];
};

/* Read the text.  The result is to be given to cfg_free; the line of each
 * section in it is that on which it begins.  NULL, and the report says why.
 */
extern cfg_t *config_grammar_read (const struct config_text *text,
                                   struct config_report *report);

/* An option of a section, NULL if it is not set. */
extern const struct config_setting *config_setting (cfg_t *section,
                                                    const char *name);

#endif /* TIERSWAP_CONFIG_GRAMMAR_H */
