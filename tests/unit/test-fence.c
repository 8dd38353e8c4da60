/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes that came over a connection which its client has given up. */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../plugin/fence.h"
#include "test.h"

#define ROUNDS 20000
#define CLIENT_CONNECTIONS 4

static struct fence fence = FENCE_INITIALIZER;

/* A server's socket, at PATH. */
static struct {
  char folder[32];
  struct sockaddr_un address;
  int fd;
} listener;

/* The two ends of a connection, and its gate. */
struct connection {
  int client, server;
  struct fence_gate *gate;
};

static int
set_up (void **state)
{
  (void) state;
  strcpy (listener.folder, "/tmp/tierswap-unit.XXXXXX");
  assert_non_null (mkdtemp (listener.folder));
  listener.address.sun_family = AF_UNIX;
  snprintf (listener.address.sun_path, sizeof listener.address.sun_path,
            "%s/socket", listener.folder);
  listener.fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal (bind (listener.fd, (struct sockaddr *) &listener.address,
                          sizeof listener.address),
                    0);
  return listen (listener.fd, 16);
}

static int
tear_down (void **state)
{
  (void) state;
  close (listener.fd);
  unlink (listener.address.sun_path);
  return rmdir (listener.folder);
}

static void
connect_only (struct connection *c, bool named)
{
  const struct sockaddr_un own = { .sun_family = AF_UNIX };

  c->client = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_not_equal (c->client, -1);
  if (named)
    assert_int_equal (
        bind (c->client, (const struct sockaddr *) &own, sizeof own.sun_family),
        0);
  assert_int_equal (connect (c->client, (struct sockaddr *) &listener.address,
                             sizeof listener.address),
                    0);
  c->server = accept (listener.fd, NULL, NULL);
  assert_int_not_equal (c->server, -1);
}

static void
join (struct connection *c, const char *other)
{
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;

  assert_int_equal (getpeername (c->server, (struct sockaddr *) &peer, &length),
                    0);
  c->gate = fence_join (&fence, (struct sockaddr *) &peer, length, other);
  assert_non_null (c->gate);
}

static void
open_connection (struct connection *c)
{
  connect_only (c, true);
  join (c, NULL);
  assert_int_equal (c->gate->socket, c->server);
}

/* As nbdkit does it: the socket first. */
static void
close_connection (struct connection *c)
{
  close (c->client);
  close (c->server);
  fence_leave (&fence, c->gate);
}

static void
test_given_up (void **state)
{
  struct connection a, b;

  (void) state;
  open_connection (&a);
  open_connection (&b);
  assert_int_equal (fence_enter (&fence, a.gate), 0);
  fence_exit (a.gate);
  /* What waits to be read does not hide it. */
  assert_int_equal (write (a.client, "late", 4), 4);
  shutdown (a.client, SHUT_RDWR);
  assert_int_equal (fence_enter (&fence, a.gate), -1);
  assert_int_equal (errno, ESHUTDOWN);
  assert_int_equal (a.gate->changing, 0);
  assert_int_equal (fence_enter (&fence, b.gate), 0);
  fence_exit (b.gate);
  close_connection (&a);
  close_connection (&b);
}

/* One that is alive holds nothing up. */
static void
test_two_alive (void **state)
{
  struct connection a, b;

  (void) state;
  open_connection (&a);
  open_connection (&b);
  assert_int_equal (fence_enter (&fence, a.gate), 0);
  assert_int_equal (fence_enter (&fence, b.gate), 0);
  assert_int_equal (fence_enter (&fence, b.gate), 0);
  assert_int_equal (b.gate->changing, 2);
  fence_exit (b.gate);
  fence_exit (b.gate);
  fence_exit (a.gate);
  close_connection (&a);
  close_connection (&b);
}

struct change {
  struct connection *connection;
  atomic_int result; /* 1: at work or waiting */
};

static void *
change (void *opaque)
{
  struct change *c = opaque;
  int r = fence_enter (&fence, c->connection->gate);

  if (r == 0)
    fence_exit (c->connection->gate);
  c->result = r;
  return NULL;
}

/* What was at work when its client gave it up is waited for. */
static void
test_waits (void **state)
{
  struct connection a, b;
  struct change next = { .connection = &b, .result = 1 };
  pthread_t thread;

  (void) state;
  open_connection (&a);
  open_connection (&b);
  assert_int_equal (fence_enter (&fence, a.gate), 0);
  shutdown (a.client, SHUT_RDWR);
  assert_int_equal (pthread_create (&thread, NULL, change, &next), 0);
  nanosleep (&(struct timespec){ 0, 100000000 }, NULL);
  assert_int_equal (next.result, 1);
  fence_exit (a.gate);
  pthread_join (thread, NULL);
  assert_int_equal (next.result, 0);

  /* Given up while it waits, it is dropped: a third is there by now. */
  next.result = 1;
  assert_int_equal (fence_enter (&fence, b.gate), 0);
  shutdown (b.client, SHUT_RDWR);
  close_connection (&a);
  open_connection (&a);
  next.connection = &a;
  assert_int_equal (pthread_create (&thread, NULL, change, &next), 0);
  nanosleep (&(struct timespec){ 0, 20000000 }, NULL);
  shutdown (a.client, SHUT_RDWR);
  pthread_join (thread, NULL);
  assert_int_equal (next.result, -1);
  fence_exit (b.gate);
  close_connection (&a);
  close_connection (&b);
}

/* Clients without an address of their own are told apart as long as they come
 * one by one.
 */
static void
test_unnamed (void **state)
{
  struct connection a, b, c;

  (void) state;
  connect_only (&a, false);
  join (&a, NULL);
  assert_int_equal (a.gate->socket, a.server);
  connect_only (&b, false);
  connect_only (&c, false);
  join (&b, NULL);
  assert_int_equal (b.gate->socket, -1);
  shutdown (b.client, SHUT_RDWR);
  assert_int_equal (fence_enter (&fence, b.gate), 0);
  fence_exit (b.gate);
  close (b.server);
  join (&c, NULL);
  assert_int_equal (c.gate->socket, c.server);
  close (b.client);
  fence_leave (&fence, b.gate);
  close_connection (&a);
  close_connection (&c);

  /* Of another listener of this process. */
  connect_only (&a, false);
  join (&a, listener.address.sun_path);
  assert_int_equal (a.gate->socket, -1);
  close_connection (&a);
}

/* A descriptor is used again before the gate of the first is given back. */
static void
test_descriptor_again (void **state)
{
  struct connection a, b;

  (void) state;
  open_connection (&a);
  close (a.client);
  close (a.server);
  connect_only (&b, true);
  if (b.server != a.server) {
    assert_int_equal (dup2 (b.server, a.server), a.server);
    close (b.server);
    b.server = a.server;
  }
  join (&b, NULL);
  assert_int_equal (b.gate->socket, b.server);
  assert_int_equal (fence_enter (&fence, b.gate), 0);
  fence_exit (b.gate);
  fence_leave (&fence, a.gate);
  close_connection (&b);
}

static void
test_full (void **state)
{
  static struct fence full = FENCE_INITIALIZER;
  struct fence_gate *gates[FENCE_GATES];
  const struct sockaddr_un none = { .sun_family = AF_UNIX };
  const struct sockaddr *peer = (const struct sockaddr *) &none;

  (void) state;
  for (unsigned i = 0; i < FENCE_GATES; ++i) {
    gates[i] = fence_join (&full, peer, 0, NULL);
    assert_non_null (gates[i]);
    assert_int_equal (gates[i]->socket, -1);
  }
  assert_null (fence_join (&full, peer, 0, NULL));
  fence_leave (&full, gates[7]);
  assert_ptr_equal (fence_join (&full, peer, 0, NULL), gates[7]);
}

/* A client as the kernel is one: it writes ever higher numbers to a page, each
 * over any of its connections; it gives a connection up before the answer, and
 * sends the number again over another.  A number that was answered is never
 * undone.
 */
static _Atomic unsigned page;

struct worker {
  struct connection connection;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t sent, answered;
  unsigned number, answer; /* 0: none */
  bool up, end;
};

static void *
work (void *opaque)
{
  struct worker *w = opaque;

  pthread_mutex_lock (&w->lock);
  for (;;) {
    unsigned number;

    while (!w->end && w->number == 0)
      pthread_cond_wait (&w->sent, &w->lock);
    if (w->number == 0)
      break;
    number = w->number;
    pthread_mutex_unlock (&w->lock);
    if (fence_enter (&fence, w->connection.gate) == 0) {
      /* Long enough for later numbers to be written, were they let. */
      if (number % 8 < 2)
        nanosleep (&(struct timespec){ 0, 50000 }, NULL);
      page = number;
      fence_exit (w->connection.gate);
    }
    pthread_mutex_lock (&w->lock);
    w->number = 0;
    w->answer = number;
    pthread_cond_signal (&w->answered);
  }
  pthread_mutex_unlock (&w->lock);
  return NULL;
}

static void
start_worker (struct worker *w)
{
  *w = (struct worker){ .up = true };
  pthread_mutex_init (&w->lock, NULL);
  pthread_cond_init (&w->sent, NULL);
  pthread_cond_init (&w->answered, NULL);
  open_connection (&w->connection);
  assert_int_equal (pthread_create (&w->thread, NULL, work, w), 0);
}

static void
end_worker (struct worker *w)
{
  pthread_mutex_lock (&w->lock);
  w->end = true;
  pthread_cond_signal (&w->sent);
  pthread_mutex_unlock (&w->lock);
  pthread_join (w->thread, NULL);
  close_connection (&w->connection);
}

/* Whether it was answered; otherwise the connection was given up. */
static bool
send_to (struct worker *w, unsigned number, bool give_up)
{
  pthread_mutex_lock (&w->lock);
  w->number = number;
  pthread_cond_signal (&w->sent);
  if (give_up) {
    pthread_mutex_unlock (&w->lock);
    if (number % 2 == 0)
      sched_yield ();
    shutdown (w->connection.client, SHUT_RDWR);
    w->up = false;
    return false;
  }
  while (w->answer != number)
    pthread_cond_wait (&w->answered, &w->lock);
  pthread_mutex_unlock (&w->lock);
  return true;
}

static void
test_never_undone (void **state)
{
  static struct worker workers[CLIENT_CONNECTIONS];
  unsigned next = 0, seed = 1;

  (void) state;
  for (unsigned i = 0; i < CLIENT_CONNECTIONS; ++i)
    start_worker (&workers[i]);
  for (unsigned number = 1; number <= ROUNDS; ++number) {
    for (;;) {
      struct worker *w = &workers[next++ % CLIENT_CONNECTIONS];

      if (!w->up) {
        /* Its last change may be at work until here, but no longer. */
        end_worker (w);
        start_worker (w);
      }
      if (send_to (w, number, rand_r (&seed) % 4 == 0))
        break;
    }
    assert_int_equal (page, number);
  }
  for (unsigned i = 0; i < CLIENT_CONNECTIONS; ++i)
    end_worker (&workers[i]);
  assert_int_equal (page, ROUNDS);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_given_up),
    cmocka_unit_test (test_two_alive),
    cmocka_unit_test (test_waits),
    cmocka_unit_test (test_unnamed),
    cmocka_unit_test (test_descriptor_again),
    cmocka_unit_test (test_full),
    cmocka_unit_test (test_never_undone),
  };

  return cmocka_run_group_tests (tests, set_up, tear_down);
}
