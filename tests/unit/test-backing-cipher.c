/* SPDX-License-Identifier: BSD-3-Clause */
/* Encrypted backings: what lies on the disk or at the server is not what was
 * written, and equal pages do not look equal.
 */
#include <config.h>

#include <fcntl.h>

#include "test-backing.h"
#include "backing/cipher.h"

enum { EXTENTS = 40, DEPTH = 40 };

static void
test_units (void **state)
{
  struct cipher *cipher = cipher_create (NULL), *other = cipher_create (NULL);
  char *plain = get_buffer (EXTENT_BYTES), *secret = get_buffer (EXTENT_BYTES);
  char *back = get_buffer (EXTENT_BYTES);
  unsigned i;

  (void) state;
  assert_non_null (cipher);
  assert_non_null (other);
  fill (plain, EXTENT_BYTES, 3);
  assert_int_equal (
      cipher_encrypt (cipher, secret, plain, EXTENT_BYTES, 7 * EXTENT_BYTES),
      0);
  assert_memory_not_equal (secret, plain, EXTENT_BYTES);

  /* Each unit alone, in place too. */
  for (i = 0; i < EXTENT_BYTES; i += CIPHER_UNIT) {
    assert_int_equal (cipher_decrypt (cipher, back + i, secret + i, CIPHER_UNIT,
                                      7 * EXTENT_BYTES + i),
                      0);
  }
  assert_memory_equal (back, plain, EXTENT_BYTES);
  memcpy (back, secret, EXTENT_BYTES);
  assert_int_equal (
      cipher_decrypt (cipher, back, back, EXTENT_BYTES, 7 * EXTENT_BYTES), 0);
  assert_memory_equal (back, plain, EXTENT_BYTES);

  /* Not with another key, nor at another place. */
  assert_int_equal (
      cipher_decrypt (other, back, secret, EXTENT_BYTES, 7 * EXTENT_BYTES), 0);
  assert_memory_not_equal (back, plain, CIPHER_UNIT);
  assert_int_equal (
      cipher_decrypt (cipher, back, secret, EXTENT_BYTES, 8 * EXTENT_BYTES), 0);
  assert_memory_not_equal (back, plain, CIPHER_UNIT);
  cipher_destroy (cipher);
  cipher_destroy (other);
  munmap (plain, EXTENT_BYTES);
  munmap (secret, EXTENT_BYTES);
  munmap (back, EXTENT_BYTES);
}

/* DISK is where the bytes end up. */
static void
check_encrypted (struct backing *backing, const char *disk)
{
  struct backing_queue *queue = backing_queue_create (DEPTH);
  char *buffer = get_buffer (DEPTH * EXTENT_BYTES);
  char *blocks = get_buffer (EXTENTS * EXTENT_BYTES);
  struct backing_io ios[DEPTH], *io;
  uint64_t i, j;
  int fd;

  /* The same page over and over, in every extent. */
  for (i = 0; i < DEPTH * EXTENT_BYTES; i += 4096)
    fill (buffer + i, 4096, 1);
  for (i = 0; i < DEPTH; ++i) {
    ios[i] = (struct backing_io){ .backing = backing,
                                  .op = BACKING_WRITE,
                                  .buffer = buffer + i * EXTENT_BYTES,
                                  .length = EXTENT_BYTES,
                                  .offset = i * EXTENT_BYTES };
    assert_int_equal (backing_queue_submit (queue, &ios[i]), 0);
  }
  for (i = 0; (io = backing_queue_wait (queue)) != NULL; ++i)
    assert_int_equal (io->error, 0);
  assert_int_equal (i, DEPTH);
  for (i = 0; i < DEPTH * EXTENT_BYTES; i += 4096)
    assert_true (is_filled (buffer + i, 4096, 1, 0));

  fd = open (disk, O_RDONLY);
  assert_int_not_equal (fd, -1);
  assert_int_equal (pread (fd, blocks, EXTENTS * EXTENT_BYTES, 0),
                    EXTENTS * EXTENT_BYTES);
  close (fd);
  /* Sixteen bytes, the cipher's block, never repeat: not what is plain, and
   * not at the same place of any two pages.
   */
  for (i = 0; i < EXTENTS * EXTENT_BYTES; i += 16)
    if (memcmp (blocks + i, buffer + i % 4096, 16) == 0)
      fail_msg ("plain text at %llu", (unsigned long long) i);
  for (i = 0; i < EXTENTS * EXTENT_BYTES; i += 4096)
    for (j = i + 4096; j < EXTENTS * EXTENT_BYTES; j += 4096)
      if (memcmp (blocks + i, blocks + j, 16) == 0)
        fail_msg ("equal pages at %llu and %llu", (unsigned long long) i,
                  (unsigned long long) j);

  /* Every kind of piece comes back. */
  for (i = 0; i < DEPTH; ++i) {
    ios[i].op = BACKING_READ;
    ios[i].offset = (DEPTH - 1 - i) * EXTENT_BYTES + i * 4096;
    ios[i].length = i % 2 ? 4096 : i % 3 ? 8192 : 12288;
    memset (ios[i].buffer, 0, EXTENT_BYTES);
    assert_int_equal (backing_queue_submit (queue, &ios[i]), 0);
  }
  while ((io = backing_queue_wait (queue)) != NULL) {
    assert_int_equal (io->error, 0);
    for (i = 0; i < io->length; i += 4096)
      assert_true (is_filled ((char *) io->buffer + i, 4096, 1, 0));
  }

  /* Small writes too. */
  fill (buffer, 8192, 9);
  assert_int_equal (
      do_io (queue, backing, BACKING_WRITE, buffer, 8192, 5 * EXTENT_BYTES), 0);
  memset (buffer, 0, 8192);
  assert_int_equal (
      do_io (queue, backing, BACKING_READ, buffer, 8192, 5 * EXTENT_BYTES), 0);
  assert_true (is_filled (buffer, 8192, 9, 0));
  backing_queue_free (queue);
  munmap (buffer, DEPTH * EXTENT_BYTES);
  munmap (blocks, EXTENTS * EXTENT_BYTES);
}

static void
test_file (void **state)
{
  struct backing *backing
      = open_backing (&(struct backing_options){ .name = "secret",
                                                 .path = in_folder ("file"),
                                                 .size = EXTENTS * EXTENT_BYTES,
                                                 .encrypt = true });

  (void) state;
  check_encrypted (backing, in_folder ("file"));
  backing_close (backing);
}

static void
test_remote (void **state)
{
  char disk[256];
  pid_t server;
  struct backing *backing;

  (void) state;
  snprintf (disk, sizeof disk, "file=%s", in_folder ("disk"));
  close (open (in_folder ("disk"), O_CREAT | O_WRONLY, 0600));
  assert_int_equal (truncate (in_folder ("disk"), EXTENTS * EXTENT_BYTES), 0);
  server = NBDKIT ("s", "file", disk);
  backing = open_backing (&(struct backing_options){
      .name = "secret", .uri = uri_of ("s"), .encrypt = true });
  check_encrypted (backing, in_folder ("disk"));
  backing_close (backing);
  kill_child (server);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_units),
    cmocka_unit_test (test_file),
    cmocka_unit_test (test_remote),
  };

  message_set_sink (keep_message);
  return run_with_both_engines (tests);
}
