/* SPDX-License-Identifier: BSD-3-Clause */
/* What the supervisor reacts to: connections that hang up, each told once,
 * whatever else has them; pauses between starts of a server; and who else looks
 * after the server of a socket.
 */
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/backoff.h"
#include "attach/claim.h"
#include "attach/links.h"

/* A connection as there is one with the kernel: LINK is given to the links,
 * KERNEL is the same socket, and SERVER its other end.
 */
struct connection {
  int link, kernel, server;
};

static struct connection
connect_one (void)
{
  struct connection c;
  int ends[2];

  assert_int_equal (socketpair (AF_UNIX, SOCK_STREAM, 0, ends), 0);
  c = (struct connection){ ends[0], dup (ends[0]), ends[1] };
  assert_true (c.kernel != -1);
  return c;
}

/* How often something is to be done, up to 10. */
static unsigned
wake_ups (const struct links *links)
{
  struct pollfd poll_for = { .fd = links->fd, .events = POLLIN };
  unsigned count = 0;

  while (count < 10 && poll (&poll_for, 1, 0) == 1)
    ++count;
  return count;
}

static void
test_hang_up (void **state)
{
  struct connection c[3];
  struct links links;
  struct why why;

  (void) state;
  assert_int_equal (links_open (&links, &why), 0);
  for (unsigned i = 0; i < 3; ++i) {
    c[i] = connect_one ();
    links_add (&links, c[i].link);
  }
  assert_int_equal (links.count, 3);
  assert_int_equal (wake_ups (&links), 0);

  /* What goes to and fro is none of ours. */
  assert_int_equal (write (c[0].server, "reply", 5), 5);
  assert_int_equal (write (c[1].kernel, "request", 7), 7);
  assert_int_equal (wake_ups (&links), 0);
  assert_int_equal (links_take_hung_up (&links), 0);

  /* The kernel gives one up, and still has it. */
  shutdown (c[0].kernel, SHUT_RDWR);
  assert_int_equal (wake_ups (&links), 10);
  assert_int_equal (links_take_hung_up (&links), 1);
  assert_int_equal (links.count, 2);
  assert_int_equal (wake_ups (&links), 0);
  assert_int_equal (links_take_hung_up (&links), 0);

  /* The server ends, with something unread. */
  close (c[1].server);
  close (c[2].server);
  assert_int_equal (links_take_hung_up (&links), 2);
  assert_int_equal (links.count, 0);
  assert_int_equal (wake_ups (&links), 0);

  links_close (&links);
  links_close (&links);
  for (unsigned i = 0; i < 3; ++i)
    close (c[i].kernel);
  close (c[0].server);
}

/* The connections of one that ends go on. */
static void
test_close (void **state)
{
  struct connection c = connect_one ();
  struct links links;
  struct why why;
  char byte;

  (void) state;
  assert_int_equal (links_open (&links, &why), 0);
  links_add (&links, c.link);
  links_close (&links);
  assert_int_equal (write (c.server, "x", 1), 1);
  assert_int_equal (read (c.kernel, &byte, 1), 1);
  close (c.kernel);
  close (c.server);
}

/* One more than there can be is closed, and one that hangs up makes room. */
static void
test_full (void **state)
{
  struct connection c[OPTIONS_MOST_CONNECTIONS + 1], more;
  struct links links;
  struct why why;

  (void) state;
  assert_int_equal (links_open (&links, &why), 0);
  for (unsigned i = 0; i <= OPTIONS_MOST_CONNECTIONS; ++i) {
    c[i] = connect_one ();
    links_add (&links, c[i].link);
  }
  assert_int_equal (links.count, OPTIONS_MOST_CONNECTIONS);
  assert_int_equal (close (c[OPTIONS_MOST_CONNECTIONS].link), -1);
  assert_int_equal (errno, EBADF);
  for (unsigned i = 0; i < 20; ++i)
    shutdown (c[i].kernel, SHUT_RDWR);
  assert_int_equal (links_take_hung_up (&links), 20);
  more = connect_one ();
  links_add (&links, more.link);
  assert_int_equal (links.count, OPTIONS_MOST_CONNECTIONS - 19);
  links_close (&links);
  for (unsigned i = 0; i <= OPTIONS_MOST_CONNECTIONS; ++i) {
    close (c[i].kernel);
    close (c[i].server);
  }
  close (more.kernel);
  close (more.server);
}

/* Starts of a server that ends AFTER so many milliseconds, in ten minutes. */
static unsigned
starts (int64_t after)
{
  struct backoff backoff = { 0, 0 };
  unsigned count = 0;
  int64_t now = 0;

  while (now < 600000) {
    while (!backoff_is_over (&backoff, now))
      ++now;
    backoff_start (&backoff, now);
    ++count;
    now += after;
    backoff_end (&backoff, now);
  }
  return count;
}

static void
test_backoff (void **state)
{
  static const int64_t pauses[]
      = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
  struct backoff backoff = { 0, 0 };
  int64_t now = 50000;

  (void) state;
  assert_true (backoff_is_over (&backoff, now));
  for (unsigned i = 0; i < sizeof pauses / sizeof pauses[0]; ++i) {
    backoff_start (&backoff, now);
    backoff_end (&backoff, now + 1);
    assert_false (backoff_is_over (&backoff, now + pauses[i] - 1));
    now += pauses[i];
    assert_true (backoff_is_over (&backoff, now));
  }
  /* It ran for a while, and then may end at once again. */
  backoff_start (&backoff, now);
  now += BACKOFF_MOST + 1;
  backoff_end (&backoff, now);
  assert_true (backoff_is_over (&backoff, now));
  backoff_start (&backoff, now);
  backoff_end (&backoff, now);
  assert_false (backoff_is_over (&backoff, now + BACKOFF_LEAST - 1));
  assert_true (backoff_is_over (&backoff, now + BACKOFF_LEAST));

  assert_in_range (starts (0), 60, 70);
  assert_in_range (starts (1), 60, 70);
  assert_in_range (starts (9999), 60, 62);
}

static void
test_claim (void **state)
{
  char folder[] = "/tmp/tierswap-unit.XXXXXX", socket[64], path[96];
  struct claim claim, other;
  struct why why = { "" };
  bool taken = true;
  int status;
  pid_t child;

  (void) state;
  assert_non_null (mkdtemp (folder));
  snprintf (socket, sizeof socket, "%s/nbd.sock", folder);
  assert_int_equal (claim_is_taken (socket, &taken, &why), 0);
  assert_false (taken);
  assert_int_equal (claim_take (&claim, socket, &why), 0);
  child = fork ();
  if (child == 0) {
    bool good = claim_is_taken (socket, &taken, &why) == 0 && taken
                && claim_take (&other, socket, &why) == -1 && errno == EBUSY;

    snprintf (path, sizeof path, "already, by process %d", (int) getppid ());
    _exit (good && strstr (why.text, path) ? 0 : 1);
  }
  assert_int_equal (waitpid (child, &status, 0), child);
  assert_int_equal (status, 0);
  claim_release (&claim);
  assert_int_equal (claim_is_taken (socket, &taken, &why), 0);
  assert_false (taken);

  /* It cannot be told: that is not "no". */
  snprintf (path, sizeof path, "%s.supervisor", socket);
  assert_int_equal (symlink ("elsewhere", path), 0);
  assert_int_equal (claim_is_taken (socket, &taken, &why), -1);
  assert_int_equal (errno, ELOOP);
  assert_non_null (strstr (why.text, path));
  assert_int_equal (claim_take (&claim, socket, &why), -1);
  assert_int_equal (errno, ELOOP);
  unlink (path);
  rmdir (folder);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_hang_up), cmocka_unit_test (test_close),
    cmocka_unit_test (test_full),    cmocka_unit_test (test_backoff),
    cmocka_unit_test (test_claim),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
