/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients that lie, stall, flood and vanish: so many of each kind are connected
 * to the Unix socket, do what is theirs, and hold on until standard input ends.
 *
 * usage: hostile SOCKET COUNT
 *
 * It speaks the protocol by hand, since no library would do this.
 */
#include <config.h>

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OPTION_MAGIC UINT64_C (0x49484156454f5054)
#define REQUEST_MAGIC 0x25609513u
#define MIB (1024 * 1024)

static const char *path;

static int
connected (void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  snprintf (address.sun_path, sizeof address.sun_path, "%s", path);
  if (fd == -1
      || connect (fd, (struct sockaddr *) &address, sizeof address) == -1) {
    perror (path);
    exit (EXIT_FAILURE);
  }
  return fd;
}

/* As far as the server takes it. */
static void
say (int fd, const void *bytes, size_t length)
{
  (void) !send (fd, bytes, length, MSG_NOSIGNAL);
}

static void
say_option (int fd, uint32_t option, uint32_t length)
{
  struct {
    uint32_t flags;
    uint64_t magic;
    uint32_t option, length;
  } __attribute__ ((packed)) start = { htobe32 (3), htobe64 (OPTION_MAGIC),
                                       htobe32 (option), htobe32 (length) };

  say (fd, &start, sizeof start);
}

static void
read_all (int fd, size_t length)
{
  char bytes[64];

  while (length > 0) {
    ssize_t n = read (fd, bytes, length < sizeof bytes ? length : sizeof bytes);

    if (n <= 0)
      return;
    length -= (size_t) n;
  }
}

/* Ready for requests to the device. */
static int
negotiated (void)
{
  int fd = connected ();

  read_all (fd, 18);
  say_option (fd, 1, 0);
  read_all (fd, 10);
  return fd;
}

static void
say_request (int fd, uint32_t magic, uint16_t type, uint64_t offset,
             uint32_t length)
{
  struct {
    uint32_t magic;
    uint16_t flags, type;
    uint64_t cookie, offset;
    uint32_t length;
  } __attribute__ ((packed)) request
      = { htobe32 (magic), 0, htobe16 (type), 1, htobe64 (offset),
          htobe32 (length) };

  say (fd, &request, sizeof request);
}

static int
silent (void)
{
  return connected ();
}

static int
stalls_in_handshake (void)
{
  int fd = connected ();

  say (fd, "\0\0\0", 3);
  return fd;
}

static int
lies_about_an_option (void)
{
  int fd = connected ();

  say_option (fd, 7, UINT32_MAX);
  return fd;
}

static int
stalls_in_a_header (void)
{
  int fd = negotiated ();

  say (fd, "\x25\x60\x95\x13\0\0\0", 7);
  return fd;
}

static int
stalls_in_a_write (void)
{
  int fd = negotiated ();

  say_request (fd, REQUEST_MAGIC, 1, 0, MIB);
  say (fd, "only these", 10);
  return fd;
}

static int
says_nonsense (void)
{
  int fd = negotiated ();

  say_request (fd, 0xdeadbeef, 0, 0, 4096);
  say_request (fd, REQUEST_MAGIC, 0x7777, 0, 4096);
  return fd;
}

static int
asks_for_too_much (void)
{
  int fd = negotiated ();

  say_request (fd, REQUEST_MAGIC, 0, UINT64_MAX - 4096, 8192);
  say_request (fd, REQUEST_MAGIC, 0, 0, UINT32_MAX);
  say_request (fd, REQUEST_MAGIC, 4, 4096, UINT32_MAX);
  say_request (fd, REQUEST_MAGIC, 1, 0, UINT32_MAX);
  return fd;
}

/* And never reads an answer. */
static int
floods (void)
{
  int fd = negotiated ();

  for (unsigned i = 0; i < 200; ++i) {
    struct pollfd ready = { .fd = fd, .events = POLLOUT };

    if (poll (&ready, 1, 0) != 1 || ready.revents != POLLOUT)
      break;
    say_request (fd, REQUEST_MAGIC, 0, 0, MIB);
  }
  return fd;
}

static int
vanishes (void)
{
  int fd = negotiated ();

  say_request (fd, REQUEST_MAGIC, 0, 0, MIB);
  say_request (fd, REQUEST_MAGIC, 1, 0, MIB);
  close (fd);
  return -1;
}

int
main (int argc, char *argv[])
{
  static int (*const kinds[]) (void) = { silent,
                                         stalls_in_handshake,
                                         lies_about_an_option,
                                         stalls_in_a_header,
                                         stalls_in_a_write,
                                         says_nonsense,
                                         asks_for_too_much,
                                         floods,
                                         vanishes };
  unsigned count;
  char byte;

  if (argc != 3) {
    fprintf (stderr, "usage: hostile SOCKET COUNT\n");
    return EXIT_FAILURE;
  }
  path = argv[1];
  count = (unsigned) strtoul (argv[2], NULL, 10);
  for (unsigned i = 0; i < count; ++i)
    for (unsigned kind = 0; kind < sizeof kinds / sizeof kinds[0]; ++kind)
      kinds[kind]();
  printf ("ready\n");
  fflush (stdout);
  while (read (STDIN_FILENO, &byte, 1) > 0)
    ;
  return EXIT_SUCCESS;
}
