/* SPDX-License-Identifier: BSD-3-Clause */
/* Where io_uring is not permitted, threads do the same work and one notice
 * says so.
 */
#include <config.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "test-backing.h"

/* io_uring_setup gives EPERM from now on, as with kernel.io_uring_disabled. */
static bool
forbid_io_uring (void)
{
  struct sock_filter filter[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program
      = { .len = sizeof filter / sizeof filter[0], .filter = filter };

  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
         && prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void
test_forbidden (void **state)
{
  struct backing_queue *queues[3];
  struct backing *backing;
  char *buffer = get_buffer (EXTENT_BYTES);
  unsigned i;

  (void) state;
  for (i = 0; i < 3; ++i) {
    queues[i] = backing_queue_create (4);
    assert_non_null (queues[i]);
  }
  backing = open_backing (&(struct backing_options){
      .name = "file", .path = in_folder ("file"), .size = MIB });
  assert_int_equal (messages_with ("io_uring cannot be used here"), 1);
  for (i = 0; i < 3; ++i) {
    fill (buffer, EXTENT_BYTES, i);
    assert_int_equal (do_io (queues[i], backing, BACKING_WRITE, buffer,
                             EXTENT_BYTES, i * EXTENT_BYTES),
                      0);
    memset (buffer, 0, EXTENT_BYTES);
    assert_int_equal (do_io (queues[i], backing, BACKING_READ, buffer,
                             EXTENT_BYTES, i * EXTENT_BYTES),
                      0);
    assert_true (is_filled (buffer, EXTENT_BYTES, i, 0));
  }
  backing_close (backing);
  for (i = 0; i < 3; ++i)
    backing_queue_free (queues[i]);
  munmap (buffer, EXTENT_BYTES);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_forbidden) };

  if (!forbid_io_uring ()) {
    printf ("this kernel has no seccomp filters\n");
    return 77;
  }
  message_set_sink (keep_message);
  return cmocka_run_group_tests (tests, make_folder, remove_folder);
}
