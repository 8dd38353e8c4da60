/* SPDX-License-Identifier: BSD-3-Clause */
/* The NBD handshake with servers that send what they should not. */
#include <config.h>

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/handshake.h"
#include "test.h"

/* A server that says a script, whatever it hears, and closes. */
struct server {
  char folder[32], path[64];
  int fd;
  const void *script;
  size_t length;
  pthread_t thread;
};

static void *
serve (void *opaque)
{
  struct server *s = opaque;
  int fd = accept (s->fd, NULL, NULL);
  char heard[256];

  assert_int_not_equal (fd, -1);
  assert_int_equal (send (fd, s->script, s->length, MSG_NOSIGNAL), s->length);
  shutdown (fd, SHUT_WR);
  while (recv (fd, heard, sizeof heard, 0) > 0)
    ;
  close (fd);
  return NULL;
}

static void
start (struct server *s, const void *script, size_t length)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  *s = (struct server){ .folder = "/tmp/tierswap-unit.XXXXXX",
                        .script = script,
                        .length = length };
  assert_non_null (mkdtemp (s->folder));
  snprintf (s->path, sizeof s->path, "%s/socket", s->folder);
  strcpy (address.sun_path, s->path);
  s->fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal (bind (s->fd, (struct sockaddr *) &address, sizeof address),
                    0);
  assert_int_equal (listen (s->fd, 1), 0);
  assert_int_equal (pthread_create (&s->thread, NULL, serve, s), 0);
}

static void
stop (struct server *s)
{
  assert_int_equal (pthread_join (s->thread, NULL), 0);
  close (s->fd);
  unlink (s->path);
  rmdir (s->folder);
}

/* The pieces that scripts are made of. */
struct script {
  unsigned char bytes[8192];
  size_t length;
};

static void
add (struct script *s, const void *bytes, size_t length)
{
  memcpy (s->bytes + s->length, bytes, length);
  s->length += length;
}

static void
add_16 (struct script *s, uint16_t n)
{
  n = htobe16 (n);
  add (s, &n, sizeof n);
}

static void
add_32 (struct script *s, uint32_t n)
{
  n = htobe32 (n);
  add (s, &n, sizeof n);
}

static void
add_64 (struct script *s, uint64_t n)
{
  n = htobe64 (n);
  add (s, &n, sizeof n);
}

static void
add_greeting (struct script *s)
{
  add (s, "NBDMAGICIHAVEOPT", 16);
  add_16 (s, 3);
}

static void
add_answer (struct script *s, uint32_t type, uint32_t length)
{
  add_64 (s, UINT64_C (0x0003e889045565a9));
  add_32 (s, 7);
  add_32 (s, type);
  add_32 (s, length);
}

static void
add_export (struct script *s, uint64_t size, uint16_t flags)
{
  add_answer (s, 3, 12);
  add_16 (s, 0);
  add_64 (s, size);
  add_16 (s, flags);
}

/* It must be refused, with PATTERN in the sentence. */
static void
refused (const struct script *script, const char *pattern)
{
  struct handshake_export export;
  struct server server;
  struct why why = { "" };

  start (&server, script->bytes, script->length);
  assert_int_equal (handshake_connect (server.path, &export, &why), -1);
  stop (&server);
  if (!strstr (why.text, pattern))
    fail_msg ("\"%s\" is not in \"%s\"", pattern, why.text);
  assert_null (strpbrk (why.text, "\n\r\033"));
}

static void
test_greetings (void **state)
{
  struct script s = { .length = 0 };

  (void) state;
  refused (&s, "closed the connection");
  add (&s, "SSH-2.0-OpenSSH_9.2\r\n", 21);
  refused (&s, "no NBD server");

  s.length = 0;
  add (&s, "NBDMAGIC", 8);
  refused (&s, "closed the connection");
  add_64 (&s, UINT64_C (0x00420281861253));
  refused (&s, "old style");

  s.length = 8;
  add (&s, "HAVEIOPT", 8);
  refused (&s, "nobody knows");

  s.length = 0;
  add (&s, "NBDMAGICIHAVEOPT\0\2", 18);
  refused (&s, "too old");
}

static void
test_answers (void **state)
{
  struct script s = { .length = 0 };
  size_t greeting;

  (void) state;
  add_greeting (&s);
  greeting = s.length;
  refused (&s, "closed the connection");
  add_answer (&s, 1, 0);
  refused (&s, "did not tell its size");

  s.length = greeting;
  add_answer (&s, 0x80000001, 0);
  refused (&s, "NBD_OPT_GO");
  s.length = greeting;
  add_answer (&s, 0x80000005, 0);
  refused (&s, "TLS");
  s.length = greeting;
  add_answer (&s, 0x80000006, 7);
  add (&s, "no\n\033[1m", 7);
  refused (&s, "refuses the export \"\": no");

  /* Longer than any answer, of another option, of no protocol. */
  s.length = greeting;
  add_answer (&s, 3, 0x7fffffff);
  refused (&s, "not of NBD");
  s.length = greeting;
  add_64 (&s, UINT64_C (0x0003e889045565a9));
  add_32 (&s, 6);
  add_64 (&s, UINT64_C (0x100000000));
  refused (&s, "not of NBD");
  s.length = greeting;
  add_64 (&s, 1);
  add_64 (&s, 1);
  add_32 (&s, 0);
  refused (&s, "not of NBD");
  s.length = greeting;
  add_answer (&s, 3, 4000);
  add_16 (&s, 0);
  refused (&s, "closed the connection");

  /* An export of another length is none. */
  s.length = greeting;
  add_answer (&s, 3, 10);
  add_16 (&s, 0);
  add_64 (&s, 1 << 20);
  add_answer (&s, 3, 1);
  add (&s, "", 1);
  add_answer (&s, 1, 0);
  refused (&s, "did not tell its size");
}

static void
test_good_server (void **state)
{
  struct script s = { .length = 0 };
  struct handshake_export export;
  struct server server;
  unsigned char page[4096];
  struct why why;
  int fd;

  (void) state;
  add_greeting (&s);
  add_answer (&s, 3, 9); /* an information that nobody asked for */
  add_16 (&s, 1);
  add (&s, "a name", 7);
  add_export (&s, UINT64_C (1) << 40, 0x121);
  add_answer (&s, 3, 14);
  add_16 (&s, 3);
  add_32 (&s, 512);
  add_32 (&s, 4096);
  add_32 (&s, 32 << 20);
  add_answer (&s, 1, 0);
  /* A page, then one that cannot be read, then what is no reply. */
  for (uint32_t error = 0; error <= 5; error += 5) {
    uint64_t cookie = 1;

    add_32 (&s, 0x67446698);
    add_32 (&s, error);
    add (&s, &cookie, sizeof cookie);
    if (error == 0) {
      memset (page, 0x77, sizeof page);
      add (&s, page, sizeof page);
    }
  }
  add_64 (&s, 0);
  add_64 (&s, 0);
  start (&server, s.bytes, s.length);
  fd = handshake_connect (server.path, &export, &why);
  assert_int_not_equal (fd, -1);
  assert_true (export.size == UINT64_C (1) << 40);
  assert_int_equal (export.flags, 0x121);
  assert_int_equal (export.minimum_block, 512);
  memset (page, 0, sizeof page);
  assert_int_equal (handshake_read (fd, page, sizeof page, 0, &why), 0);
  assert_int_equal (page[0], 0x77);
  assert_int_equal (page[4095], 0x77);
  assert_int_equal (handshake_read (fd, page, sizeof page, 0, &why), -1);
  assert_int_equal (errno, EIO);
  assert_int_equal (handshake_read (fd, page, sizeof page, 0, &why), -1);
  assert_int_equal (errno, EPROTO);
  handshake_close (fd);
  stop (&server);
}

static void
test_no_server (void **state)
{
  struct handshake_export export;
  struct why why;
  char path[300];

  (void) state;
  assert_int_equal (handshake_connect ("/nowhere/at all", &export, &why), -1);
  assert_int_equal (errno, ENOENT);
  memset (path, 'x', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  assert_int_equal (handshake_connect (path, &export, &why), -1);
  assert_int_equal (errno, ENAMETOOLONG);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_greetings),
    cmocka_unit_test (test_answers),
    cmocka_unit_test (test_good_server),
    cmocka_unit_test (test_no_server),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
