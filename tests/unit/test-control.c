/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket: who may use it and where it may be, and clients that
 * mean ill or are broken, none of which keeps another from its answer.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/control.h"
#include "control/protocol.h"

#define PATIENCE 300 /* seconds, then something hangs */

static char folder[] = "/tmp/tierswap-test-XXXXXX";
static char path[64];
static struct device *device;
static struct control *control;

static mode_t first_mode; /* of the socket, when its name has just appeared */

/* In the place of the C library's, with the mask of a careless user. */
int
bind (int fd, const struct sockaddr *address, socklen_t length)
{
  mode_t mask = umask (0);
  long r = syscall (SYS_bind, fd, address, length);
  struct stat st;

  umask (mask);
  if (r == 0
      && stat (((const struct sockaddr_un *) address)->sun_path, &st) == 0)
    first_mode = st.st_mode;
  return (int) r;
}

static int
setup (void **state)
{
  (void) state;
  assert_non_null (mkdtemp (folder));
  snprintf (path, sizeof path, "%s/socket", folder);
  assert_int_equal (device_create (NULL, "64M", &device), 0);
  assert_int_equal (device_start (device), 0);
  return 0;
}

static int
teardown (void **state)
{
  (void) state;
  device_free (device);
  return rmdir (folder);
}

static int
start (void **state)
{
  char *error;

  (void) state;
  if (control_start (device, path, &control, &error) == 0)
    return 0;
  print_error ("%s\n", error);
  return -1;
}

static int
stop (void **state)
{
  (void) state;
  control_stop (control);
  control = NULL;
  return access (path, F_OK) == -1 && errno == ENOENT ? 0 : -1;
}

static struct sockaddr_un
address (void)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };

  strcpy (a.sun_path, path);
  return a;
}

static int
try_connect (void)
{
  const struct sockaddr_un a = address ();
  const struct timeval patience = { .tv_sec = PATIENCE };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_int_not_equal (fd, -1);
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect (fd, (const struct sockaddr *) &a, sizeof a) == -1) {
    close (fd);
    return -1;
  }
  return fd;
}

static int
connected (void)
{
  int fd = try_connect ();

  assert_int_not_equal (fd, -1);
  return fd;
}

/* As much as the server takes: it may close in the middle. */
static void
say (int fd, const void *bytes, size_t count)
{
  const char *p = bytes;

  while (count > 0) {
    ssize_t n = send (fd, p, count, MSG_NOSIGNAL);

    if (n <= 0)
      return;
    p += n;
    count -= (size_t) n;
  }
}

/* A line of an answer, without its newline; "" at the end. */
static void
hear (int fd, char *line, size_t room)
{
  size_t n = 0;
  ssize_t r;

  while (n + 1 < room && (r = recv (fd, line + n, 1, 0)) == 1
         && line[n] != '\n')
    n++;
  assert_true (n + 1 < room);
  line[n] = '\0';
}

static void
answers (int fd, const char *request, const char *part)
{
  char line[PROTOCOL_LINE];

  say (fd, request, strlen (request));
  hear (fd, line, sizeof line);
  if (!strstr (line, part)) {
    print_error ("%.100s is answered by '%.200s', expected '%s'\n", request,
                 line, part);
    fail ();
  }
}

/* A new client gets its answer. */
static void
is_well (void)
{
  int fd = connected ();

  answers (fd, "[\"get\",\"size\"]\n", "{\"result\":{\"size\":\"67108864\"}}");
  close (fd);
}

static void
is_closed (int fd)
{
  char byte;

  /* Not a time-out. */
  if (recv (fd, &byte, 1, 0) != 0)
    assert_int_equal (errno, ECONNRESET);
  close (fd);
}

static void
refused (const char *where, int code)
{
  struct control *other = NULL;
  char *error = NULL;

  errno = 0;
  assert_int_equal (control_start (device, where, &other, &error), -1);
  assert_int_equal (errno, code);
  assert_non_null (error);
  assert_null (strchr (error, '\n'));
  free (error);
}

static void
test_mode (void **state)
{
  struct stat st;

  (void) state;
  assert_int_equal (lstat (path, &st), 0);
  assert_true (S_ISSOCK (st.st_mode));
  assert_int_equal (st.st_mode & 07777, 0600);
  assert_int_equal (first_mode, st.st_mode);
  assert_int_equal (st.st_uid, geteuid ());
  is_well ();
}

static void
test_places (void **state)
{
  char other[200];

  (void) state;
  refused ("", EINVAL);
  memset (other, 'x', sizeof other - 1);
  other[sizeof other - 1] = '\0';
  refused (other, EINVAL);
  snprintf (other, sizeof other, "%s/nothing/socket", folder);
  refused (other, ENOENT);
  refused (folder, EEXIST);
  snprintf (other, sizeof other, "%s/file", folder);
  close (open (other, O_CREAT | O_WRONLY, 0600));
  refused (other, EEXIST);
  assert_int_equal (unlink (other), 0);
  /* A server listens there. */
  refused (path, EADDRINUSE);
  is_well ();
}

/* What a server that was killed left behind is replaced. */
static void
test_stale (void **state)
{
  const struct sockaddr_un a = address ();
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_int_equal (bind (fd, (const struct sockaddr *) &a, sizeof a), 0);
  close (fd);
  assert_int_equal (try_connect (), -1);
  assert_int_equal (start (state), 0);
  is_well ();
  assert_int_equal (stop (state), 0);
}

/* Only its own socket is taken away at the end. */
static void
test_replaced (void **state)
{
  struct control *first;

  assert_int_equal (start (state), 0);
  first = control;
  assert_int_equal (unlink (path), 0);
  assert_int_equal (start (state), 0);
  control_stop (first);
  is_well ();
  assert_int_equal (stop (state), 0);
}

static void
test_garbage (void **state)
{
  char bytes[PROTOCOL_LINE];
  uint64_t seed = 1;

  (void) state;
  for (unsigned i = 0; i < 50; ++i) {
    int fd = connected ();

    for (size_t j = 0; j < sizeof bytes; ++j) {
      seed = seed * UINT64_C (6364136223846793005) + 1;
      bytes[j] = (char) (seed >> 56);
    }
    say (fd, bytes, sizeof bytes);
    shutdown (fd, SHUT_WR);
    close (fd);
    is_well ();
  }
}

static void
test_long_lines (void **state)
{
  static char line[1 << 20];
  char answer[PROTOCOL_LINE];
  int fd = connected ();

  (void) state;
  /* One that is just short enough, and is an answer longer than its line. */
  memset (line, ' ', sizeof line);
  memcpy (line, "[\"get\",\"size\"]", 14);
  line[PROTOCOL_LINE] = '\n';
  say (fd, line, PROTOCOL_LINE + 1);
  hear (fd, answer, sizeof answer);
  assert_non_null (strstr (answer, "result"));
  /* One byte more. */
  line[PROTOCOL_LINE] = ' ';
  say (fd, line, PROTOCOL_LINE + 1);
  hear (fd, answer, sizeof answer);
  assert_non_null (strstr (answer, "longer"));
  is_closed (fd);

  fd = connected ();
  memset (line, '[', sizeof line);
  say (fd, line, sizeof line);
  close (fd);
  is_well ();
}

static void
test_half_a_line (void **state)
{
  (void) state;
  for (unsigned i = 0; i < 50; ++i) {
    int fd = connected ();

    say (fd, "[\"compact\"", 10);
    close (fd);
    is_well ();
  }
}

/* Gone before the answer, of short and of long commands. */
static void
test_vanishes (void **state)
{
  (void) state;
  for (unsigned i = 0; i < 50; ++i) {
    int fd = connected ();

    say (fd, "[\"status\"]\n[\"compact\"]\n[\"status\"]\n", 35);
    close (fd);
    is_well ();
  }
}

/* Idle clients make room for new ones. */
static void
test_100_connections (void **state)
{
  int fds[100];

  (void) state;
  for (unsigned i = 0; i < 100; ++i) {
    fds[i] = connected ();
    say (fds[i], "[\"get\",", 7);
  }
  is_well ();
  for (unsigned i = 0; i < 50; ++i)
    is_closed (fds[i]);
  /* The last one was never in the way. */
  answers (fds[99], "\"size\"]\n", "67108864");
  for (unsigned i = 50; i < 100; ++i)
    close (fds[i]);
  is_well ();
}

/* One that asks and never takes an answer: the server stops to read it. */
static void
test_stalls (void **state)
{
  static const char request[] = "[\"status\"]\n";
  int fd = connected ();
  ssize_t n;
  size_t sent = 0;

  (void) state;
  fcntl (fd, F_SETFL, O_NONBLOCK);
  do {
    struct pollfd can = { .fd = fd, .events = POLLOUT };

    is_well ();
    n = send (fd, request + sent % 11, 11 - sent % 11, MSG_NOSIGNAL);
    if (n > 0)
      sent += (size_t) n;
    else if (poll (&can, 1, 200) == 0)
      break; /* nothing more fits into its socket */
  } while (sent < (64 << 20));
  assert_true (sent < (64 << 20));
  is_well ();
  close (fd);
  is_well ();
}

static void
test_order (void **state)
{
  static const char requests[]
      = "[\"get\",\"size\"]\n[\"compact\"]\n[\"nonsense\"]\n"
        "[\"get\",\"tier.fast.prio\"]\n";
  char line[PROTOCOL_LINE];
  int fd = connected ();

  (void) state;
  say (fd, requests, strlen (requests));
  shutdown (fd, SHUT_WR);
  hear (fd, line, sizeof line);
  assert_non_null (strstr (line, "67108864"));
  do
    hear (fd, line, sizeof line);
  while (strstr (line, "progress"));
  assert_non_null (strstr (line, "mem_used_bytes"));
  hear (fd, line, sizeof line);
  assert_non_null (strstr (line, "\"EINVAL\""));
  assert_non_null (strstr (line, "status, get, set"));
  hear (fd, line, sizeof line);
  assert_string_equal (line, "{\"result\":{\"tier.fast.prio\":\"1\"}}");
  is_closed (fd);
}

/* It stops with clients there. */
static void
test_stop (void **state)
{
  int idle, half;

  assert_int_equal (start (state), 0);
  idle = connected ();
  half = connected ();
  say (half, "[\"comp", 6);
  assert_int_equal (stop (state), 0);
  is_closed (idle);
  is_closed (half);
  assert_int_equal (try_connect (), -1);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (test_mode, start, stop),
    cmocka_unit_test_setup_teardown (test_places, start, stop),
    cmocka_unit_test (test_stale),
    cmocka_unit_test (test_replaced),
    cmocka_unit_test_setup_teardown (test_garbage, start, stop),
    cmocka_unit_test_setup_teardown (test_long_lines, start, stop),
    cmocka_unit_test_setup_teardown (test_half_a_line, start, stop),
    cmocka_unit_test_setup_teardown (test_vanishes, start, stop),
    cmocka_unit_test_setup_teardown (test_100_connections, start, stop),
    cmocka_unit_test_setup_teardown (test_stalls, start, stop),
    cmocka_unit_test_setup_teardown (test_order, start, stop),
    cmocka_unit_test (test_stop),
  };

  return cmocka_run_group_tests (tests, setup, teardown);
}
