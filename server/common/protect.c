/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/protect.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

int
protect_set_oom_score (const char *score)
{
  int fd = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  ssize_t n;
  int saved_errno;

  if (fd == -1)
    return -1;
  n = write (fd, score, strlen (score));
  saved_errno = errno;
  close (fd);
  errno = saved_errno;
  return n == -1 ? -1 : 0;
}

/* Never trim the heap, never map anything of usual size outside of it, and
 * have one for all threads: then what is touched here and freed again is what
 * they will be given.
 */
static void
warm_heap (const struct protection *protection)
{
  void *heap;

  if (protection->threads)
    mallopt (M_ARENA_MAX, 1);
  mallopt (M_MMAP_THRESHOLD, 32 << 20);
  mallopt (M_TRIM_THRESHOLD, INT_MAX);
  heap = malloc (protection->heap);
  if (heap)
    memset (heap, 1, protection->heap);
  /* Not seen by the compiler as a store that nobody reads. */
  __asm__ volatile("" : : "r"(heap) : "memory");
  free (heap);
}

#define WARM_STACK (128 << 10)

static void
warm_stack (void)
{
  volatile char stack[WARM_STACK];

  for (size_t i = 0; i < sizeof stack; i += 4096)
    stack[i] = 1;
}

/* With all memory gone, the kernel lets a real-time thread take pages from half
 * of what it keeps back from others; without that the first page that is
 * touched anew, of a stack or of a table, is waited for for ever, because it
 * would have to be made free by writing to us.
 */
static int
become_real_time (bool threads_too)
{
  const struct sched_param parameters = { .sched_priority = 1 };

  return sched_setscheduler (
      0, threads_too ? SCHED_RR : SCHED_RR | SCHED_RESET_ON_FORK, &parameters);
}

/* Read-only data of a library that is larger (of ICU, say) is not ours. */
#define DATA_BYTES (512UL << 10)

/* Bring in the program and its libraries: what is not there when memory is gone
 * cannot be read in any more.  What fails is brought in by its first use.
 */
static void
touch_program (void)
{
  FILE *maps = fopen ("/proc/self/maps", "re");
  char line[4352], access[5];
  unsigned long start, end, inode;

  if (!maps)
    return;
  while (fgets (line, sizeof line, maps))
    if (sscanf (line, "%lx-%lx %4s %*s %*s %lu", &start, &end, access, &inode)
            == 4
        && inode != 0 && access[0] == 'r'
        && (access[1] == 'w' || access[2] == 'x' || end - start <= DATA_BYTES))
      madvise ((void *) (uintptr_t) start, end - start,
               access[1] == 'w' ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
  fclose (maps);
}

/* ", what (why)" */
static void
add (char failed[PROTECT_ROOM], const char *what)
{
  size_t length = strlen (failed);

  snprintf (failed + length, PROTECT_ROOM - length, "%s%s (%s)",
            length ? ", " : "", what, strerror (errno));
}

bool
protect_process (const struct protection *protection, char failed[PROTECT_ROOM])
{
  const int lock
      = MCL_CURRENT | MCL_FUTURE | (protection->sparse ? MCL_ONFAULT : 0);

  failed[0] = '\0';
  if (mlockall (lock) == -1)
    add (failed, "mlockall needs CAP_IPC_LOCK");
  touch_program ();
  warm_heap (protection);
  warm_stack ();
  if (prctl (PR_SET_IO_FLUSHER, 1, 0, 0, 0) == -1)
    add (failed, "PR_SET_IO_FLUSHER needs CAP_SYS_RESOURCE");
  if (become_real_time (protection->threads) == -1)
    add (failed, "SCHED_RR needs CAP_SYS_NICE");
  if (protect_set_oom_score ("-1000") == -1)
    add (failed, "oom_score_adj needs CAP_SYS_RESOURCE");
  return failed[0] == '\0';
}
