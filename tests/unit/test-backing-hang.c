/* SPDX-License-Identifier: BSD-3-Clause */
/* Files and devices that hang: a frozen file system, whose writes nothing can
 * interrupt, and a file of FUSE whose server is stopped.  And what needs a
 * loop device besides: block devices.
 */
#include <config.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "backing/bounce.h"
#include "backing/internal.h"
#include "test-backing.h"

/* More than the kernel has workers for requests that block, by default. */
enum { FLIGHT = 24 };

/* ---- loop devices and frozen file systems ---- */

/* A loop device on a new file of the folder; it goes when it is not used any
 * more.  Its path, or NULL.
 */
static const char *
attach_loop (const char *name, uint64_t size, int *device)
{
  static char path[64];
  int control = open ("/dev/loop-control", O_RDWR | O_CLOEXEC);
  int file, number, tries;

  *device = -1;
  if (control == -1)
    return NULL;
  file = open (in_folder (name), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  assert_int_not_equal (file, -1);
  assert_int_equal (ftruncate (file, size), 0);
  /* Others may be as quick to take a free one. */
  for (tries = 0; *device == -1 && tries < 100; ++tries) {
    number = ioctl (control, LOOP_CTL_GET_FREE);
    if (number == -1)
      break;
    snprintf (path, sizeof path, "/dev/loop%d", number);
    *device = open (path, O_RDWR | O_CLOEXEC);
    if (*device != -1) {
      struct loop_config config
          = { .fd = file, .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };

      if (ioctl (*device, LOOP_CONFIGURE, &config) == -1) {
        close (*device);
        *device = -1;
      }
    }
  }
  close (control);
  close (file);
  return *device == -1 ? NULL : path;
}

/* A child that thaws the file system if this process ends or takes too long: a
 * process with requests in a frozen one cannot even exit.
 */
static pid_t
guard (int directory, int *pipe_end)
{
  struct pollfd end;
  int ends[2];
  pid_t pid;

  assert_int_equal (pipe2 (ends, O_CLOEXEC), 0);
  pid = fork ();
  assert_int_not_equal (pid, -1);
  if (pid == 0) {
    close (ends[1]);
    end = (struct pollfd){ .fd = ends[0] };
    poll (&end, 1, 2 * PATIENCE * 1000);
    ioctl (directory, FITHAW, 0);
    _exit (0);
  }
  close (ends[0]);
  *pipe_end = ends[1];
  return pid;
}

struct frozen {
  int device, directory, pipe_end;
  pid_t guard;
};

/* An ext4 on "mount" in the folder; false if that cannot be. */
static bool
mount_small (struct frozen *frozen)
{
  const char *path;

  mkdir (in_folder ("mount"), 0700);
  if (!have_program ("mkfs.ext4") || unshare (CLONE_NEWNS) == -1
      || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1
      || (path = attach_loop ("image", 32 * MIB, &frozen->device)) == NULL) {
    print_message ("no loop device, mount or mkfs.ext4 to be had\n");
    return false;
  }
  assert_int_equal (run_program ((const char *const[]){
                        "mkfs.ext4", "-q", "-O", "^has_journal", path, NULL }),
                    0);
  assert_int_equal (mount (path, in_folder ("mount"), "ext4", 0, NULL), 0);
  frozen->directory = open (in_folder ("mount"), O_RDONLY | O_CLOEXEC);
  assert_int_not_equal (frozen->directory, -1);
  frozen->guard = guard (frozen->directory, &frozen->pipe_end);
  return true;
}

static void
freeze (struct frozen *frozen)
{
  assert_int_equal (ioctl (frozen->directory, FIFREEZE, 0), 0);
}

static void
thaw (struct frozen *frozen)
{
  assert_int_equal (ioctl (frozen->directory, FITHAW, 0), 0);
}

static void
unmount_small (struct frozen *frozen)
{
  bool gone;

  close (frozen->pipe_end);
  reap (frozen->guard);
  close (frozen->directory);
  /* As soon as nothing holds a file of it any more, not even a queue that was
   * left behind: those are looked at when another one is made.
   */
  wait_until ((gone = umount (in_folder ("mount")) == 0,
               backing_queue_free (backing_queue_create (1)), gone));
  close (frozen->device);
}

/* ---- the tests ---- */

static void
test_frozen (void **state)
{
  struct frozen frozen;
  struct backing *backing, *other;
  struct backing_queue *queue;
  struct backing_counters counters;
  char *buffer = get_buffer (EXTENT_BYTES);
  char *overdue = get_buffer (FLIGHT * EXTENT_BYTES);
  struct backing_io ios[FLIGHT], *io;
  bool handed_out[32] = { false };
  unsigned i, done = 0;
  int64_t extent;

  (void) state;
  if (!mount_small (&frozen))
    skip ();
  backing = open_backing (&(struct backing_options){
      .name = "frozen",
      .path = in_folder ("mount/file"),
      .size = 32 * EXTENT_BYTES,
      .deadline = 3,
  });
  other = open_backing (&(struct backing_options){
      .name = "other", .path = in_folder ("other"), .size = MIB });
  queue = backing_queue_create (FLIGHT + 1);
  for (i = 0; i < FLIGHT; ++i)
    assert_int_equal (backing_extent_allocate (backing), i);

  freeze (&frozen);
  forget_messages ();
  for (i = 0; i < FLIGHT; ++i) {
    ios[i] = (struct backing_io){ .backing = backing,
                                  .op = BACKING_WRITE,
                                  .buffer = overdue + i * EXTENT_BYTES,
                                  .length = EXTENT_BYTES,
                                  .offset = i * EXTENT_BYTES };
    assert_int_equal (backing_queue_submit (queue, &ios[i]), 0);
  }
  /* Another backing is not held up. */
  assert_int_equal (
      do_io (queue, other, BACKING_WRITE, buffer, EXTENT_BYTES, 0), 0);
  while ((io = backing_queue_wait (queue)) != NULL) {
    assert_int_equal (io->error, ETIMEDOUT);
    done++;
  }
  assert_int_equal (done, FLIGHT);
  assert_int_equal (backing_state (backing), BACKING_FAILED);
  assert_int_equal (messages_with ("not done after 3 seconds"), 1);
  errno = 0;
  assert_int_equal (backing_extent_allocate (backing), -1);
  assert_int_equal (errno, EAGAIN);

  /* From now on it fails at once, and the other one works on. */
  assert_int_equal (do_io (queue, backing, BACKING_READ, buffer, 4096, 0),
                    ENODEV);
  for (i = 0; i < 10; ++i)
    assert_int_equal (
        do_io (queue, other, BACKING_READ, buffer, EXTENT_BYTES, 0), 0);

  /* The writes may still come.  Their extents are given back meanwhile. */
  for (i = 0; i < FLIGHT; ++i)
    backing_extent_free (backing, i);
  assert_int_equal (backing_extents_used (backing), 0);
  thaw (&frozen);
  wait_until (backing_state (backing) == BACKING_ONLINE);
  wait_until (messages_with ("backing frozen works again") == 1);

  /* Each can be had again, once; for the late ones the queue has to look. */
  for (i = 0; i < 32; ++i) {
    wait_until (do_io (queue, other, BACKING_READ, buffer, 4096, 0) == 0
                && (extent = backing_extent_allocate (backing)) != -1);
    assert_in_range (extent, 0, 31);
    assert_false (handed_out[extent]);
    handed_out[extent] = true;
    fill (buffer, EXTENT_BYTES, extent);
    assert_int_equal (do_io (queue, backing, BACKING_WRITE, buffer,
                             EXTENT_BYTES, extent * EXTENT_BYTES),
                      0);
  }
  for (i = 0; i < 32; ++i) {
    assert_int_equal (do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES,
                             i * EXTENT_BYTES),
                      0);
    assert_true (is_filled (buffer, EXTENT_BYTES, i, 0));
  }
  backing_get_counters (backing, &counters);
  assert_int_equal (counters.io_errors, FLIGHT + 1);
  backing_queue_free (queue);
  backing_close (backing);
  backing_close (other);
  munmap (buffer, EXTENT_BYTES);
  munmap (overdue, FLIGHT * EXTENT_BYTES);
  unmount_small (&frozen);
}

/* Closing and freeing while requests are stuck, one of them a probe: that does
 * not wait for them, and all is cleared up once they are not.
 */
static void
test_closed_while_frozen (void **state)
{
  struct frozen frozen;
  struct backing *backing;
  struct backing_queue *queue;
  char *buffer = get_buffer (EXTENT_BYTES);

  (void) state;
  if (!mount_small (&frozen))
    skip ();
  backing = open_backing (&(struct backing_options){
      .name = "frozen",
      .path = in_folder ("mount/file"),
      .size = 4 * EXTENT_BYTES,
      .deadline = 3,
  });
  queue = backing_queue_create (2);
  assert_int_equal (backing_extent_allocate (backing), 0);
  freeze (&frozen);
  assert_int_equal (
      do_io (queue, backing, BACKING_WRITE, buffer, EXTENT_BYTES, 0),
      ETIMEDOUT);
  /* It takes an extent more. */
  wait_until (extents_fresh (backing->extents) == 2);
  backing_close (backing);
  /* This fails if somebody else had to do it. */
  thaw (&frozen);
  backing_queue_free (queue);
  munmap (buffer, EXTENT_BYTES);
  unmount_small (&frozen);
}

/* A backing that gets no buffer of the queue, since the reads of another one
 * hold them all, has not failed.
 */
static void
starve (struct backing_queue *queue)
{
  struct backing *other
      = open_backing (&(struct backing_options){ .name = "other",
                                                 .path = in_folder ("other"),
                                                 .size = EXTENT_BYTES,
                                                 .deadline = 2 });
  char *page = get_buffer (EXTENT_BYTES);
  struct backing_counters counters;
  int error;

  assert_int_equal (backing_extent_allocate (other), 0);
  error = do_io (queue, other, BACKING_READ, page, EXTENT_BYTES, 0);
  /* Threads give back what they have not begun. */
  assert_true (error == 0 || error == ETIMEDOUT);
  assert_int_equal (backing_state (other), BACKING_ONLINE);
  backing_get_counters (other, &counters);
  assert_int_equal (counters.io_errors, error != 0);
  backing_close (other);
  unlink (in_folder ("other"));
  munmap (page, EXTENT_BYTES);
}

/* More than there are large buffers. */
#define READS (LARGE_BOUNCES + 8)

/* A FUSE file on a server that is stopped: reads hang. */
static void
test_stopped (void **state)
{
  struct backing *backing;
  struct backing_queue *queue;
  char *buffer = get_buffer (READS * EXTENT_BYTES);
  struct backing_io ios[READS], *io;
  char directory[256], file[300];
  pid_t server, fuse;
  unsigned i, done = 0;
  struct stat st;

  (void) state;
  if (!have_program ("nbdfuse") || access ("/dev/fuse", R_OK | W_OK) == -1) {
    print_message ("nbdfuse (package libnbd-bin) or /dev/fuse is missing\n");
    skip ();
  }
  server = NBDKIT ("s", "memory", "8M");
  snprintf (directory, sizeof directory, "%s", in_folder ("fuse"));
  snprintf (file, sizeof file, "%s/disk", directory);
  mkdir (directory, 0700);
  fuse = spawn ((const char *const[]){ "nbdfuse", file, uri_of ("s"), NULL });
  wait_until (stat (file, &st) == 0 && st.st_size == 8 * (int64_t) MIB);

  backing = open_backing (&(struct backing_options){
      .name = "stopped", .path = file, .deadline = 3 });
  queue = backing_queue_create (READS);
  for (i = 0; i < FLIGHT; ++i) {
    assert_int_equal (backing_extent_allocate (backing), i);
    fill (buffer, EXTENT_BYTES, i);
    assert_int_equal (do_io (queue, backing, BACKING_WRITE, buffer,
                             EXTENT_BYTES, i * EXTENT_BYTES),
                      0);
  }
  stop_child (server);
  for (i = 0; i < READS; ++i) {
    ios[i] = (struct backing_io){ .backing = backing,
                                  .op = BACKING_READ,
                                  .buffer = buffer + i * EXTENT_BYTES,
                                  .length
                                  = i < LARGE_BOUNCES ? EXTENT_BYTES : 4096,
                                  .offset = i % FLIGHT * EXTENT_BYTES };
    assert_int_equal (backing_queue_submit (queue, &ios[i]), 0);
  }
  while ((io = backing_queue_wait (queue)) != NULL) {
    assert_int_equal (io->error, ETIMEDOUT);
    done++;
  }
  assert_int_equal (done, READS);
  assert_int_equal (backing_state (backing), BACKING_FAILED);

  starve (queue);

  /* The buffers are ours again, though the reads go on. */
  memset (buffer, 0x5a, READS * EXTENT_BYTES);
  kill (server, SIGCONT);
  wait_until (backing_state (backing) == BACKING_ONLINE);
  for (i = 0; i < READS; ++i)
    assert_int_equal (backing_queue_submit (queue, &ios[i]), 0);
  while ((io = backing_queue_wait (queue)) != NULL) {
    assert_int_equal (io->error, 0);
    assert_true (is_filled (io->buffer, io->length, (io - ios) % FLIGHT, 0));
    memset (io->buffer, 0x5a, io->length);
  }
  for (i = 0; i < READS * EXTENT_BYTES; ++i)
    if (buffer[i] != 0x5a)
      fail_msg ("byte %u changed after the request was overdue", i);
  backing_queue_free (queue);
  backing_close (backing);
  kill (fuse, SIGTERM);
  reap (fuse);
  kill_child (server);
  umount2 (directory, MNT_DETACH);
  munmap (buffer, READS * EXTENT_BYTES);
}

static void
test_device (void **state)
{
  struct backing_options options = { .name = "device" };
  struct backing_queue *queue = backing_queue_create (1);
  char *buffer = get_buffer (EXTENT_BYTES);
  struct backing *backing;
  struct stat st;
  char *error;
  int device;

  (void) state;
  options.path = attach_loop ("disk", 8 * MIB, &device);
  if (options.path == NULL) {
    print_message ("no loop device to be had\n");
    skip ();
  }
  options.size = 9 * MIB;
  expect_no_open (&options, ENOSPC, "has 8388608 bytes");
  options.size = 0;
  backing = open_backing (&options);
  assert_int_equal (backing_kind (backing), BACKING_BLOCK);
  assert_int_equal (backing_extents (backing), 32);
  expect_no_open (&options, EBUSY, "in use");

  assert_int_equal (backing_extent_allocate (backing), 0);
  assert_int_equal (backing_extent_allocate (backing), 1);
  fill (buffer, EXTENT_BYTES, 1);
  assert_int_equal (
      do_io (queue, backing, BACKING_WRITE, buffer, EXTENT_BYTES, 0), 0);
  assert_int_equal (
      do_io (queue, backing, BACKING_WRITE, buffer, EXTENT_BYTES, EXTENT_BYTES),
      0);
  memset (buffer, 0, EXTENT_BYTES);
  assert_int_equal (
      do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES, 0), 0);
  assert_true (is_filled (buffer, EXTENT_BYTES, 1, 0));

  /* What is freed is discarded, which shows in the file below. */
  assert_int_equal (stat (in_folder ("disk"), &st), 0);
  assert_in_range (st.st_blocks * 512, 2 * EXTENT_BYTES, 3 * EXTENT_BYTES);
  backing_extent_free (backing, 0);
  wait_until (stat (in_folder ("disk"), &st) == 0
              && st.st_blocks * 512 < 2 * EXTENT_BYTES);
  assert_int_equal (
      do_io (queue, backing, BACKING_READ, buffer, EXTENT_BYTES, EXTENT_BYTES),
      0);
  assert_true (is_filled (buffer, EXTENT_BYTES, 1, 0));

  assert_int_equal (backing_resize (backing, MIB, &error), 0);
  errno = 0;
  assert_int_equal (backing_resize (backing, 9 * MIB, &error), -1);
  assert_int_equal (errno, ENOSPC);
  free (error);
  assert_int_equal (backing_resize (backing, 8 * MIB, &error), 0);
  assert_int_equal (backing_extents (backing), 32);
  backing_close (backing);
  backing_close (open_backing (&options));
  close (device);
  backing_queue_free (queue);
  munmap (buffer, EXTENT_BYTES);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_frozen),
    cmocka_unit_test (test_closed_while_frozen),
    cmocka_unit_test (test_stopped),
    cmocka_unit_test (test_device),
  };

  message_set_sink (keep_message);
  return run_with_both_engines (tests);
}
