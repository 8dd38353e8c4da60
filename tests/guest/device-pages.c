/* SPDX-License-Identifier: BSD-3-Clause */
/* device-pages: whether the pages of a device are as they were.
 *
 *   device-pages save DEVICE FILE
 *   device-pages compare DEVICE FILE
 *
 * `save` writes a hash of each page of DEVICE to FILE.  `compare` reads those
 * that were not zeros again, past all caches, and prints one line:
 *
 *   right NUMBER failed NUMBER wrong NUMBER
 *
 * where failed are those that could not be read, each tried alone, for EIO.
 *
 * Exit status: 0, whatever the numbers are; 1 for anything else that fails.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096
#define WORDS (PAGE / sizeof (uint64_t))
#define BATCH 64 /* pages of a request, when none of them fails */

static uint64_t buffer[BATCH][WORDS] __attribute__ ((aligned (PAGE)));

static void __attribute__ ((noreturn)) give_up (const char *what)
{
  fprintf (stderr, "device-pages: %s: %s\n", what, strerror (errno));
  exit (EXIT_FAILURE);
}

/* Never 0 but for a page of zeros. */
static uint64_t
hash (const uint64_t words[WORDS])
{
  uint64_t result = 1, any = 0;

  for (size_t i = 0; i < WORDS; ++i) {
    any |= words[i];
    result = (result ^ words[i]) * UINT64_C (0x9e3779b97f4a7c15);
    result ^= result >> 29;
  }
  return any == 0 ? 0 : result | 1;
}

/* False if it cannot be read. */
static bool
read_pages (int device, const char *path, size_t first, size_t count)
{
  ssize_t length = pread (device, buffer, count * PAGE, (off_t) (first * PAGE));

  if (length == (ssize_t) (count * PAGE))
    return true;
  /* A part of it: what follows cannot be read. */
  if (length >= 0)
    return false;
  if (errno != EIO)
    give_up (path);
  return false;
}

static void
save (int device, const char *path, uint64_t *hashes, size_t pages)
{
  for (size_t i = 0, count; i < pages; i += count) {
    count = pages - i < BATCH ? pages - i : BATCH;
    if (!read_pages (device, path, i, count)) {
      errno = EIO;
      give_up (path);
    }
    for (size_t j = 0; j < count; ++j)
      hashes[i + j] = hash (buffer[j]);
  }
}

static void
compare (int device, const char *path, const uint64_t *hashes, size_t pages)
{
  size_t right = 0, failed = 0, wrong = 0;

  for (size_t i = 0, count; i < pages; i += count) {
    bool any = false, together;

    count = pages - i < BATCH ? pages - i : BATCH;
    for (size_t j = 0; j < count; ++j)
      any = any || hashes[i + j] != 0;
    if (!any)
      continue;
    together = read_pages (device, path, i, count);
    for (size_t j = 0; j < count; ++j) {
      const uint64_t *page = buffer[together ? j : 0];

      if (hashes[i + j] == 0)
        continue;
      if (!together && !read_pages (device, path, i + j, 1))
        failed++;
      else if (hash (page) == hashes[i + j])
        right++;
      else
        wrong++;
    }
  }
  printf ("right %zu failed %zu wrong %zu\n", right, failed, wrong);
}

int
main (int argc, char *argv[])
{
  uint64_t *hashes;
  size_t pages;
  bool saves;
  int device, file;
  off_t size;

  saves = argc == 4 && strcmp (argv[1], "save") == 0;
  if (argc != 4 || (!saves && strcmp (argv[1], "compare") != 0)) {
    fputs ("usage: device-pages save|compare DEVICE FILE\n", stderr);
    return EXIT_FAILURE;
  }
  device = open (argv[2], O_RDONLY | O_DIRECT | O_CLOEXEC);
  size = device == -1 ? -1 : lseek (device, 0, SEEK_END);
  if (size == -1)
    give_up (argv[2]);
  pages = (size_t) size / PAGE;
  hashes = calloc (pages + 1, sizeof *hashes);
  file = open (argv[3], saves ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0600);
  if (hashes == NULL || file == -1)
    give_up (argv[3]);

  if (saves)
    save (device, argv[2], hashes, pages);
  size = (off_t) (pages * sizeof *hashes);
  errno = EIO;
  if ((saves ? write (file, hashes, (size_t) size)
             : read (file, hashes, (size_t) size))
      != size)
    give_up (argv[3]);
  if (!saves)
    compare (device, argv[2], hashes, pages);
  close (file);
  close (device);
  free (hashes);
  return EXIT_SUCCESS;
}
