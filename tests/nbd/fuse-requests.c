/* SPDX-License-Identifier: BSD-3-Clause */
/* fuse-requests FILE: requests of any place and length on the disk of the FUSE
 * tree, from several threads at once, each on its own bytes (not pages: they
 * share those at the borders) and each beside a copy in memory.  Then what the
 * file does at its end, and where its holes are.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 4
#define REGION ((6 << 20) + 1234) /* bytes */
#define REQUESTS 800
#define LONGEST (1536 << 10)

static const char *file;

static void __attribute__ ((noreturn, format (printf, 1, 2)))
fail (const char *format, ...)
{
  int saved_errno = errno;
  va_list arguments;

  va_start (arguments, format);
  fprintf (stderr, "fuse-requests: ");
  vfprintf (stderr, format, arguments);
  va_end (arguments);
  fprintf (stderr, " (%s)\n", strerror (saved_errno));
  exit (1);
}

static uint64_t
next_random (uint64_t *state)
{
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C (0x2545f4914f6cdd1d) >> 8;
}

static int
open_file (int flags)
{
  int fd = open (file, O_RDWR | O_CLOEXEC | flags);

  if (fd == -1)
    fail ("%s", file);
  return fd;
}

/* One that compresses, in a way that tells where it is from. */
static void
fill (char *bytes, size_t length, uint64_t *state)
{
  uint64_t word = next_random (state);

  for (size_t i = 0; i < length; ++i) {
    if (i % 512 == 0 || (word & 7) == 7)
      word = next_random (state);
    bytes[i] = (char) (word >> i % 3 * 8);
  }
}

struct work {
  pthread_t thread;
  unsigned number;
};

static void
request (int fd, const struct work *work, char *copy, char *room,
         uint64_t *state)
{
  off_t base = (off_t) work->number * REGION;
  size_t length = next_random (state) % 16 == 0
                      ? next_random (state) % LONGEST + 1
                      : next_random (state) % 9000 + 1;
  size_t start = next_random (state) % (REGION - length);
  off_t offset = base + (off_t) start;

  /* Whole pages as often as not. */
  if (next_random (state) % 2 == 0 && length > 4096) {
    size_t over = (size_t) (offset % 4096);

    if (start >= over) {
      start -= over;
      offset -= (off_t) over;
    }
    length -= length % 4096;
  }
  switch (next_random (state) % 8) {
  case 0:
    if (fallocate (fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                   (off_t) length)
        == -1)
      fail ("punching %zu bytes at %lld", length, (long long) offset);
    memset (copy + start, 0, length);
    break;
  case 1:
    if (fallocate (fd, FALLOC_FL_ZERO_RANGE, offset, (off_t) length) == -1)
      fail ("zeroing %zu bytes at %lld", length, (long long) offset);
    memset (copy + start, 0, length);
    break;
  case 2 ... 4:
    fill (copy + start, length, state);
    if (pwrite (fd, copy + start, length, offset) != (ssize_t) length)
      fail ("writing %zu bytes at %lld", length, (long long) offset);
    break;
  default:
    if (pread (fd, room, length, offset) != (ssize_t) length)
      fail ("reading %zu bytes at %lld", length, (long long) offset);
    for (size_t i = 0; i < length; ++i)
      if (room[i] != copy[start + i]) {
        errno = 0;
        fail ("byte %lld is wrong", (long long) offset + (long long) i);
      }
  }
}

static void *
run (void *data)
{
  struct work *work = data;
  /* Every second one without the page cache, which direct I/O is anyway. */
  int fd = open_file (work->number % 2 ? O_DIRECT : 0);
  char *copy = calloc (1, REGION), *room = malloc (LONGEST);
  uint64_t state = work->number * 77 + 1;

  if (!copy || !room)
    fail ("no memory");
  if (pwrite (fd, copy, REGION, (off_t) work->number * REGION) != REGION)
    fail ("writing the region");
  for (unsigned i = 0; i < REQUESTS; ++i)
    request (fd, work, copy, room, &state);
  if (fsync (fd) == -1)
    fail ("fsync");
  free (copy);
  free (room);
  close (fd);
  return NULL;
}

static void
expect (const char *what, long long is, long long expected)
{
  if (is != expected)
    fail ("%s is %lld, expected %lld", what, is, expected);
}

static void
try_the_end (int fd, off_t size)
{
  char room[8192];

  memset (room, 'x', sizeof room);
  expect ("a write over the end", pwrite (fd, room, 8192, size - 100), 100);
  expect ("a write at the end", pwrite (fd, room, 1, size), -1);
  expect ("its error", errno, ENOSPC);
  expect ("a write far beyond", pwrite (fd, room, 1, size + (1 << 20)), -1);
  expect ("its error", errno, ENOSPC);
  expect ("a read over the end", pread (fd, room, 8192, size - 100), 100);
  expect ("a read at the end", pread (fd, room, 1, size), 0);
  expect ("a hole over the end",
          fallocate (fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     size - 4096, 1 << 20),
          0);
  expect ("more room", fallocate (fd, 0, 0, size + 1), -1);
  expect ("room that is there", fallocate (fd, 0, 0, size), 0);
  expect ("a collapse", fallocate (fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
  expect ("its error", errno, EOPNOTSUPP);
  expect ("the size", lseek (fd, 0, SEEK_END), size);
  expect ("a change of the size", ftruncate (fd, size + 4096), -1);
  expect ("the same size again", ftruncate (fd, size), 0);
}

static void
try_holes (int fd, off_t size)
{
  char page[4096];

  memset (page, 0, sizeof page);
  memcpy (page, "not empty", 9);
  expect ("a hole", fallocate (fd, 3, 0, size), 0);
  expect ("data in nothing", lseek (fd, 0, SEEK_DATA), -1);
  expect ("its error", errno, ENXIO);
  expect ("a write", pwrite (fd, page, 4096, 1 << 20), 4096);
  expect ("data", lseek (fd, 0, SEEK_DATA), 1 << 20);
  expect ("data from within", lseek (fd, (1 << 20) + 5, SEEK_DATA),
          (1 << 20) + 5);
  expect ("a hole after data", lseek (fd, 1 << 20, SEEK_HOLE),
          (1 << 20) + 4096);
  expect ("a hole in a hole", lseek (fd, 77, SEEK_HOLE), 77);
  expect ("data at the end", lseek (fd, size, SEEK_DATA), -1);
}

int
main (int argc, char *argv[])
{
  struct work work[THREADS];
  struct stat status;
  int fd;

  if (argc != 2) {
    fprintf (stderr, "usage: fuse-requests FILE\n");
    return 2;
  }
  file = argv[1];
  fd = open_file (0);
  if (fstat (fd, &status) == -1 || status.st_size < (off_t) THREADS * REGION)
    fail ("%s is too small", file);
  for (unsigned i = 0; i < THREADS; ++i) {
    work[i].number = i;
    if ((errno = pthread_create (&work[i].thread, NULL, run, &work[i])))
      fail ("pthread_create");
  }
  for (unsigned i = 0; i < THREADS; ++i)
    pthread_join (work[i].thread, NULL);
  try_the_end (fd, status.st_size);
  try_holes (fd, status.st_size);
  close (fd);
  return 0;
}
