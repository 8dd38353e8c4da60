/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/client.h"

void
client_open (struct client *c, int fd, int wake)
{
  *c = (struct client){ .fd = fd, .wake = wake };
}

static void
close_connection (struct client *c)
{
  if (c->fd != -1)
    close (c->fd);
  c->fd = -1;
  free (c->output);
  c->output = NULL;
  c->output_length = c->output_sent = 0;
}

void
client_drop (struct client *c)
{
  close_connection (c);
  if (c->busy)
    atomic_store (&c->command.cancel, true);
}

bool
client_is_free (const struct client *c)
{
  return c->fd == -1 && !c->busy;
}

short
client_events (const struct client *c)
{
  short events = 0;

  /* While one request is at work or its answer is not taken, the next waits
   * in the socket.
   */
  if (!c->ended && !c->closing && !c->busy && c->output_length == 0)
    events |= POLLIN;
  if (c->output_length > 0)
    events |= POLLOUT;
  return events;
}

static void
send_some (struct client *c)
{
  while (c->output_sent < c->output_length) {
    ssize_t n
        = send (c->fd, c->output + c->output_sent,
                c->output_length - c->output_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n == -1 && errno == EINTR)
      continue;
    if (n == -1 && errno == EAGAIN)
      return;
    if (n == -1) {
      client_drop (c);
      return;
    }
    c->output_sent += (size_t) n;
  }
  free (c->output);
  c->output = NULL;
  c->output_length = c->output_sent = 0;
  if (c->closing)
    client_drop (c);
}

/* Send LINE, which is taken, after what waits to be sent. */
static void
answer (struct client *c, char *line)
{
  size_t length = line ? strlen (line) : 0;
  char *output;

  if (c->fd == -1) {
    free (line);
    return;
  }
  output = line ? realloc (c->output, c->output_length + length) : NULL;
  if (!output) { /* no memory to answer with */
    free (line);
    client_drop (c);
    return;
  }
  memcpy (output + c->output_length, line, length);
  free (line);
  c->output = output;
  c->output_length += length;
  send_some (c);
}

void
client_refuse (struct client *c, const char *why, int code)
{
  c->closing = true;
  answer (c, protocol_error (why, code));
}

static void *
run (void *data)
{
  static const uint64_t one = 1;
  struct client *c = data;
  int wake = c->wake;

  command_run (&c->command);
  atomic_store (&c->done, true);
  /* It is full only when the thread has been woken already. */
  (void) !write (wake, &one, sizeof one);
  return NULL;
}

static void
start_long (struct client *c)
{
  sigset_t all, before;
  int error;

  atomic_store (&c->done, false);
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  error = pthread_create (&c->thread, NULL, run, c);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (error)
    answer (c, protocol_error ("no thread could be started for the command",
                               error));
  else
    c->busy = true;
}

static void
take_request (struct client *c, const char *line, size_t length,
              struct device *device)
{
  struct request request;
  char *error;

  if (protocol_parse (line, length, &request, &error) == -1) {
    answer (c, protocol_error (error ? error : "out of memory", errno));
    free (error);
    return;
  }
  if (!c->may_be_long && command_is_long (&request))
    answer (c, protocol_error ("too many long commands are at work; wait for "
                               "one of them",
                               EBUSY));
  else if (command_begin (&c->command, device, &request))
    answer (c, command_end (&c->command));
  else
    start_long (c);
  request_free (&request);
}

/* Take the requests that are here, up to a long one. */
static void
take_requests (struct client *c, struct device *device)
{
  char *end;

  while (c->fd != -1 && !c->busy && !c->closing && c->output_length == 0
         && (end = memchr (c->input, '\n', c->input_length))) {
    size_t length = (size_t) (end - c->input);

    take_request (c, c->input, length, device);
    c->input_length -= length + 1;
    memmove (c->input, end + 1, c->input_length);
  }
  if (c->fd == -1 || c->busy || c->closing || c->output_length > 0)
    return;
  if (c->input_length == sizeof c->input)
    client_refuse (c, "a request is longer than 4096 bytes", EMSGSIZE);
  else if (c->ended)
    client_drop (c);
}

static void
read_some (struct client *c)
{
  ssize_t n = recv (c->fd, c->input + c->input_length,
                    sizeof c->input - c->input_length, MSG_DONTWAIT);

  if (n == -1 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n == -1)
    client_drop (c);
  else if (n == 0)
    c->ended = true; /* it may still take the answers */
  else
    c->input_length += (size_t) n;
}

void
client_serve (struct client *c, short events, struct device *device)
{
  if (c->fd != -1 && (events & POLLOUT))
    send_some (c);
  if (c->fd != -1 && (events & POLLIN))
    read_some (c);
  /* Gone for good: nobody would take an answer. */
  if (c->fd != -1 && (events & (POLLERR | POLLHUP | POLLNVAL))
      && !(events & POLLIN))
    client_drop (c);
  if (c->fd != -1)
    take_requests (c, device);
}

static void
join (struct client *c)
{
  pthread_join (c->thread, NULL);
  c->busy = false;
  answer (c, command_end (&c->command));
}

void
client_look (struct client *c, struct device *device, bool tell)
{
  if (!c->busy)
    return;
  if (atomic_load (&c->done)) {
    join (c);
    take_requests (c, device);
  }
  else if (tell && c->fd != -1 && c->output_length == 0) {
    char *text = command_progress (&c->command);

    if (text)
      answer (c, protocol_progress (text));
    free (text);
  }
}

void
client_finish (struct client *c)
{
  if (c->busy) {
    atomic_store (&c->command.cancel, true);
    join (c);
  }
  client_drop (c);
}
