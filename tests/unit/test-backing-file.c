/* SPDX-License-Identifier: BSD-3-Clause */
/* Backings that are files: opening them and what is refused, I/O with either
 * engine, giving space back, resizing.
 */
#include <config.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sched.h>

#include "test-backing.h"

static struct backing *
open_file (const char *name, uint64_t size)
{
  return open_backing (&(struct backing_options){
      .name = "tested", .path = in_folder (name), .size = size });
}

static uint64_t
blocks_of (const char *name)
{
  struct stat st;

  assert_int_equal (stat (in_folder (name), &st), 0);
  return st.st_blocks * UINT64_C (512);
}

static uint64_t
length_of (const char *name)
{
  struct stat st;

  assert_int_equal (stat (in_folder (name), &st), 0);
  return st.st_size;
}

static void
test_create (void **state)
{
  struct backing *backing;
  struct stat st;
  mode_t mask = umask (0);

  (void) state;
  backing = open_file ("new", 8 * MIB + 5000);
  umask (mask);
  assert_int_equal (stat (in_folder ("new"), &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
  assert_int_equal (st.st_size, 8 * MIB);
  assert_int_equal (st.st_blocks, 0);
  assert_string_equal (backing_name (backing), "tested");
  assert_int_equal (backing_kind (backing), BACKING_FILE);
  assert_int_equal (backing_state (backing), BACKING_ONLINE);
  assert_int_equal (backing_extents (backing), 32);
  assert_int_equal (backing_extents_used (backing), 0);
  backing_close (backing);

  /* As large as it is, if no size is given. */
  backing = open_file ("new", 0);
  assert_int_equal (backing_extents (backing), 32);
  backing_close (backing);

  /* An existing file grows, but is not cut. */
  backing = open_file ("new", 9 * MIB);
  assert_int_equal (length_of ("new"), 9 * MIB);
  backing_close (backing);
  backing = open_file ("new", 1 * MIB);
  assert_int_equal (backing_extents (backing), 4);
  assert_int_equal (length_of ("new"), 9 * MIB);
  backing_close (backing);
}

static void
test_refused (void **state)
{
  struct backing *backing;
  struct backing_options options = { .name = "wrong", .size = MIB };

  (void) state;
  expect_no_open (&options, EINVAL, "path or a uri");
  options.path = in_folder ("a");
  options.uri = "nbd://localhost";
  expect_no_open (&options, EINVAL, "path or a uri");
  options.uri = NULL;

  options.path = in_folder ("missing/file");
  expect_no_open (&options, ENOENT, options.path);
  options.path = folder;
  expect_no_open (&options, EISDIR, "neither a file nor");
  options.path = "/dev/null";
  expect_no_open (&options, EINVAL, "neither a file nor");
  options.path = in_folder ("fifo");
  assert_int_equal (mkfifo (options.path, 0600), 0);
  expect_no_open (&options, EINVAL, "neither a file nor");

  options.path = in_folder ("small");
  options.size = EXTENT_BYTES - 1;
  expect_no_open (&options, EINVAL, "too small");
  options.size = 0;
  expect_no_open (&options, EINVAL, "size must");
  assert_int_equal (access (options.path, F_OK), -1);

  close (open (options.path, O_CREAT | O_WRONLY, 0600));
  expect_no_open (&options, EINVAL, "at least");
  assert_int_equal (access (options.path, F_OK), 0);

  /* More than any file can have: and what was created is gone again. */
  options.path = in_folder ("huge");
  options.size = UINT64_C (1) << 62;
  expect_no_open (&options, EFBIG, "cannot make");
  assert_int_equal (access (options.path, F_OK), -1);

  /* In use by another backing, or another program. */
  backing = open_file ("locked", MIB);
  options.path = in_folder ("locked");
  options.size = MIB;
  expect_no_open (&options, EBUSY, "in use");
  backing_close (backing);
  assert_int_equal (access (options.path, F_OK), 0);
  backing_close (open_file ("locked", MIB));
}

/* A file system without O_DIRECT does, with a notice. */
static void
test_no_direct (void **state)
{
  struct backing *backing;
  struct backing_queue *queue;
  char *buffer = get_buffer (EXTENT_BYTES);

  (void) state;
  mkdir (in_folder ("ram"), 0700);
  if (unshare (CLONE_NEWNS) == -1
      || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1
      || mount ("ram", in_folder ("ram"), "ramfs", 0, NULL) == -1) {
    print_message ("not permitted to mount ramfs, which has no O_DIRECT\n");
    skip ();
  }
  forget_messages ();
  backing = open_file ("ram/file", MIB);
  assert_int_equal (messages_with ("refuses O_DIRECT"), 1);
  queue = backing_queue_create (2);
  fill (buffer, EXTENT_BYTES, 1);
  assert_int_equal (
      do_io (queue, backing, BACKING_WRITE, buffer, EXTENT_BYTES, 0), 0);
  memset (buffer, 0, EXTENT_BYTES);
  assert_int_equal (
      do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES, 0), 0);
  assert_true (is_filled (buffer, EXTENT_BYTES, 1, 0));
  backing_queue_free (queue);
  backing_close (backing);
  munmap (buffer, EXTENT_BYTES);
  assert_int_equal (umount (in_folder ("ram")), 0);
}

static void
test_invalid (void **state)
{
  struct backing *backing = open_file ("invalid", MIB);
  struct backing_queue *queue = backing_queue_create (2);
  char *buffer = get_buffer (2 * EXTENT_BYTES);
  struct backing_io ios[3];
  struct backing_counters counters;
  unsigned i;

  (void) state;
#define IO(op, at, length, offset)                                             \
  do_io (queue, backing, BACKING_##op, at, length, offset)
  assert_int_equal (IO (READ, buffer + 512, 4096, 0), EINVAL);
  assert_int_equal (IO (READ, buffer, 512, 0), EINVAL);
  assert_int_equal (IO (READ, buffer, 0, 0), EINVAL);
  assert_int_equal (IO (READ, buffer, 4096, 100), EINVAL);
  assert_int_equal (IO (READ, buffer, 4096, MIB), EINVAL);
  assert_int_equal (IO (WRITE, buffer, 4096, UINT64_MAX - 4095), EINVAL);
  assert_int_equal (IO (WRITE, buffer, EXTENT_BYTES, 4096), EINVAL);
  assert_int_equal (IO (WRITE, buffer, 2 * EXTENT_BYTES, 0), EINVAL);
  assert_int_equal (do_io (queue, backing, 2, buffer, EXTENT_BYTES, 0), EINVAL);
#undef IO
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.io_errors, 0);
  assert_int_equal (backing_state (backing), BACKING_ONLINE);

  /* No more than fits. */
  assert_null (backing_queue_wait (queue));
  for (i = 0; i < 3; ++i)
    ios[i] = (struct backing_io){ .backing = backing,
                                  .op = BACKING_READ,
                                  .buffer = buffer + i * 4096,
                                  .length = 4096 };
  assert_int_equal (backing_queue_submit (queue, &ios[0]), 0);
  assert_int_equal (backing_queue_submit (queue, &ios[1]), 0);
  errno = 0;
  assert_int_equal (backing_queue_submit (queue, &ios[2]), -1);
  assert_int_equal (errno, EAGAIN);
  assert_non_null (backing_queue_wait (queue));
  assert_int_equal (backing_queue_submit (queue, &ios[2]), 0);
  assert_non_null (backing_queue_wait (queue));
  assert_non_null (backing_queue_wait (queue));
  assert_null (backing_queue_wait (queue));

  errno = 0;
  assert_null (backing_queue_create (0));
  assert_int_equal (errno, EINVAL);
  assert_null (backing_queue_create (1025));
  backing_queue_free (NULL);
  backing_queue_free (queue);
  backing_close (backing);
  munmap (buffer, 2 * EXTENT_BYTES);
}

/* Many whole extents written, then pieces of all sizes read back. */
static void
test_round_trip (void **state)
{
  enum { EXTENTS = 48, DEPTH = 40 };
  struct backing *backing = open_file ("trip", EXTENTS * EXTENT_BYTES);
  struct backing_queue *queue = backing_queue_create (DEPTH);
  char *buffer = get_buffer (DEPTH * EXTENT_BYTES);
  struct backing_io ios[DEPTH], *io;
  struct backing_counters counters;
  unsigned i, issued = 0, random = 1;
  uint64_t bytes = 0;

  (void) state;
  for (i = 0; i < EXTENTS; ++i)
    assert_int_equal (backing_extent_allocate (backing), i);
  assert_int_equal (backing_extent_allocate (backing), -1);
  assert_int_equal (errno, ENOSPC);

  for (i = 0; i < DEPTH; ++i)
    ios[i] = (struct backing_io){ .backing = backing,
                                  .buffer = buffer + i * EXTENT_BYTES };
  for (i = 0; i < DEPTH; ++i) {
    ios[i].op = BACKING_WRITE;
    ios[i].length = EXTENT_BYTES;
    ios[i].offset = issued * EXTENT_BYTES;
    fill (ios[i].buffer, EXTENT_BYTES, issued++);
    assert_int_equal (backing_queue_submit (queue, &ios[i]), 0);
  }
  while ((io = backing_queue_wait (queue)) != NULL) {
    assert_int_equal (io->error, 0);
    /* Writing does not change what is written. */
    assert_true (
        is_filled (io->buffer, EXTENT_BYTES, io->offset / EXTENT_BYTES, 0));
    if (issued < EXTENTS) {
      io->offset = issued * EXTENT_BYTES;
      fill (io->buffer, EXTENT_BYTES, issued++);
      assert_int_equal (backing_queue_submit (queue, io), 0);
    }
  }

  for (i = 0, issued = 0; i < DEPTH || issued < 1000; ++issued) {
    uint64_t extent, within;

    if (i < DEPTH)
      io = &ios[i++];
    else {
      io = backing_queue_wait (queue);
      assert_non_null (io);
      assert_int_equal (io->error, 0);
      assert_true (is_filled (io->buffer, io->length, io->offset / EXTENT_BYTES,
                              io->offset % EXTENT_BYTES));
    }
    random = random * 1664525 + 1013904223;
    extent = (random >> 8) % EXTENTS;
    random = random * 1664525 + 1013904223;
    within = (random >> 8) % (EXTENT_BYTES / 4096) * 4096;
    random = random * 1664525 + 1013904223;
    io->op = BACKING_READ;
    io->offset = extent * EXTENT_BYTES + within;
    io->length = random % 4 ? 4096 : EXTENT_BYTES - within;
    bytes += io->length;
    memset (io->buffer, 0, io->length);
    assert_int_equal (backing_queue_submit (queue, io), 0);
  }
  while ((io = backing_queue_wait (queue)) != NULL) {
    assert_int_equal (io->error, 0);
    assert_true (is_filled (io->buffer, io->length, io->offset / EXTENT_BYTES,
                            io->offset % EXTENT_BYTES));
  }

  backing_get_counters (backing, &counters);
  assert_int_equal (counters.write_ios, EXTENTS);
  assert_int_equal (counters.written_bytes, EXTENTS * EXTENT_BYTES);
  assert_int_equal (counters.read_ios, 1000);
  assert_int_equal (counters.read_bytes, bytes);
  assert_int_equal (counters.io_errors, 0);
  assert_int_equal (backing_extents_used (backing), EXTENTS);
  backing_queue_free (queue);

  /* Nothing of it stays when it is closed, but the file does. */
  assert_in_range (blocks_of ("trip"), 1, UINT64_MAX);
  backing_close (backing);
  assert_int_equal (blocks_of ("trip"), 0);
  assert_int_equal (length_of ("trip"), EXTENTS * EXTENT_BYTES);
  munmap (buffer, DEPTH * EXTENT_BYTES);
}

/* What a server that was killed left behind goes, too. */
static void
test_left_over (void **state)
{
  int file = open (in_folder ("left"), O_CREAT | O_WRONLY, 0600);
  struct backing *backing;

  (void) state;
  assert_int_equal (pwrite (file, "before", 6, MIB - 6), 6);
  close (file);
  assert_in_range (blocks_of ("left"), 1, MIB);
  backing = open_file ("left", 0);
  assert_int_equal (backing_extents (backing), 4);
  backing_close (backing);
  assert_int_equal (blocks_of ("left"), 0);
  assert_int_equal (length_of ("left"), MIB);
}

static void
test_punch (void **state)
{
  struct backing *backing = open_file ("punch", 64 * EXTENT_BYTES);
  struct backing_queue *queue = backing_queue_create (1);
  char *buffer = get_buffer (EXTENT_BYTES);
  unsigned i;

  (void) state;
  fill (buffer, EXTENT_BYTES, 1);
  for (i = 0; i < 64; ++i) {
    assert_int_equal (backing_extent_allocate (backing), i);
    assert_int_equal (do_io (queue, backing, BACKING_WRITE, buffer,
                             EXTENT_BYTES, i * EXTENT_BYTES),
                      0);
  }
  assert_in_range (blocks_of ("punch"), 64 * EXTENT_BYTES, 65 * EXTENT_BYTES);

  /* All but every eighth. */
  for (i = 0; i < 64; ++i)
    if (i % 8 != 0)
      backing_extent_free (backing, i);
  assert_int_equal (backing_extents_used (backing), 8);
  wait_until (blocks_of ("punch") <= 9 * EXTENT_BYTES);
  for (i = 0; i < 64; i += 8) {
    memset (buffer, 0, EXTENT_BYTES);
    assert_int_equal (do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES,
                             i * EXTENT_BYTES),
                      0);
    assert_true (is_filled (buffer, EXTENT_BYTES, 1, 0));
  }

  /* What was punched out can be had again. */
  for (i = 0; i < 56; ++i)
    wait_until (backing_extent_allocate (backing) % 8 > 0);
  assert_int_equal (backing_extents_used (backing), 64);
  backing_queue_free (queue);
  backing_close (backing);
  munmap (buffer, EXTENT_BYTES);
}

static void
test_resize (void **state)
{
  struct backing *backing = open_file ("resize", 4 * EXTENT_BYTES);
  struct backing_queue *queue = backing_queue_create (1);
  char *buffer = get_buffer (EXTENT_BYTES), *error;
  unsigned i;

  (void) state;
  for (i = 0; i < 4; ++i)
    assert_int_equal (backing_extent_allocate (backing), i);
  assert_int_equal (backing_extent_allocate (backing), -1);

  assert_int_equal (backing_resize (backing, 6 * EXTENT_BYTES + 17, &error), 0);
  assert_null (error);
  assert_int_equal (backing_extents (backing), 6);
  assert_int_equal (length_of ("resize"), 6 * EXTENT_BYTES);
  assert_int_equal (backing_extent_allocate (backing), 4);
  assert_int_equal (do_io (queue, backing, BACKING_WRITE, buffer, EXTENT_BYTES,
                           4 * EXTENT_BYTES),
                    0);

  errno = 0;
  assert_int_equal (backing_resize (backing, 3 * EXTENT_BYTES, &error), -1);
  assert_int_equal (errno, EBUSY);
  assert_non_null (strstr (error, "2 extents (512 KiB)"));
  free (error);
  assert_int_equal (backing_extents (backing), 6);
  assert_int_equal (length_of ("resize"), 6 * EXTENT_BYTES);

  backing_extent_free (backing, 3);
  backing_extent_free (backing, 4);
  assert_int_equal (backing_resize (backing, 3 * EXTENT_BYTES, &error), 0);
  assert_int_equal (backing_extents (backing), 3);
  assert_int_equal (length_of ("resize"), 3 * EXTENT_BYTES);
  assert_int_equal (backing_extent_allocate (backing), -1);
  assert_int_equal (do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES,
                           3 * EXTENT_BYTES),
                    EINVAL);

  errno = 0;
  assert_int_equal (backing_resize (backing, 1000, &error), -1);
  assert_int_equal (errno, EINVAL);
  free (error);
  errno = 0;
  assert_int_equal (backing_resize (backing, UINT64_C (1) << 62, &error), -1);
  assert_int_equal (errno, EFBIG);
  free (error);
  assert_int_equal (backing_extents (backing), 3);
  backing_queue_free (queue);
  backing_close (backing);
  munmap (buffer, EXTENT_BYTES);
}

static void
test_draining (void **state)
{
  struct backing *backing = open_file ("drain", MIB);
  struct backing_queue *queue = backing_queue_create (1);
  char *buffer = get_buffer (4096);

  (void) state;
  assert_int_equal (backing_extent_allocate (backing), 0);
  backing_set_draining (backing, true);
  assert_int_equal (backing_state (backing), BACKING_DRAINING);
  errno = 0;
  assert_int_equal (backing_extent_allocate (backing), -1);
  assert_int_equal (errno, EAGAIN);
  assert_int_equal (do_io (queue, backing, BACKING_READ, buffer, 4096, 0), 0);
  backing_set_draining (backing, false);
  assert_int_equal (backing_state (backing), BACKING_ONLINE);
  assert_int_equal (backing_extent_allocate (backing), 1);
  backing_queue_free (queue);
  backing_close (backing);
  munmap (buffer, 4096);
}

/* A queue may be used by one thread after another. */
static void *
read_on_thread (void *opaque)
{
  void **arguments = opaque;
  int error
      = do_io (arguments[0], arguments[1], BACKING_READ, arguments[2], 4096, 0);

  return (void *) (intptr_t) error;
}

static void
test_hand_over (void **state)
{
  struct backing *backing = open_file ("hand", MIB);
  struct backing_queue *queue = backing_queue_create (4);
  void *arguments[3] = { queue, backing, get_buffer (4096) };
  unsigned i;

  (void) state;
  for (i = 0; i < 3; ++i) {
    pthread_t thread;
    void *error;

    assert_int_equal (pthread_create (&thread, NULL, read_on_thread, arguments),
                      0);
    pthread_join (thread, &error);
    assert_null (error);
    assert_null (read_on_thread (arguments));
  }
  backing_queue_free (queue);
  backing_close (backing);
  munmap (arguments[2], 4096);
}

/* ---- several threads, several backings ---- */

enum { THREADS = 4, ROUNDS = 300, FLIGHT = 8 };

struct worker {
  pthread_t thread;
  struct backing **backings; /* two */
  unsigned number;
  unsigned failures;
};

/* Allocate, write, read back, free. */
static void *
work (void *opaque)
{
  struct worker *worker = opaque;
  struct backing_queue *queue = backing_queue_create (FLIGHT);
  char *buffer = get_buffer (FLIGHT * EXTENT_BYTES);
  struct backing_io ios[FLIGHT], *io;
  unsigned i, round;

  for (round = 0; round < ROUNDS / FLIGHT; ++round) {
    for (i = 0; i < FLIGHT; ++i) {
      struct backing *backing = worker->backings[(i + round) % 2];
      int64_t extent;

      while ((extent = backing_extent_allocate (backing)) == -1)
        pause_briefly ();
      ios[i] = (struct backing_io){ .backing = backing,
                                    .op = BACKING_WRITE,
                                    .buffer = buffer + i * EXTENT_BYTES,
                                    .length = 4 * 4096,
                                    .offset = extent * EXTENT_BYTES };
      fill (ios[i].buffer, ios[i].length, worker->number * 1000 + i);
      worker->failures += backing_queue_submit (queue, &ios[i]) != 0;
    }
    while ((io = backing_queue_wait (queue)) != NULL) {
      worker->failures += io->error != 0;
      if (io->op == BACKING_WRITE) {
        memset (io->buffer, 0, io->length);
        io->op = BACKING_READ;
        worker->failures += backing_queue_submit (queue, io) != 0;
      }
      else {
        worker->failures += !is_filled (io->buffer, io->length,
                                        worker->number * 1000 + (io - ios), 0);
        backing_extent_free (io->backing, io->offset / EXTENT_BYTES);
      }
    }
  }
  backing_queue_free (queue);
  munmap (buffer, FLIGHT * EXTENT_BYTES);
  return NULL;
}

static void
test_threads (void **state)
{
  struct backing *backings[2] = { open_file ("first", 40 * EXTENT_BYTES),
                                  open_file ("second", 40 * EXTENT_BYTES) };
  struct worker workers[THREADS];
  char *error;
  unsigned i;

  (void) state;
  for (i = 0; i < THREADS; ++i) {
    workers[i] = (struct worker){ .backings = backings, .number = i };
    assert_int_equal (
        pthread_create (&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (i = 0; i < 20; ++i) {
    assert_int_equal (
        backing_resize (backings[0], (60 + i) * EXTENT_BYTES, &error), 0);
    pause_briefly ();
  }
  for (i = 0; i < THREADS; ++i) {
    pthread_join (workers[i].thread, NULL);
    assert_int_equal (workers[i].failures, 0);
  }
  assert_int_equal (backing_extents_used (backings[0]), 0);
  assert_int_equal (backing_extents_used (backings[1]), 0);
  wait_until (blocks_of ("first") == 0 && blocks_of ("second") == 0);
  backing_close (backings[0]);
  backing_close (backings[1]);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_create),     cmocka_unit_test (test_refused),
    cmocka_unit_test (test_no_direct),  cmocka_unit_test (test_invalid),
    cmocka_unit_test (test_round_trip), cmocka_unit_test (test_left_over),
    cmocka_unit_test (test_punch),      cmocka_unit_test (test_resize),
    cmocka_unit_test (test_draining),   cmocka_unit_test (test_hand_over),
    cmocka_unit_test (test_threads),
  };

  message_set_sink (keep_message);
  return run_with_both_engines (tests);
}
