/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

#define START_SECONDS 300
#define ARGUMENTS 16

static char directory[] = "/tmp/tierswap-nbd.XXXXXX";
static char socket_path[64], pid_path[64];
static pid_t server; /* 0: none */

static void
remove_directory (void)
{
  unlink (socket_path);
  unlink (pid_path);
  rmdir (directory);
}

static void
clean_up (void)
{
  if (server > 0) {
    kill (server, SIGKILL);
    waitpid (server, NULL, 0);
    server = 0;
  }
  remove_directory ();
}

static void
interrupted (int signal_number)
{
  (void) signal_number;
  clean_up ();
  _exit (EXIT_FAILURE);
}

void
server_start (const char *argument, ...)
{
  const char *build = getenv ("builddir");
  char program[4096];
  const char *arguments[ARGUMENTS]
      = { program,  "-f",      "--exit-with-parent", "-U", socket_path, "-P",
          pid_path, "tierswap" };
  size_t n = 8;
  struct stat status;
  va_list args;

  snprintf (program, sizeof program, "%s/nbdkit", build ? build : ".");
  va_start (args, argument);
  for (; argument; argument = va_arg (args, const char *)) {
    expect (n < ARGUMENTS - 1);
    arguments[n++] = argument;
  }
  va_end (args);

  expect (mkdtemp (directory));
  snprintf (socket_path, sizeof socket_path, "%s/socket", directory);
  snprintf (pid_path, sizeof pid_path, "%s/pid", directory);
  atexit (clean_up);
  signal (SIGINT, interrupted);
  signal (SIGTERM, interrupted);
  signal (SIGHUP, interrupted);

  server = fork ();
  expect (server >= 0);
  if (server == 0) {
    execv (program, (char *const *) arguments);
    fprintf (stderr, "%s: %s\n", program, strerror (errno));
    _exit (127);
  }

  for (int i = 0; stat (pid_path, &status) == -1 || status.st_size == 0; i++) {
    if (waitpid (server, NULL, WNOHANG) == server) {
      server = 0;
      die ("the server did not start");
    }
    if (i == START_SECONDS * 100)
      die ("the server did not start within %d seconds", START_SECONDS);
    nanosleep (&(struct timespec){ .tv_nsec = 10000000 }, NULL);
  }
}

pid_t
server_process (void)
{
  return server;
}

void
server_stop (void)
{
  pid_t pid = server;
  int status;

  if (waitpid (pid, &status, WNOHANG) == 0) {
    kill (pid, SIGTERM);
    expect (waitpid (pid, &status, 0) == pid);
    server = 0;
    if (!WIFEXITED (status) || WEXITSTATUS (status) != 0)
      die ("the server ended with wait status 0x%x", status);
  }
  else {
    server = 0;
    die ("the server ended by itself, wait status 0x%x", status);
  }
}

struct nbd_handle *
server_connect (const char *export)
{
  struct nbd_handle *nbd = nbd_create ();

  if (!nbd)
    die ("nbd_create: %s", nbd_get_error ());
  expect_nbd (nbd_set_export_name (nbd, export));
  expect_nbd (nbd_add_meta_context (nbd, LIBNBD_CONTEXT_BASE_ALLOCATION));
  expect_nbd (nbd_connect_unix (nbd, socket_path));
  expect_nbd (nbd_set_strict_mode (nbd, 0));
  return nbd;
}

uint64_t
random_seed (int argc, char *argv[])
{
  uint64_t seed = argc > 1 ? strtoull (argv[1], NULL, 0)
                           : (uint64_t) time (NULL) * 1000003 + getpid ();

  printf ("seed %" PRIu64 "\n", seed);
  fflush (stdout);
  return seed;
}

/* splitmix64 */
uint64_t
random_next (uint64_t *state)
{
  uint64_t z = *state += UINT64_C (0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * UINT64_C (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

void
random_fill (uint64_t *state, void *buffer, size_t count)
{
  static const char *const words[]
      = { "slot ", "segment ",    "frame ", "tier ",
          "page ", "writeback\n", "0x7f",   ", " };
  uint64_t kind = random_next (state) % 4, word = random_next (state);
  char *p = buffer, *end = p + count;

  if (kind == 3) {
    memset (p, 0, count);
    return;
  }
  while (p < end) {
    const void *from = &word;
    size_t n = sizeof word;

    if (kind != 2)
      word = random_next (state);
    if (kind == 0) {
      from = words[word % 8];
      n = strlen (from);
    }
    if (n > (size_t) (end - p))
      n = end - p;
    memcpy (p, from, n);
    p += n;
  }
}
