/* SPDX-License-Identifier: BSD-3-Clause */
/* Why something could not be done: one sentence for a person, with the remedy.
 *
 * It has a place of its own and is never allocated, because the supervisor has
 * to say it when there is no memory.
 */
#ifndef TIERSWAP_WHY_H
#define TIERSWAP_WHY_H

struct why {
  char text[640];
};

/* Note it, and return -1 with errno set to ERROR. */
extern int why_set (struct why *why, int error, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

#endif /* TIERSWAP_WHY_H */
