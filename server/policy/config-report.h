/* SPDX-License-Identifier: BSD-3-Clause */
/* What a person is told of a configuration that is refused: one line,
 * FILE:LINE: what is wrong; what would be right.  The first mistake found is
 * the one that is told.
 */
#ifndef TIERSWAP_CONFIG_REPORT_H
#define TIERSWAP_CONFIG_REPORT_H

struct config_report {
  const char *name; /* of the file */
  char *text;       /* to free(); NULL: nothing is wrong, or no memory */
  int errnum;       /* 0: nothing is wrong */
};

/* Refuse: for a mistake in line LINE (0: the file as a whole) with errno
 * EINVAL, printf-like.  Always -1.
 */
extern int config_refuse (struct config_report *report, int line,
                          const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* The same for a cause other than a mistake in the text. */
extern int config_refuse_errno (struct config_report *report, int errnum,
                                const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

extern int config_refuse_memory (struct config_report *report);

/* TEXT as a message quotes it: short, on one line, and whole characters if it
 * is UTF-8.
 */
struct config_excerpt {
  char text[64];
};
extern struct config_excerpt config_excerpt (const char *text);

#endif /* TIERSWAP_CONFIG_REPORT_H */
