/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "figures.h"

void
fail (const char *what)
{
  fprintf (stderr, "%s: %s: %s\n", program_invocation_short_name, what,
           strerror (errno));
  exit (EXIT_FAILURE);
}

void
pages_load (struct pages *pages, const char *file)
{
  const int fd = open (file, O_RDONLY | O_CLOEXEC);
  struct stat status;
  size_t done = 0, bytes;
  ssize_t got;

  if (fd == -1 || fstat (fd, &status) == -1)
    fail (file);
  pages->count = (size_t) status.st_size / PAGE_BYTES / 64 * 64;
  if (pages->count == 0) {
    errno = ENODATA;
    fail (file);
  }
  bytes = pages->count * PAGE_BYTES;
  pages->bytes = mmap (NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (pages->bytes == MAP_FAILED)
    fail ("mmap");
  while (done < bytes) {
    got = read (fd, pages->bytes + done, bytes - done);
    if (got <= 0)
      fail (file);
    done += (size_t) got;
  }
  close (fd);
}

void
sleep_seconds (double seconds)
{
  struct timespec wait;

  wait.tv_sec = (time_t) seconds;
  wait.tv_nsec = (long) ((seconds - (double) wait.tv_sec) * 1e9);
  nanosleep (&wait, NULL);
}

static int
compare (const void *left, const void *right)
{
  const double a = *(const double *) left, b = *(const double *) right;

  return (a > b) - (a < b);
}

double
median (double *values, size_t count)
{
  qsort (values, count, sizeof *values, compare);
  return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

void
shuffle (uint32_t *order, size_t count, uint64_t seed)
{
  uint64_t state = seed * UINT64_C (0x9e3779b97f4a7c15) + 1;

  for (size_t i = 0; i < count; i++)
    order[i] = (uint32_t) i;
  for (size_t i = count - 1; i > 0; i--) {
    size_t j;
    uint32_t other;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    j = (size_t) ((state >> 11) % (i + 1));
    other = order[i];
    order[i] = order[j];
    order[j] = other;
  }
}

void
figure (const char *name, const char *ours, const char *beside, double ratio,
        const char *limit, const char *note)
{
  printf ("figure\t%s\t%s\t%s\t%.3f\t%s\t%s\n", name, ours, beside, ratio,
          limit, note);
  fflush (stdout);
}

void
figure_heading (const char *format, ...)
{
  va_list arguments;

  fputs ("heading\t", stdout);
  va_start (arguments, format);
  vprintf (format, arguments);
  va_end (arguments);
  putchar ('\n');
  fflush (stdout);
}

const char *
text (const char *format, ...)
{
  static char buffers[8][128];
  static unsigned next;
  char *buffer = buffers[next++ % 8];
  va_list arguments;

  va_start (arguments, format);
  vsnprintf (buffer, sizeof buffers[0], format, arguments);
  va_end (arguments);
  return buffer;
}
