/* SPDX-License-Identifier: BSD-3-Clause */
/* Why something was not done, for whoever asked: a sentence that travels with
 * errno to where there is somebody to say it to.
 */
#ifndef TIERSWAP_REFUSE_H
#define TIERSWAP_REFUSE_H

/* Return -1 with errno CODE.  *ERROR becomes one sentence to free(), made
 * printf-like, that names the cause and the remedy; NULL if there is no memory
 * for it.
 */
extern int refuse (char **error, int code, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* Say what refuse left in ERROR as an error message, free it, and return -1
 * with errno as it is.
 */
extern int refuse_tell (char *error);

#endif /* TIERSWAP_REFUSE_H */
