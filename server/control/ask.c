/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/ask.h"

static const char *
remedy (int error)
{
  switch (error) {
  case ENOENT:
  case ECONNREFUSED:
    return "; no server listens there: start one with control=SOCKET, or name "
           "its socket with -s";
  case EACCES:
  case EPERM:
    return "; run this as root or as the user that the server runs as";
  default:
    return "";
  }
}

int
ask_open (struct ask *ask, const char *path, struct why *why)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int error;

  *ask = (struct ask){ .path = path };
  if (strlen (path) >= sizeof address.sun_path)
    return why_set (why, ENAMETOOLONG,
                    "socket %.300s: its path is longer than the %zu bytes that "
                    "are possible",
                    path, sizeof address.sun_path - 1);
  strcpy (address.sun_path, path);
  ask->fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (ask->fd == -1)
    return why_set (why, errno, "socket: %s", strerror (errno));
  if (connect (ask->fd, (struct sockaddr *) &address, sizeof address) == 0
      && (ask->answers = fdopen (ask->fd, "r")))
    return 0;
  error = errno;
  close (ask->fd);
  return why_set (why, error, "socket %s: %s%s", path, strerror (error),
                  remedy (error));
}

void
ask_close (struct ask *ask)
{
  if (ask->answers)
    fclose (ask->answers);
  ask->answers = NULL;
}

static int
send_request (struct ask *ask, char *const words[], struct why *why)
{
  json_t *request = json_array ();
  char *line;
  size_t length, sent = 0;

  for (; *words; ++words)
    if (json_array_append_new (request, json_string (*words)) == -1) {
      json_decref (request);
      return why_set (why, EILSEQ, "the argument \"%.300s\" is not UTF-8",
                      *words);
    }
  line = json_dumps (request, JSON_COMPACT);
  json_decref (request);
  if (!line)
    return why_set (why, ENOMEM, "out of memory");
  length = strlen (line);
  line[length++] = '\n'; /* in place of the NUL */
  while (sent < length) {
    ssize_t n = send (ask->fd, line + sent, length - sent, MSG_NOSIGNAL);

    /* The server may have answered before it closed: read that. */
    if (n == -1 && (errno == EPIPE || errno == ECONNRESET))
      break;
    if (n == -1 && errno != EINTR) {
      free (line);
      return why_set (why, errno, "socket %s: %s", ask->path, strerror (errno));
    }
    if (n > 0)
      sent += (size_t) n;
  }
  free (line);
  return 0;
}

/* The errno that an answer names. */
static int
code_of (const json_t *json)
{
  const char *name = json_string_value (json_object_get (json, "code"));

  for (int code = 1; name && code < 256; ++code) {
    const char *other = strerrorname_np (code);

    if (other && strcmp (other, name) == 0)
      return code;
  }
  return EIO;
}

/* One line of the answer.  *RESULT is set by the last.  -1: see WHY. */
static int
take_line (const struct ask *ask, const char *line, json_t **result,
           struct why *why)
{
  json_t *json = json_loads (line, 0, NULL);
  const char *error = json_string_value (json_object_get (json, "error"));
  const char *text = json_string_value (json_object_get (json, "progress"));
  int r = 0;

  *result = json_incref (json_object_get (json, "result"));
  if (error)
    r = why_set (why, code_of (json), "%s", error);
  else if (text) {
    printf ("%s\n", text);
    fflush (stdout);
  }
  else if (!*result)
    r = why_set (why, EPROTO,
                 "socket %s: the server's answer is not understood: is it a "
                 "tierswap server of another version?",
                 ask->path);
  json_decref (json);
  return r;
}

json_t *
ask (struct ask *ask, char *const words[], struct why *why)
{
  json_t *result = NULL;
  char *line = NULL;
  size_t room = 0;
  int r = send_request (ask, words, why);

  while (r == 0 && !result) {
    if (getline (&line, &room, ask->answers) > 0)
      r = take_line (ask, line, &result, why);
    else
      r = why_set (why, ECONNRESET,
                   "socket %s: the server closed the connection without an "
                   "answer",
                   ask->path);
  }
  free (line);
  return result;
}
