/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/handshake.h"

#define PATIENCE 30000 /* milliseconds */

/* Everything on the wire is big-endian. */
#define MAGIC UINT64_C (0x4e42444d41474943)        /* "NBDMAGIC" */
#define OPTION_MAGIC UINT64_C (0x49484156454f5054) /* "IHAVEOPT" */
#define OLD_MAGIC UINT64_C (0x00420281861253)
#define ANSWER_MAGIC UINT64_C (0x0003e889045565a9)
#define REQUEST_MAGIC UINT32_C (0x25609513)
#define REPLY_MAGIC UINT32_C (0x67446698)

#define FIXED_NEWSTYLE 1U
#define NO_ZEROES 2U

#define OPTION_GO 7U
#define INFO_EXPORT 0U
#define INFO_BLOCK_SIZE 3U

#define ANSWER_ACK 1U
#define ANSWER_INFO 3U
#define ANSWER_UNSUPPORTED 0x80000001U
#define ANSWER_POLICY 0x80000002U
#define ANSWER_TLS_REQUIRED 0x80000005U
#define ANSWER_UNKNOWN 0x80000006U
#define ANSWER_SHUTDOWN 0x80000007U

#define COMMAND_READ 0U
#define COMMAND_DISCONNECT 2U

struct greeting {
  uint64_t magic, option_magic;
  uint16_t flags;
} __attribute__ ((packed));

/* NBD_OPT_GO for the export "", asking for block sizes. */
struct go {
  uint32_t client_flags;
  uint64_t magic;
  uint32_t option, length;
  uint32_t name_length;
  uint16_t infos, info;
} __attribute__ ((packed));

struct answer {
  uint64_t magic;
  uint32_t option, type, length;
} __attribute__ ((packed));

struct request {
  uint32_t magic;
  uint16_t flags, type;
  uint64_t cookie, offset;
  uint32_t length;
} __attribute__ ((packed));

struct reply {
  uint32_t magic, error;
  uint64_t cookie;
} __attribute__ ((packed));

/* What a server may tell about an export, or in an error, at most. */
#define ANSWER_ROOM 4096

static int
receive (int fd, void *buffer, size_t length, struct why *why)
{
  char *p = buffer;

  while (length > 0) {
    struct pollfd poll_for = { .fd = fd, .events = POLLIN };
    int ready = poll (&poll_for, 1, PATIENCE);
    ssize_t n;

    if (ready == 0)
      return why_set (why, ETIMEDOUT,
                      "the server did not answer for %d seconds: it hangs, or "
                      "it is no NBD server (socket=PATH is what nbdkit was "
                      "given with -U, not its control socket)",
                      PATIENCE / 1000);
    n = ready == -1 ? -1 : recv (fd, p, length, 0);
    if (n == 0)
      return why_set (why, ECONNRESET,
                      "the server closed the connection: its own messages "
                      "tell why");
    if (n == -1 && errno != EINTR)
      return why_set (why, errno, "%s", strerror (errno));
    if (n > 0) {
      p += n;
      length -= (size_t) n;
    }
  }
  return 0;
}

/* What is sent is small, and goes into the buffer of the socket at once. */
static int
transmit (int fd, const void *buffer, size_t length, struct why *why)
{
  const char *p = buffer;

  while (length > 0) {
    ssize_t n = send (fd, p, length, MSG_NOSIGNAL);

    if (n == -1 && errno != EINTR)
      return why_set (why, errno, "%s", strerror (errno));
    if (n > 0) {
      p += n;
      length -= (size_t) n;
    }
  }
  return 0;
}

static int
greet (int fd, uint16_t *flags, struct why *why)
{
  struct greeting greeting;

  /* The last two bytes come only in the new style. */
  if (receive (fd, &greeting, offsetof (struct greeting, flags), why) == -1)
    return -1;
  if (be64toh (greeting.magic) != MAGIC)
    return why_set (why, EPROTO,
                    "this is no NBD server: socket=PATH is what nbdkit was "
                    "given with -U");
  if (be64toh (greeting.option_magic) == OLD_MAGIC)
    return why_set (why, EPROTO,
                    "the server shakes hands in the old style only: start it "
                    "without --oldstyle");
  if (be64toh (greeting.option_magic) != OPTION_MAGIC)
    return why_set (why, EPROTO,
                    "the server shakes hands in a way that nobody knows");
  if (receive (fd, &greeting.flags, sizeof greeting.flags, why) == -1)
    return -1;
  *flags = be16toh (greeting.flags);
  if (!(*flags & FIXED_NEWSTYLE))
    return why_set (why, EPROTO,
                    "the server is too old: it does not know the fixed "
                    "newstyle handshake");
  return 0;
}

static int
refusal (uint32_t type, const char *text, struct why *why)
{
  switch (type) {
  case ANSWER_UNSUPPORTED:
    return why_set (why, EPROTO,
                    "the server is too old: it does not know NBD_OPT_GO");
  case ANSWER_TLS_REQUIRED:
    return why_set (why, EPERM,
                    "the server wants TLS, which the kernel's nbd does not "
                    "speak: start it with --tls=on, or without TLS");
  case ANSWER_POLICY:
  case ANSWER_UNKNOWN:
  case ANSWER_SHUTDOWN:
  default:
    return why_set (why, EPROTO, "the server refuses the export \"\"%s%s",
                    text[0] ? ": " : "; its own messages tell why", text);
  }
}

/* The text is for a person: no control characters from a server. */
static void
make_plain (char *text, size_t length)
{
  for (size_t i = 0; i < length; ++i)
    if ((unsigned char) text[i] < ' ' || text[i] == 0x7f)
      text[i] = ' ';
  text[length] = '\0';
}

static void
take_info (const unsigned char *data, uint32_t length,
           struct handshake_export *export, bool *has_export)
{
  uint16_t type;

  if (length < sizeof type)
    return;
  memcpy (&type, data, sizeof type);
  data += sizeof type;
  if (be16toh (type) == INFO_EXPORT && length == 12) {
    memcpy (&export->size, data, 8);
    memcpy (&export->flags, data + 8, 2);
    export->size = be64toh (export->size);
    export->flags = be16toh (export->flags);
    *has_export = true;
  }
  if (be16toh (type) == INFO_BLOCK_SIZE && length == 14) {
    memcpy (&export->minimum_block, data, 4);
    export->minimum_block = be32toh (export->minimum_block);
  }
}

static int
take_answers (int fd, struct handshake_export *export, struct why *why)
{
  unsigned char data[ANSWER_ROOM + 1];
  bool has_export = false;
  struct answer answer;
  uint32_t length;

  for (;;) {
    if (receive (fd, &answer, sizeof answer, why) == -1)
      return -1;
    length = be32toh (answer.length);
    if (be64toh (answer.magic) != ANSWER_MAGIC
        || be32toh (answer.option) != OPTION_GO || length > ANSWER_ROOM)
      return why_set (why, EPROTO, "the server's answer is not of NBD");
    if (receive (fd, data, length, why) == -1)
      return -1;
    switch (be32toh (answer.type)) {
    case ANSWER_INFO:
      take_info (data, length, export, &has_export);
      break;
    case ANSWER_ACK:
      if (!has_export)
        return why_set (why, EPROTO, "the server did not tell its size");
      return 0;
    default:
      make_plain ((char *) data, length);
      return refusal (be32toh (answer.type), (char *) data, why);
    }
  }
}

static int
negotiate (int fd, struct handshake_export *export, struct why *why)
{
  struct go go = {
    .magic = htobe64 (OPTION_MAGIC),
    .option = htobe32 (OPTION_GO),
    .length = htobe32 (8), /* from name_length on */
    .infos = htobe16 (1),
    .info = htobe16 (INFO_BLOCK_SIZE),
  };
  uint16_t flags = 0;

  *export = (struct handshake_export){ .minimum_block = 1 };
  if (greet (fd, &flags, why) == -1)
    return -1;
  go.client_flags = htobe32 (flags & (FIXED_NEWSTYLE | NO_ZEROES));
  if (transmit (fd, &go, sizeof go, why) == -1)
    return -1;
  return take_answers (fd, export, why);
}

static const char *
remedy (int error)
{
  switch (error) {
  case ENOENT:
  case ECONNREFUSED:
    return ": no server listens there; start one, or name its socket with "
           "socket=PATH";
  default:
    return "";
  }
}

int
handshake_connect (const char *path, struct handshake_export *export,
                   struct why *why)
{
  const struct sockaddr_un own = { .sun_family = AF_UNIX };
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  struct why inner;
  int fd, saved_errno;

  if (strlen (path) >= sizeof address.sun_path)
    return why_set (why, ENAMETOOLONG,
                    "socket %.200s: its path is longer than the %zu bytes that "
                    "are possible",
                    path, sizeof address.sun_path - 1);
  strcpy (address.sun_path, path);
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd == -1)
    return why_set (why, errno, "socket: %s", strerror (errno));
  /* An address of its own (see unix(7), autobind), by which the server knows
   * this connection from others, and sees when the kernel gives it up.
   */
  if (bind (fd, (const struct sockaddr *) &own, sizeof own.sun_family) == -1)
    why_set (why, errno, "socket: no address: %s", strerror (errno));
  else if (connect (fd, (struct sockaddr *) &address, sizeof address) == -1)
    why_set (why, errno, "socket %s: %s%s", path, strerror (errno),
             remedy (errno));
  else if (negotiate (fd, export, &inner) == -1)
    why_set (why, errno, "socket %s: %s", path, inner.text);
  else
    return fd;
  saved_errno = errno;
  close (fd);
  errno = saved_errno;
  return -1;
}

int
handshake_read (int fd, void *buffer, uint32_t length, uint64_t offset,
                struct why *why)
{
  const struct request request = {
    .magic = htobe32 (REQUEST_MAGIC),
    .type = htobe16 (COMMAND_READ),
    .cookie = 1,
    .offset = htobe64 (offset),
    .length = htobe32 (length),
  };
  struct reply reply;

  if (transmit (fd, &request, sizeof request, why) == -1
      || receive (fd, &reply, sizeof reply, why) == -1)
    return -1;
  if (be32toh (reply.magic) != REPLY_MAGIC || reply.cookie != request.cookie)
    return why_set (why, EPROTO, "the server's reply is not of NBD");
  if (reply.error != 0)
    return why_set (why, EIO,
                    "the server cannot read its first page (error %u)",
                    be32toh (reply.error));
  return receive (fd, buffer, length, why);
}

void
handshake_close (int fd)
{
  const struct request request = {
    .magic = htobe32 (REQUEST_MAGIC),
    .type = htobe16 (COMMAND_DISCONNECT),
  };
  struct why why;

  transmit (fd, &request, sizeof request, &why);
  close (fd);
}
