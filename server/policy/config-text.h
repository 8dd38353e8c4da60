/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of a configuration, made ready for libconfuse.
 *
 * libconfuse miscounts lines after comments, takes a comment in the middle of
 * a setting for a value, passes over characters that it does not know, and
 * takes the end of the file for the end of a section, of a string and of a
 * comment.  So that line numbers are exact and a file cut short is refused,
 * the text is gone over once before: comments become spaces, and what is left
 * is only words, strings that end on their line, "=", "{" and "}", which
 * balance.
 */
#ifndef TIERSWAP_CONFIG_TEXT_H
#define TIERSWAP_CONFIG_TEXT_H

#include "policy/config-report.h"

struct config_text {
  char *text;              /* for libconfuse; lines are as in the file */
  int *section_lines;      /* on which each section begins, in order */
  unsigned sections_count; /* of which none is inside another */
};

/* Check TEXT and make it ready.  -1, and the report says why, with nothing to
 * free.
 */
extern int config_text_read (const char *text, struct config_text *ready,
                             struct config_report *report);
extern void config_text_free (struct config_text *ready);

#endif /* TIERSWAP_CONFIG_TEXT_H */
