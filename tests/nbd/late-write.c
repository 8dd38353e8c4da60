/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes that are late: their client has hung up, and has since had a page of
 * them changed over another connection.  That change must stay.
 */
#include <config.h>

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "server.h"

#define PATIENCE 300 /* seconds */
#define WAIT_FOR 5   /* milliseconds */
#define ROUNDS 20
#define BYTES (4 * 1024 * 1024) /* takes long enough to be overtaken */
#define SMALL (128 * 1024)      /* fits into a socket */

static char late[BYTES], found[PAGE];
static const char zeros[PAGE];
static struct nbd_handle *steady;

static void
pause_a_moment (int i)
{
  if (i == PATIENCE * 1000 / WAIT_FOR)
    die ("the server does not come to it in %d seconds", PATIENCE);
  nanosleep (&(struct timespec){ 0, WAIT_FOR * 1000000 }, NULL);
}

/* The descriptors that the server has open. */
static unsigned
descriptors (void)
{
  char path[64];
  unsigned count = 0;
  DIR *folder;

  snprintf (path, sizeof path, "/proc/%d/fd", (int) server_process ());
  folder = opendir (path);
  expect (folder);
  while (readdir (folder))
    ++count;
  closedir (folder);
  return count;
}

static void
send_late (struct nbd_handle *nbd, size_t bytes)
{
  expect_nbd (nbd_aio_pwrite (nbd, late, bytes, 0, NBD_NULL_COMPLETION, 0));
  while (nbd_aio_get_direction (nbd) & LIBNBD_AIO_DIRECTION_WRITE)
    expect_nbd (nbd_poll (nbd, 0));
}

/* Hang up, and change what was written last over the other connection, as
 * STOPPED says before the server goes on or while it does.
 */
static void
overtake (struct nbd_handle *nbd, size_t bytes, unsigned before, bool stopped)
{
  int64_t cookie;

  expect (shutdown (nbd_aio_get_fd (nbd), SHUT_RDWR) == 0);
  cookie = nbd_aio_zero (steady, PAGE, bytes - PAGE, NBD_NULL_COMPLETION, 0);
  expect_nbd (cookie);
  if (stopped)
    expect (kill (server_process (), SIGCONT) == 0);
  for (int done = 0; done == 0;) {
    expect_nbd (nbd_poll (steady, PATIENCE * 1000));
    done = nbd_aio_command_completed (steady, cookie);
    expect_nbd (done);
  }
  for (int i = 0; descriptors () > before; ++i)
    pause_a_moment (i);
  expect_nbd (nbd_pread (steady, found, PAGE, bytes - PAGE, 0));
  expect (memcmp (found, zeros, PAGE) == 0);
  nbd_close (nbd);
}

/* It is in the socket until after the hang-up. */
static void
overtake_in_socket (void)
{
  unsigned before = descriptors ();
  struct nbd_handle *nbd = server_connect ("");

  expect (kill (server_process (), SIGSTOP) == 0);
  send_late (nbd, SMALL);
  overtake (nbd, SMALL, before, true);
}

/* The server has it all, and is at work. */
static void
overtake_at_work (void)
{
  unsigned before = descriptors ();
  struct nbd_handle *nbd = server_connect ("");
  int unread = 1;

  send_late (nbd, BYTES);
  while (unread > 0)
    expect (ioctl (nbd_aio_get_fd (nbd), SIOCOUTQ, &unread) == 0);
  overtake (nbd, BYTES, before, false);
}

int
main (int argc, char *argv[])
{
  uint64_t state = random_seed (argc, argv);

  random_fill (&state, late, sizeof late);
  memset (late + SMALL - PAGE, 'L', PAGE);
  memset (late + BYTES - PAGE, 'L', PAGE);
  server_start ("--threads=1", "size=16M", NULL);
  steady = server_connect ("");

  for (int i = 0; i < ROUNDS; ++i) {
    overtake_in_socket ();
    overtake_at_work ();
  }

  expect_nbd (nbd_shutdown (steady, 0));
  nbd_close (steady);
  server_stop ();
  return EXIT_SUCCESS;
}
