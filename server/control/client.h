/* SPDX-License-Identifier: BSD-3-Clause */
/* A client of the control socket: its connection, what was read of its
 * requests, what is to be sent of the answers, and the command that is at
 * work for it.
 *
 * All functions belong to the control thread.  None ever waits: a client that
 * stalls costs one place and at most its buffers.
 */
#ifndef TIERSWAP_CLIENT_H
#define TIERSWAP_CLIENT_H

#include <poll.h>
#include <pthread.h>

#include "control/command.h"

struct client {
  int fd;        /* -1: the place is free, or only its command is left */
  uint64_t turn; /* when it last did anything, in the order of turns */
  bool ended;    /* nothing more is read from it */
  bool closing;  /* it is closed once all is sent */
  char input[PROTOCOL_LINE + 1];
  size_t input_length;
  char *output; /* to send */
  size_t output_length, output_sent;

  bool may_be_long; /* a long command may be begun for it */
  bool busy;        /* a long command is at work: */
  struct command command;
  pthread_t thread;
  _Atomic bool done; /* the thread has ended, or is about to */
  int wake;          /* eventfd to write to then */
};

extern void client_open (struct client *client, int fd, int wake);

/* Drop the connection.  A command at work is told to end; the place is free
 * when that is done (see client_is_free).
 */
extern void client_drop (struct client *client);
extern bool client_is_free (const struct client *client);

/* What to poll for. */
extern short client_events (const struct client *client);

/* Do what poll said can be done. */
extern void client_serve (struct client *client, short events,
                          struct device *device);

/* Look after a long command: its end, or if TELL its progress. */
extern void client_look (struct client *client, struct device *device,
                         bool tell);

/* Send a line and close. */
extern void client_refuse (struct client *client, const char *why, int code);

/* Wait for its command, then drop it: the device goes. */
extern void client_finish (struct client *client);

#endif /* TIERSWAP_CLIENT_H */
