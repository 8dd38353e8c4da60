/* SPDX-License-Identifier: BSD-3-Clause */
/* tierswapctl: looks at a tierswap device and steers it, by its control
 * socket.  What a command may be is checked by the server, which knows.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "control/human.h"
#include "control/show.h"
#include "control/usage.h"

#define DEFAULT_SOCKET "/run/tierswap/control.sock"

static const char *socket_path;

__attribute__ ((format (printf, 1, 2), noreturn)) static void
fail (const char *format, ...)
{
  va_list args;

  fflush (stdout);
  fputs ("tierswapctl: ", stderr);
  va_start (args, format);
  vfprintf (stderr, format, args);
  va_end (args);
  fputc ('\n', stderr);
  exit (EXIT_FAILURE);
}

static void
print_help (void)
{
  printf ("tierswapctl looks at a tierswap device and steers it.\n\n"
          "Usage: tierswapctl [-s SOCKET] COMMAND [ARGUMENT...]\n\n"
          "Options:\n"
          "  -s, --socket=SOCKET  the server's control socket (default:\n"
          "                       $TIERSWAP_CONTROL, or\n"
          "                       " DEFAULT_SOCKET ")\n"
          "  -h, --help           show this help\n"
          "  -V, --version        show the version\n\n"
          "Commands:\n");
  for (unsigned i = 0; i < USAGE_COMMANDS; ++i)
    printf ("  %s%s%s\n      %s\n", usages[i].name,
            usages[i].arguments[0] ? " " : "", usages[i].arguments,
            usages[i].help);
  printf ("\nSee tierswapctl(8).\n");
}

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

static int
connect_to_server (void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd;

  if (strlen (socket_path) >= sizeof address.sun_path)
    fail ("socket %s: its path is longer than the %zu bytes that are possible",
          socket_path, sizeof address.sun_path - 1);
  strcpy (address.sun_path, socket_path);
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd == -1)
    fail ("socket: %s", strerror (errno));
  if (connect (fd, (struct sockaddr *) &address, sizeof address) == -1)
    fail ("socket %s: %s%s", socket_path, strerror (errno), remedy (errno));
  return fd;
}

static void
send_request (int fd, char *const words[])
{
  json_t *request = json_array ();
  char *line;
  size_t length, sent = 0;

  for (; *words; ++words)
    if (json_array_append_new (request, json_string (*words)) == -1)
      fail ("the argument \"%s\" is not UTF-8", *words);
  line = json_dumps (request, JSON_COMPACT);
  if (!line)
    fail ("out of memory");
  length = strlen (line);
  line[length++] = '\n'; /* in place of the NUL */
  while (sent < length) {
    ssize_t n = send (fd, line + sent, length - sent, MSG_NOSIGNAL);

    /* The server may have answered before it closed: read that. */
    if (n == -1 && (errno == EPIPE || errno == ECONNRESET))
      break;
    if (n == -1 && errno != EINTR)
      fail ("socket %s: %s", socket_path, strerror (errno));
    if (n > 0)
      sent += (size_t) n;
  }
  free (line);
  json_decref (request);
}

/* Take lines of the answer up to the last, whose result is returned. */
static json_t *
receive (int fd)
{
  FILE *answers = fdopen (fd, "r");
  char *line = NULL;
  size_t room = 0;
  const char *text;
  json_t *json = NULL, *result = NULL;

  if (!answers)
    fail ("out of memory");
  while (!result && getline (&line, &room, answers) > 0) {
    json = json_loads (line, 0, NULL);
    text = json_string_value (json_object_get (json, "error"));
    if (text)
      fail ("%s", text);
    text = json_string_value (json_object_get (json, "progress"));
    result = json_incref (json_object_get (json, "result"));
    if (text) {
      printf ("%s\n", text);
      fflush (stdout);
    }
    else if (!result)
      fail ("socket %s: the server's answer is not understood: is it a "
            "tierswap server of another version?",
            socket_path);
    json_decref (json);
  }
  if (!result)
    fail ("socket %s: the server closed the connection without an answer",
          socket_path);
  free (line);
  fclose (answers);
  return result;
}

static uint64_t
number (const json_t *result, const char *key)
{
  return (uint64_t) json_integer_value (json_object_get (result, key));
}

static void
show_attributes (json_t *result, bool names)
{
  const char *name;
  json_t *value;

  json_object_foreach (result, name, value)
  {
    if (names)
      printf ("%s = ", name);
    printf ("%s\n", json_string_value (value));
  }
}

static void
show_reload (const json_t *result)
{
  json_t *draining = json_object_get (result, "draining"), *name;
  size_t i;

  printf ("%s is in force\n",
          json_string_value (json_object_get (result, "file")));
  json_array_foreach (draining, i, name) printf (
      "backing %s is drained and then closed\n", json_string_value (name));
}

static void
show_result (enum usage_command command, json_t *result, bool json, bool all)
{
  char a[HUMAN_ROOM], b[HUMAN_ROOM];

  if (json) {
    json_dumpf (result, stdout, JSON_INDENT (2));
    putchar ('\n');
    return;
  }
  switch (command) {
  case USAGE_STATUS:
    show_status (result);
    break;
  case USAGE_GET:
    show_attributes (result, all);
    break;
  case USAGE_CGROUP:
    printf ("prio=%llu writeback_prio=%llu writeback_size=%llu",
            (unsigned long long) number (result, "prio"),
            (unsigned long long) number (result, "writeback_prio"),
            (unsigned long long) number (result, "writeback_size"));
    if (number (result, "limit") > 0)
      printf (" limit=%llu", (unsigned long long) number (result, "limit"));
    putchar ('\n');
    break;
  case USAGE_RELOAD:
    show_reload (result);
    break;
  case USAGE_COMPACT:
    printf ("%s are used, %s before\n",
            human_bytes (number (result, "mem_used_bytes"), a),
            human_bytes (number (result, "mem_used_bytes_before"), b));
    break;
  case USAGE_WRITEBACK:
    printf ("%llu pages were written back, %s in %llu segments\n",
            (unsigned long long) number (result, "pages"),
            human_bytes (number (result, "bytes"), a),
            (unsigned long long) number (result, "segments"));
    break;
  default: /* done, and nothing to tell */
    break;
  }
}

static void
take_options (int argc, char *argv[])
{
  static const struct option options[] = {
    { "socket", required_argument, NULL, 's' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
  };
  int option;

  opterr = 0;
  while ((option = getopt_long (argc, argv, "+:s:hV", options, NULL)) != -1)
    switch (option) {
    case 's':
      socket_path = optarg;
      break;
    case 'h':
      print_help ();
      exit (EXIT_SUCCESS);
    case 'V':
      printf ("tierswapctl %s\n", PACKAGE_VERSION);
      exit (EXIT_SUCCESS);
    case ':':
      fail ("option %s needs an argument; see tierswapctl --help",
            argv[optind - 1]);
    default:
      fail ("there is no option %s; see tierswapctl --help", argv[optind - 1]);
    }
}

int
main (int argc, char *argv[])
{
  char names[USAGE_ROOM];
  bool json = false;
  json_t *result;
  int command, fd;

  socket_path = getenv ("TIERSWAP_CONTROL");
  if (!socket_path || !*socket_path)
    socket_path = DEFAULT_SOCKET;
  take_options (argc, argv);
  argv += optind;
  if (!argv[0])
    fail ("a command is missing: %s; see tierswapctl --help",
          usage_names (names));
  command = usage_find (argv[0]);
  if (command == -1)
    fail ("there is no command \"%s\"; there are %s", argv[0],
          usage_names (names));
  if (command == USAGE_STATUS && argv[1] && strcmp (argv[1], "--json") == 0
      && !argv[2]) {
    json = true;
    argv[1] = NULL;
  }

  fd = connect_to_server ();
  send_request (fd, argv);
  result = receive (fd);
  show_result ((enum usage_command) command, result, json, !argv[1]);
  json_decref (result);
  if (fflush (stdout) == EOF || ferror (stdout))
    fail ("standard output: %s", strerror (errno));
  return EXIT_SUCCESS;
}
