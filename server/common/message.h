/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages for a person.
 *
 * Errors travel as -1 with errno; the one sentence a person will read goes to
 * the sink that the front end registered (nbdkit's log for the plugin,
 * standard error otherwise).  A message is a whole sentence without a newline
 * that names the cause and, where there is one, the remedy.
 */
#ifndef TIERSWAP_MESSAGE_H
#define TIERSWAP_MESSAGE_H

enum message_kind {
  MESSAGE_ERROR,   /* something asked for was not done */
  MESSAGE_WARNING, /* it works, but less well than it could */
  MESSAGE_NOTICE,  /* a change of state worth a line */
};

typedef void (*message_sink) (enum message_kind kind, const char *text);

/* Route all messages to SINK (NULL: standard error).  Call it before any
 * thread starts.
 */
extern void message_set_sink (message_sink sink);

/* Say one sentence, at most 1023 bytes, printf-like.  errno is kept. */
extern void message (enum message_kind kind, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

#endif /* TIERSWAP_MESSAGE_H */
