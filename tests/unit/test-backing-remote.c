/* SPDX-License-Identifier: BSD-3-Clause */
/* Backings that are NBD exports, against a real nbdkit: what is refused, I/O
 * in pieces and over several connections, a server that dies, hangs, fails,
 * comes back, or comes back as something else, TLS.
 */
#include <config.h>

#include <fcntl.h>

#include "test-backing.h"

enum { FLIGHT = 24 };

static struct backing *
open_remote (const char *socket, uint64_t size, unsigned deadline)
{
  return open_backing (&(struct backing_options){ .name = "far",
                                                  .uri = uri_of (socket),
                                                  .size = size,
                                                  .deadline = deadline });
}

struct flight {
  struct backing_queue *queue;
  char *buffer;
  struct backing_io ios[FLIGHT];
};

static void
start_flight (struct flight *flight)
{
  flight->queue = backing_queue_create (FLIGHT + 1);
  assert_non_null (flight->queue);
  flight->buffer = get_buffer (FLIGHT * EXTENT_BYTES);
}

static void
end_flight (struct flight *flight)
{
  backing_queue_free (flight->queue);
  munmap (flight->buffer, FLIGHT * EXTENT_BYTES);
}

/* One whole extent each, from the first on, of patterns from SEED on. */
static void
submit_all (struct flight *flight, struct backing *backing, enum backing_op op,
            uint64_t seed)
{
  unsigned i;

  for (i = 0; i < FLIGHT; ++i) {
    flight->ios[i] = (struct backing_io){
      .backing = backing,
      .op = op,
      .buffer = flight->buffer + i * EXTENT_BYTES,
      .length = EXTENT_BYTES,
      .offset = i * EXTENT_BYTES,
    };
    if (op == BACKING_WRITE)
      fill (flight->ios[i].buffer, EXTENT_BYTES, seed + i);
    else
      memset (flight->ios[i].buffer, 0, EXTENT_BYTES);
    assert_int_equal (backing_queue_submit (flight->queue, &flight->ios[i]), 0);
  }
}

/* Have what was submitted started, without waiting for any of it: waiting for
 * a request that makes no sense does that.
 */
static void
start_all (struct flight *flight, struct backing *backing)
{
  assert_int_equal (
      do_io (flight->queue, backing, BACKING_READ, flight->buffer, 0, 0),
      EINVAL);
}

/* How many of them failed. */
static unsigned
finish_all (struct flight *flight)
{
  struct backing_io *io;
  unsigned failed = 0, taken = 0;

  while ((io = backing_queue_wait (flight->queue)) != NULL) {
    failed += io->error != 0;
    taken++;
  }
  assert_int_equal (taken, FLIGHT);
  return failed;
}

static void
write_all (struct flight *flight, struct backing *backing, uint64_t seed)
{
  submit_all (flight, backing, BACKING_WRITE, seed);
  assert_int_equal (finish_all (flight), 0);
}

static void
expect_all (struct flight *flight, struct backing *backing, uint64_t seed)
{
  unsigned i;

  submit_all (flight, backing, BACKING_READ, 0);
  assert_int_equal (finish_all (flight), 0);
  for (i = 0; i < FLIGHT; ++i)
    assert_true (is_filled (flight->ios[i].buffer, EXTENT_BYTES, seed + i, 0));
}

static bool
is_online (struct backing *backing)
{
  return backing_state (backing) == BACKING_ONLINE;
}

static bool
is_failed (struct backing *backing)
{
  return backing_state (backing) == BACKING_FAILED;
}

/* ---- */

static void
test_round_trip (void **state)
{
  pid_t server = NBDKIT ("s", "memory", "16M");
  struct backing *backing = open_remote ("s", 0, 0);
  struct flight flight;
  struct backing_counters counters;
  char *error;
  unsigned i;

  (void) state;
  assert_int_equal (backing_kind (backing), BACKING_NBD);
  assert_int_equal (backing_state (backing), BACKING_ONLINE);
  assert_int_equal (backing_extents (backing), 64);
  start_flight (&flight);
  write_all (&flight, backing, 100);
  expect_all (&flight, backing, 100);
  assert_int_equal (do_io (flight.queue, backing, BACKING_READ, flight.buffer,
                           4096, 3 * EXTENT_BYTES + 8192),
                    0);
  assert_true (is_filled (flight.buffer, 4096, 103, 8192));
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.write_ios, FLIGHT);
  assert_int_equal (counters.written_bytes, FLIGHT * EXTENT_BYTES);
  assert_int_equal (counters.read_ios, FLIGHT + 1);
  assert_int_equal (counters.read_bytes, FLIGHT * EXTENT_BYTES + 4096);
  assert_int_equal (counters.io_errors, 0);

  /* What is freed is trimmed: zeros, from this server. */
  assert_int_equal (backing_extent_allocate (backing), 0);
  assert_int_equal (backing_extent_allocate (backing), 1);
  backing_extent_free (backing, 0);
  for (i = 0; i < EXTENT_BYTES; i += 4096)
    do {
      pause_briefly ();
      assert_int_equal (
          do_io (flight.queue, backing, BACKING_READ, flight.buffer, 4096, i),
          0);
    } while (flight.buffer[0]
             || memcmp (flight.buffer, flight.buffer + 1, 4095));
  assert_int_equal (do_io (flight.queue, backing, BACKING_READ, flight.buffer,
                           4096, EXTENT_BYTES),
                    0);
  assert_true (is_filled (flight.buffer, 4096, 101, 0));

  /* No larger than the export. */
  assert_int_equal (backing_resize (backing, 8 * MIB, &error), 0);
  assert_int_equal (backing_extents (backing), 32);
  assert_int_equal (backing_resize (backing, 16 * MIB, &error), 0);
  errno = 0;
  assert_int_equal (backing_resize (backing, 17 * MIB, &error), -1);
  assert_int_equal (errno, ENOSPC);
  assert_non_null (strstr (error, "only 16777216 bytes"));
  free (error);
  end_flight (&flight);
  backing_close (backing);
  kill_child (server);
}

static void
test_refused (void **state)
{
  struct backing_options options = { .name = "far" };
  pid_t server;

  (void) state;
  options.uri = "http://localhost/";
  expect_no_open (&options, EINVAL, "scheme");
  options.size = MIB;
  expect_no_open (&options, EINVAL, "scheme");
  options.size = 1000;
  expect_no_open (&options, EINVAL, "too small");

  /* Nobody there: an error unless the size is known. */
  options.uri = uri_of ("nobody");
  options.size = 0;
  expect_no_open (&options, ENOENT, "give a size");

  server = NBDKIT ("r", "-r", "memory", "4M");
  options.uri = uri_of ("r");
  expect_no_open (&options, EROFS, "read-only");
  options.size = MIB;
  expect_no_open (&options, EROFS, "read-only");
  kill_child (server);

  server = NBDKIT ("r", "memory", "4M");
  options.size = 8 * MIB;
  expect_no_open (&options, ENOSPC, "has 4194304 bytes");
  kill_child (server);

  server = NBDKIT ("r", "memory", "100K");
  options.size = 0;
  expect_no_open (&options, ENOSPC, "has 102400 bytes");
  kill_child (server);

  server = NBDKIT ("r", "--filter=blocksize-policy", "memory", "4M",
                   "blocksize-minimum=8K", "blocksize-preferred=8K");
  expect_no_open (&options, EINVAL, "at least 8192");
  kill_child (server);
}

/* A server that takes only 64 KiB at a time, and says so. */
static void
test_pieces (void **state)
{
  pid_t server
      = NBDKIT ("s", "--filter=blocksize-policy", "memory", "16M",
                "blocksize-minimum=4K", "blocksize-preferred=4K",
                "blocksize-maximum=64K", "blocksize-error-policy=error");
  struct backing *backing = open_remote ("s", 0, 0);
  struct flight flight;
  struct backing_counters counters;

  (void) state;
  start_flight (&flight);
  write_all (&flight, backing, 0);
  expect_all (&flight, backing, 0);
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.write_ios, FLIGHT);
  end_flight (&flight);
  backing_close (backing);
  kill_child (server);
}

/* Requests and answers of a slow server overlap. */
static void
test_slow (void **state)
{
  pid_t server = NBDKIT ("s", "--filter=delay", "memory", "16M", "rdelay=100ms",
                         "wdelay=100ms");
  struct backing *backing = open_remote ("s", 0, 0);
  struct flight flight;

  (void) state;
  start_flight (&flight);
  write_all (&flight, backing, 7);
  expect_all (&flight, backing, 7);
  end_flight (&flight);
  backing_close (backing);
  kill_child (server);
}

/* A server that says it can do with several connections, but has only two. */
static void
test_few_connections (void **state)
{
  pid_t server = NBDKIT ("s", "--filter=limit", "memory", "16M", "limit=2");
  struct backing *backing = open_remote ("s", 0, 0);
  struct flight flight;

  (void) state;
  start_flight (&flight);
  write_all (&flight, backing, 3);
  expect_all (&flight, backing, 3);
  end_flight (&flight);
  backing_close (backing);
  kill_child (server);
}

/* Start without a server, and find it when it comes. */
static void
test_late (void **state)
{
  struct backing *backing;
  struct flight flight;
  pid_t server;

  (void) state;
  forget_messages ();
  backing = open_remote ("late", 8 * MIB, 0);
  assert_int_equal (messages_with ("cannot be reached now"), 1);
  assert_int_equal (backing_extents (backing), 32);
  assert_true (is_failed (backing));
  errno = 0;
  assert_int_equal (backing_extent_allocate (backing), -1);
  assert_int_equal (errno, EAGAIN);
  start_flight (&flight);
  submit_all (&flight, backing, BACKING_READ, 0);
  assert_int_equal (finish_all (&flight), FLIGHT);
  assert_int_equal (flight.ios[0].error, ENODEV);

  server = NBDKIT ("late", "memory", "8M");
  wait_until (is_online (backing));
  wait_until (messages_with ("is connected to its server") == 1);
  assert_int_equal (backing_extent_allocate (backing), 0);
  write_all (&flight, backing, 1);
  expect_all (&flight, backing, 1);
  end_flight (&flight);
  backing_close (backing);
  kill_child (server);
}

/* The server is killed in the middle of requests, and comes back with its
 * content, for it keeps it in a file.
 */
static void
test_killed (void **state)
{
  char disk[256];
  pid_t server;
  struct backing *backing;
  struct flight flight;
  struct backing_counters counters;
  unsigned i;

  (void) state;
  snprintf (disk, sizeof disk, "file=%s", in_folder ("disk"));
  close (open (in_folder ("disk"), O_CREAT | O_WRONLY, 0600));
  assert_int_equal (truncate (in_folder ("disk"), 16 * MIB), 0);
  server = NBDKIT ("s", "file", disk);
  backing = open_remote ("s", 0, 0);
  start_flight (&flight);
  for (i = 0; i < FLIGHT; ++i)
    assert_int_equal (backing_extent_allocate (backing), i);
  write_all (&flight, backing, 50);
  expect_all (&flight, backing, 50);

  /* Slow enough that it is killed before it answers. */
  kill_child (server);
  wait_until (is_failed (backing));
  server = NBDKIT ("s", "--filter=delay", "file", disk, "rdelay=5", "wdelay=5");
  wait_until (is_online (backing));
  submit_all (&flight, backing, BACKING_READ, 0);
  start_all (&flight, backing);
  pause_briefly ();
  kill (server, SIGKILL);
  assert_int_equal (finish_all (&flight), FLIGHT);
  for (i = 0; i < FLIGHT; ++i)
    assert_int_equal (flight.ios[i].error, ENODEV);
  reap (server);
  assert_true (is_failed (backing));
  errno = 0;
  assert_int_equal (backing_extent_allocate (backing), -1);
  assert_int_equal (errno, EAGAIN);
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.io_errors, FLIGHT);

  /* Draining is remembered. */
  backing_set_draining (backing, true);
  assert_true (is_failed (backing));
  server = NBDKIT ("s", "file", disk);
  wait_until (backing_state (backing) == BACKING_DRAINING);
  expect_all (&flight, backing, 50);
  backing_set_draining (backing, false);
  assert_true (is_online (backing));
  write_all (&flight, backing, 60);
  expect_all (&flight, backing, 60);
  end_flight (&flight);
  backing_close (backing);
  kill_child (server);
}

/* After a loss with writes in flight no freed extent is handed out until
 * these cannot arrive any more.
 */
static void
test_unsettled (void **state)
{
  pid_t server = NBDKIT ("s", "--filter=delay", "memory", "1M", "wdelay=20");
  struct backing *backing = open_remote ("s", 0, 3);
  struct backing_queue *queue = backing_queue_create (1);
  char *buffer = get_buffer (EXTENT_BYTES);
  unsigned i;
  double before;

  (void) state;
  for (i = 0; i < 4; ++i)
    assert_int_equal (backing_extent_allocate (backing), i);
  assert_int_equal (
      do_io (queue, backing, BACKING_WRITE, buffer, EXTENT_BYTES, 0),
      ETIMEDOUT);
  backing_extent_free (backing, 0);
  kill_child (server);
  /* It is back a moment after this, and seen to be back at any time later. */
  before = seconds_now ();
  server = NBDKIT ("s", "memory", "1M");
  wait_until (is_online (backing));
  wait_until (backing_extent_allocate (backing) == 0);
  /* The deadline after it was back, less what the clocks are coarse. */
  assert_true (seconds_now () - before > 2.9);
  backing_queue_free (queue);
  backing_close (backing);
  kill_child (server);
  munmap (buffer, EXTENT_BYTES);
}

/* It comes back, but not as what it was. */
static void
test_other_export (void **state)
{
  pid_t server = NBDKIT ("s", "memory", "16M");
  struct backing *backing = open_remote ("s", 0, 0);
  struct flight flight;

  (void) state;
  start_flight (&flight);
  forget_messages ();
  kill_child (server);
  wait_until (is_failed (backing));
  wait_until (messages_with ("lost its server") == 1);

  server = NBDKIT ("s", "memory", "15M");
  wait_until (messages_with ("cannot use what its server has now") == 1);
  assert_true (is_failed (backing));
  submit_all (&flight, backing, BACKING_READ, 0);
  assert_int_equal (finish_all (&flight), FLIGHT);
  kill_child (server);

  server = NBDKIT ("s", "-r", "memory", "16M");
  kill_child (server);

  server = NBDKIT ("s", "memory", "20M");
  wait_until (is_online (backing));
  wait_until (messages_with ("is connected to its server") == 1);
  assert_int_equal (backing_extents (backing), 64);
  write_all (&flight, backing, 1);
  expect_all (&flight, backing, 1);
  end_flight (&flight);
  backing_close (backing);
  kill_child (server);
}

/* A server that hangs: the deadline, after which the buffers are ours again
 * even when it answers late.
 */
static void
test_hung (void **state)
{
  /* One thread a connection, for with more some versions of nbdkit abort when
   * they find their client gone.
   */
  pid_t server = NBDKIT ("s", "-t", "1", "memory", "16M");
  struct backing *backing = open_remote ("s", 0, 3);
  struct flight flight;
  struct backing_io *io;
  unsigned overdue = 0;
  unsigned i;

  (void) state;
  start_flight (&flight);
  write_all (&flight, backing, 5);
  stop_child (server);
  submit_all (&flight, backing, BACKING_READ, 0);
  while ((io = backing_queue_wait (flight.queue)) != NULL) {
    assert_true (io->error == ETIMEDOUT || io->error == ENODEV);
    overdue += io->error == ETIMEDOUT;
  }
  assert_int_not_equal (overdue, 0);
  assert_true (is_failed (backing));

  /* It fails at once now. */
  submit_all (&flight, backing, BACKING_READ, 0);
  assert_int_equal (finish_all (&flight), FLIGHT);
  assert_int_equal (flight.ios[0].error, ENODEV);

  memset (flight.buffer, 0x5a, FLIGHT * EXTENT_BYTES);
  kill (server, SIGCONT);
  wait_until (is_online (backing));
  for (i = 0; i < FLIGHT * EXTENT_BYTES; ++i)
    if (flight.buffer[i] != 0x5a)
      fail_msg ("byte %u changed after the request was overdue", i);
  expect_all (&flight, backing, 5);
  end_flight (&flight);
  backing_close (backing);
  kill_child (server);
}

/* A server that fails: writes, then reads. */
static void
test_errors (void **state)
{
  char trigger[300];
  pid_t server;
  struct backing *backing;
  struct backing_queue *queue = backing_queue_create (1);
  char *buffer = get_buffer (EXTENT_BYTES);
  struct backing_counters counters;
  unsigned i;

  (void) state;
  snprintf (trigger, sizeof trigger, "error-pwrite-file=%s",
            in_folder ("fail"));
  server = NBDKIT ("s", "--filter=error", "memory", "16M",
                   "error-pwrite=ENOSPC", "error-pwrite-rate=100%", trigger);
  backing = open_remote ("s", 0, 0);
  assert_int_equal (backing_extent_allocate (backing), 0);
  fill (buffer, EXTENT_BYTES, 1);
#define WRITE() do_io (queue, backing, BACKING_WRITE, buffer, EXTENT_BYTES, 0)
  assert_int_equal (WRITE (), 0);
  close (open (in_folder ("fail"), O_CREAT | O_WRONLY, 0600));

  /* Two are bad luck, and one that works makes up for them. */
  assert_int_equal (WRITE (), ENOSPC);
  assert_int_equal (WRITE (), ENOSPC);
  assert_true (is_online (backing));
  unlink (in_folder ("fail"));
  assert_int_equal (WRITE (), 0);
  close (open (in_folder ("fail"), O_CREAT | O_WRONLY, 0600));
  forget_messages ();
  for (i = 0; i < 3; ++i) {
    assert_true (is_online (backing));
    assert_int_equal (WRITE (), ENOSPC);
  }
  assert_true (is_failed (backing));
  assert_int_equal (messages_with ("3 writes in a row failed"), 1);
  errno = 0;
  assert_int_equal (backing_extent_allocate (backing), -1);
  assert_int_equal (errno, EAGAIN);

  /* What is there can be read meanwhile. */
  memset (buffer, 0, EXTENT_BYTES);
  assert_int_equal (
      do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES, 0), 0);
  assert_true (is_filled (buffer, EXTENT_BYTES, 1, 0));

  unlink (in_folder ("fail"));
  wait_until (is_online (backing));
  wait_until (messages_with ("backing far works again") == 1);
  assert_in_range (backing_extent_allocate (backing), 1, 63);
  assert_int_equal (WRITE (), 0);
  assert_int_equal (backing_extents_used (backing), 2);
#undef WRITE
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.io_errors, 5);
  assert_int_equal (counters.write_ios, 3);
  backing_close (backing);
  kill_child (server);

  /* EIO of single reads is only counted. */
  server = NBDKIT ("s", "--filter=error", "memory", "16M", "error-pread=EIO",
                   "error-pread-rate=100%");
  backing = open_remote ("s", 0, 0);
  for (i = 0; i < 5; ++i)
    assert_int_equal (do_io (queue, backing, BACKING_READ, buffer, 4096, 0),
                      EIO);
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.io_errors, 5);
  assert_true (is_online (backing));
  backing_close (backing);
  kill_child (server);
  backing_queue_free (queue);
  munmap (buffer, EXTENT_BYTES);
}

/* Requests to a file and to two servers share one queue. */
static void
test_mixed (void **state)
{
  enum { EACH = 8, ROUNDS = 20 };
  pid_t fast = NBDKIT ("fast", "memory", "16M");
  pid_t slow = NBDKIT ("slow", "--filter=delay", "memory", "16M",
                       "delay-read=3ms", "delay-write=3ms");
  struct backing *backings[3];
  struct backing_queue *queue = backing_queue_create (3 * EACH);
  char *buffer = get_buffer (3 * EACH * EXTENT_BYTES);
  struct backing_io ios[3 * EACH], *io;
  unsigned i, reads = 0;

  (void) state;
  backings[0] = open_remote ("fast", 0, 0);
  backings[1] = open_remote ("slow", 0, 0);
  backings[2] = open_backing (&(struct backing_options){
      .name = "near", .path = in_folder ("near"), .size = 16 * MIB });
  for (i = 0; i < 3 * EACH; ++i) {
    ios[i] = (struct backing_io){ .backing = backings[i % 3],
                                  .op = BACKING_WRITE,
                                  .buffer = buffer + i * EXTENT_BYTES,
                                  .length = EXTENT_BYTES,
                                  .offset = i * EXTENT_BYTES };
    fill (ios[i].buffer, EXTENT_BYTES, i);
    assert_int_equal (backing_queue_submit (queue, &ios[i]), 0);
  }
  while ((io = backing_queue_wait (queue)) != NULL) {
    assert_int_equal (io->error, 0);
    i = io - ios;
    if (io->op == BACKING_READ)
      assert_true (is_filled (io->buffer, 8192, i, io->offset % EXTENT_BYTES));
    if (reads == 3 * EACH * ROUNDS)
      continue;
    io->op = BACKING_READ;
    io->length = 8192;
    io->offset = i * EXTENT_BYTES + reads % 32 * 8192;
    memset (io->buffer, 0, io->length);
    assert_int_equal (backing_queue_submit (queue, io), 0);
    reads++;
  }
  backing_queue_free (queue);
  for (i = 0; i < 3; ++i)
    backing_close (backings[i]);
  kill_child (fast);
  kill_child (slow);
  munmap (buffer, 3 * EACH * EXTENT_BYTES);
}

/* One server of a queue is gone; requests to others go on. */
static void
test_one_of_two_dies (void **state)
{
  pid_t first = NBDKIT ("first", "--filter=delay", "memory", "16M", "rdelay=9");
  pid_t second = NBDKIT ("second", "memory", "16M");
  struct backing *dying = open_remote ("first", 0, 0);
  struct backing *living = open_remote ("second", 0, 0);
  struct backing_queue *queue = backing_queue_create (2);
  char *buffer = get_buffer (2 * 4096);
  struct backing_io lost = {
    .backing = dying, .op = BACKING_READ, .buffer = buffer, .length = 4096
  };
  struct backing_io fine = { .backing = living,
                             .op = BACKING_READ,
                             .buffer = buffer + 4096,
                             .length = 4096 };
  unsigned i;

  (void) state;
  assert_int_equal (backing_queue_submit (queue, &lost), 0);
  for (i = 0; i < 100; ++i) {
    assert_int_equal (backing_queue_submit (queue, &fine), 0);
    assert_ptr_equal (backing_queue_wait (queue), &fine);
    assert_int_equal (fine.error, 0);
  }
  kill_child (first);
  assert_ptr_equal (backing_queue_wait (queue), &lost);
  assert_int_equal (lost.error, ENODEV);
  assert_true (is_failed (dying));
  assert_true (is_online (living));
  backing_queue_free (queue);
  backing_close (dying);
  backing_close (living);
  kill_child (second);
  munmap (buffer, 2 * 4096);
}

static void
test_tls (void **state)
{
  char keys[256], option[300], uri[700];
  struct backing *backing;
  struct flight flight;
  pid_t server;

  (void) state;
  if (!have_program ("psktool")) {
    print_message ("psktool (package gnutls-bin) is missing\n");
    skip ();
  }
  snprintf (keys, sizeof keys, "%s", in_folder ("keys.psk"));
  assert_int_equal (run_program ((const char *const[]){
                        "psktool", "-u", "tester", "-p", keys, NULL }),
                    0);
  snprintf (option, sizeof option, "--tls-psk=%s", keys);
  server = NBDKIT ("s", "--tls=require", option, "memory", "16M");
  snprintf (uri, sizeof uri, "nbds+unix://tester@/?socket=%s&tls-psk-file=%s",
            in_folder ("s"), keys);
  backing
      = open_backing (&(struct backing_options){ .name = "far", .uri = uri });
  start_flight (&flight);
  write_all (&flight, backing, 1);
  expect_all (&flight, backing, 1);

  kill_child (server);
  wait_until (is_failed (backing));
  server = NBDKIT ("s", "--tls=require", option, "memory", "16M");
  wait_until (is_online (backing));
  write_all (&flight, backing, 2);
  expect_all (&flight, backing, 2);
  end_flight (&flight);
  backing_close (backing);

  /* Not without. */
  snprintf (uri, sizeof uri, "%s", uri_of ("s"));
  {
    struct backing_options options = { .name = "far", .uri = uri };
    struct backing *none;
    char *error;

    assert_int_equal (backing_open (&options, &none, &error), -1);
    assert_non_null (error);
    free (error);
  }
  kill_child (server);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_round_trip),      cmocka_unit_test (test_refused),
    cmocka_unit_test (test_pieces),          cmocka_unit_test (test_slow),
    cmocka_unit_test (test_few_connections), cmocka_unit_test (test_late),
    cmocka_unit_test (test_killed),          cmocka_unit_test (test_unsettled),
    cmocka_unit_test (test_other_export),    cmocka_unit_test (test_hung),
    cmocka_unit_test (test_errors),          cmocka_unit_test (test_mixed),
    cmocka_unit_test (test_one_of_two_dies), cmocka_unit_test (test_tls),
  };

  message_set_sink (keep_message);
  return run_with_both_engines (tests);
}
