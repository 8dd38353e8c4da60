/* SPDX-License-Identifier: BSD-3-Clause */
/* tierswapctl: looks at a tierswap device and steers it, by its control
 * socket.  What a command may be is checked by the server, which knows, but for
 * those commands that are carried out here.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "attach/commands.h"
#include "control/ask.h"
#include "control/human.h"
#include "control/metrics.h"
#include "control/show.h"
#include "control/top.h"
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

/* The commands that are carried out here.  They print what they have to, and
 * fail with a sentence; ARGUMENTS are what follows their name, up to a NULL.
 */
static const struct local {
  struct usage usage;
  int (*run) (const char *socket, char *const arguments[], struct why *why);
} locals[] = {
  { { "top", "[-b] [-n COUNT] [-d SECONDS]",
      "watch tiers, backings and the cgroups that use most" },
    top },
  { { "metrics", "", "the statistics in the text format of Prometheus" },
    metrics },
  { { "attach",
      "/dev/nbdN [priority=N] [connections=N] [socket=PATH] "
      "[timeout=SECONDS] [patience=SECONDS]",
      "connect the kernel's nbd disk to the server and swap on it" },
    attach_command },
  { { "detach", "/dev/nbdN [wait=SECONDS] [--force]",
      "swap off and disconnect" },
    detach_command },
  { { "reconnect",
      "/dev/nbdN [socket=PATH] [timeout=SECONDS] "
      "[patience=SECONDS]",
      "new connections for dead ones, after the server was restarted" },
    reconnect_command },
  { { "supervise", "/dev/nbdN [as attach, detach] [-- SERVER [ARGUMENT...]]",
      "attach and look after it, and restart the server" },
    supervise_command },
  { { "watch", "DEVICE", "know whose pages come from a disk" }, watch_command },
  { { "unwatch", "DEVICE", "no longer" }, unwatch_command },
};
#define LOCALS (sizeof locals / sizeof locals[0])

static const struct local *
local_find (const char *name)
{
  for (unsigned i = 0; i < LOCALS; ++i)
    if (strcmp (locals[i].usage.name, name) == 0)
      return &locals[i];
  return NULL;
}

static void
print_usage (const struct usage *usage)
{
  printf ("  %s%s%s\n      %s\n", usage->name, usage->arguments[0] ? " " : "",
          usage->arguments, usage->help);
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
    if (!local_find (usages[i].name))
      print_usage (&usages[i]);
  for (unsigned i = 0; i < LOCALS; ++i)
    print_usage (&locals[i].usage);
  printf ("\nSee tierswapctl(8).\n");
}

/* "status, get, ..." */
static const char *
command_names (void)
{
  static char text[USAGE_ROOM + 16 * LOCALS];
  size_t length = strlen (usage_names (text));

  for (unsigned i = 0; i < LOCALS; ++i)
    if (usage_find (locals[i].usage.name) == -1)
      length += (size_t) snprintf (text + length, sizeof text - length, ", %s",
                                   locals[i].usage.name);
  return text;
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
show_check (const json_t *result)
{
  uint64_t unsettled = number (result, "unsettled");
  uint64_t lost = number (result, "pages_lost");

  printf ("%llu pages and %llu same-filled ones are where they should be, the "
          "counts of %llu segments add up\n",
          (unsigned long long) number (result, "pages"),
          (unsigned long long) number (result, "pages_same"),
          (unsigned long long) number (result, "segments"));
  if (lost)
    printf (
        "%llu of these pages were damaged in memory and are lost: they read "
        "as errors until they are written anew\n",
        (unsigned long long) lost);
  if (unsettled)
    printf ("%llu segments changed whenever they were looked at\n",
            (unsigned long long) unsettled);
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
  case USAGE_CHECK:
    show_check (result);
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

/* A command that the server carries out. */
static void
ask_server (char *words[])
{
  int command = usage_find (words[0]);
  struct why why;
  bool json = false;
  struct ask server;
  json_t *result;

  if (command == -1)
    fail ("there is no command \"%s\"; there are %s", words[0],
          command_names ());
  if (command == USAGE_STATUS && words[1] && strcmp (words[1], "--json") == 0
      && !words[2]) {
    json = true;
    words[1] = NULL;
  }
  if (ask_open (&server, socket_path, &why) == -1
      || !(result = ask (&server, words, &why)))
    fail ("%s", why.text);
  ask_close (&server);
  show_result ((enum usage_command) command, result, json, !words[1]);
  json_decref (result);
}

int
main (int argc, char *argv[])
{
  const struct local *local;
  struct why why;

  socket_path = getenv ("TIERSWAP_CONTROL");
  if (!socket_path || !*socket_path)
    socket_path = DEFAULT_SOCKET;
  take_options (argc, argv);
  argv += optind;
  if (!argv[0])
    fail ("a command is missing: %s; see tierswapctl --help", command_names ());
  local = local_find (argv[0]);
  if (!local)
    ask_server (argv);
  else if (local->run (socket_path, argv + 1, &why) == -1)
    fail ("%s", why.text);
  if (fflush (stdout) == EOF || ferror (stdout))
    fail ("standard output: %s", strerror (errno));
  return EXIT_SUCCESS;
}
