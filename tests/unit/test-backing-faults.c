/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that fail: no space, in the middle of a write too, a limit on their
 * length, somebody who truncates them.
 */
#include <config.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "test-backing.h"

static int
write_extent (struct backing_queue *queue, struct backing *backing,
              char *buffer, uint64_t extent)
{
  fill (buffer, EXTENT_BYTES, extent);
  return do_io (queue, backing, BACKING_WRITE, buffer, EXTENT_BYTES,
                extent * EXTENT_BYTES);
}

static bool
reads_back (struct backing_queue *queue, struct backing *backing, char *buffer,
            uint64_t extent)
{
  memset (buffer, 0, EXTENT_BYTES);
  return do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES,
                extent * EXTENT_BYTES)
             == 0
         && is_filled (buffer, EXTENT_BYTES, extent, 0);
}

/* Fill FILE so that only LEFT bytes stay free where it is. */
static int
fill_up (const char *file, uint64_t left)
{
  int fd = open (file, O_CREAT | O_WRONLY, 0600);
  static char zeros[4096];
  uint64_t length = 0;

  assert_int_not_equal (fd, -1);
  while (write (fd, zeros, sizeof zeros) == sizeof zeros)
    length += sizeof zeros;
  assert_int_equal (errno, ENOSPC);
  assert_int_equal (ftruncate (fd, length - left), 0);
  return fd;
}

/* The sparse file is larger than its file system. */
static void
test_full (void **state)
{
  struct backing *backing;
  struct backing_queue *queue;
  struct backing_counters counters;
  char *buffer = get_buffer (EXTENT_BYTES);
  unsigned i;
  int filler;

  (void) state;
  mkdir (in_folder ("full"), 0700);
  if (unshare (CLONE_NEWNS) == -1
      || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1
      || mount ("full", in_folder ("full"), "tmpfs", 0, "size=4M") == -1) {
    print_message ("not permitted to mount a small tmpfs\n");
    skip ();
  }
  backing = open_backing (&(struct backing_options){
      .name = "full", .path = in_folder ("full/file"), .size = 64 * MIB });
  queue = backing_queue_create (1);
  for (i = 0; i < 20; ++i)
    assert_int_equal (backing_extent_allocate (backing), i);
  for (i = 0; i < 4; ++i)
    assert_int_equal (write_extent (queue, backing, buffer, i), 0);

  /* Room for one extent and a half, so one write stops half way. */
  filler = fill_up (in_folder ("full/filler"), EXTENT_BYTES * 3 / 2);
  assert_int_equal (write_extent (queue, backing, buffer, 4), 0);
  forget_messages ();
  for (i = 5; i < 8; ++i) {
    assert_int_equal (backing_state (backing), BACKING_ONLINE);
    assert_int_equal (write_extent (queue, backing, buffer, i), ENOSPC);
  }
  assert_int_equal (backing_state (backing), BACKING_FAILED);
  assert_int_equal (messages_with ("No space left on device"), 1);
  errno = 0;
  assert_int_equal (backing_extent_allocate (backing), -1);
  assert_int_equal (errno, EAGAIN);

  /* What is there is still there, and the place of what failed is punched
   * out again.
   */
  for (i = 0; i < 5; ++i)
    assert_true (reads_back (queue, backing, buffer, i));
  for (i = 5; i < 8; ++i)
    backing_extent_free (backing, i);

  assert_int_equal (ftruncate (filler, 0), 0);
  wait_until (backing_state (backing) == BACKING_ONLINE);
  wait_until (messages_with ("backing full works again") == 1);
  wait_until (backing_extent_allocate (backing) != -1);
  for (i = 8; i < 12; ++i) {
    assert_int_equal (write_extent (queue, backing, buffer, i), 0);
    assert_true (reads_back (queue, backing, buffer, i));
  }
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.io_errors, 3);
  assert_int_equal (counters.write_ios, 9);
  assert_int_equal (counters.written_bytes, 9 * EXTENT_BYTES);
  close (filler);
  backing_queue_free (queue);
  backing_close (backing);
  munmap (buffer, EXTENT_BYTES);
  assert_int_equal (umount (in_folder ("full")), 0);
}

/* A write that the limit of file sizes cuts short, and one that is beyond. */
static void
test_size_limit (void **state)
{
  struct rlimit before, limit;
  struct backing *backing = open_backing (&(struct backing_options){
      .name = "limit", .path = in_folder ("limit"), .size = 4 * MIB });
  struct backing_queue *queue = backing_queue_create (4);
  char *buffer = get_buffer (EXTENT_BYTES);
  unsigned i;

  (void) state;
  for (i = 0; i < 16; ++i)
    assert_int_equal (backing_extent_allocate (backing), i);
  signal (SIGXFSZ, SIG_IGN);
  assert_int_equal (getrlimit (RLIMIT_FSIZE, &before), 0);
  limit = before;
  limit.rlim_cur = EXTENT_BYTES * 5 / 2;
  assert_int_equal (setrlimit (RLIMIT_FSIZE, &limit), 0);
  assert_int_equal (write_extent (queue, backing, buffer, 0), 0);
  assert_int_equal (write_extent (queue, backing, buffer, 1), 0);
  assert_int_equal (write_extent (queue, backing, buffer, 2), EFBIG);
  assert_int_equal (write_extent (queue, backing, buffer, 3), EFBIG);
  assert_int_equal (backing_state (backing), BACKING_ONLINE);
  assert_int_equal (write_extent (queue, backing, buffer, 4), EFBIG);
  assert_int_equal (backing_state (backing), BACKING_FAILED);
  assert_true (reads_back (queue, backing, buffer, 0));
  assert_true (reads_back (queue, backing, buffer, 1));

  /* All extents are in use, so reading is what proves that it works; and then
   * it is found out again that it does not.
   */
  wait_until (backing_state (backing) == BACKING_ONLINE);
  for (i = 2; i < 5; ++i)
    assert_int_equal (write_extent (queue, backing, buffer, i), EFBIG);
  assert_int_equal (backing_state (backing), BACKING_FAILED);
  assert_int_equal (setrlimit (RLIMIT_FSIZE, &before), 0);
  wait_until (backing_state (backing) == BACKING_ONLINE);
  for (i = 2; i < 16; ++i)
    assert_int_equal (write_extent (queue, backing, buffer, i), 0);
  for (i = 0; i < 16; ++i)
    assert_true (reads_back (queue, backing, buffer, i));
  backing_queue_free (queue);
  backing_close (backing);
  munmap (buffer, EXTENT_BYTES);
}

static void
test_truncated (void **state)
{
  struct backing *backing = open_backing (&(struct backing_options){
      .name = "cut", .path = in_folder ("cut"), .size = MIB });
  struct backing_queue *queue = backing_queue_create (4);
  char *buffer = get_buffer (EXTENT_BYTES);
  struct backing_counters counters;
  unsigned i;

  (void) state;
  for (i = 0; i < 4; ++i) {
    assert_int_equal (backing_extent_allocate (backing), i);
    assert_int_equal (write_extent (queue, backing, buffer, i), 0);
  }
  assert_int_equal (truncate (in_folder ("cut"), EXTENT_BYTES * 5 / 2), 0);
  assert_true (reads_back (queue, backing, buffer, 0));
  assert_true (reads_back (queue, backing, buffer, 1));
  assert_int_equal (do_io (queue, backing, BACKING_READ, buffer,
                           EXTENT_BYTES / 2, 2 * EXTENT_BYTES),
                    0);
  assert_true (is_filled (buffer, EXTENT_BYTES / 2, 2, 0));
  assert_int_equal (do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES,
                           2 * EXTENT_BYTES),
                    EIO);
  assert_int_equal (
      do_io (queue, backing, BACKING_READ, buffer, 4096, 3 * EXTENT_BYTES),
      EIO);
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.io_errors, 2);
  assert_int_equal (backing_state (backing), BACKING_ONLINE);
  backing_queue_free (queue);
  backing_close (backing);
  munmap (buffer, EXTENT_BYTES);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_full),
    cmocka_unit_test (test_size_limit),
    cmocka_unit_test (test_truncated),
  };

  message_set_sink (keep_message);
  return run_with_both_engines (tests);
}
