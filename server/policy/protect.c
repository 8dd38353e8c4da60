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

#include "common/message.h"
#include "policy/config.h"
#include "policy/protect.h"
#include "store/region.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static int
spare_from_oom (void)
{
  static const char least[] = "-1000";
  int fd = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  ssize_t n;
  int saved_errno;

  if (fd == -1)
    return -1;
  n = write (fd, least, strlen (least));
  saved_errno = errno;
  close (fd);
  errno = saved_errno;
  return n == -1 ? -1 : 0;
}

/* The warm part of the heap: a share of the machine's memory, in bounds. */
#define WARM_SHARE 16
#define WARM_LEAST (UINT64_C (4) << 20)
#define WARM_MOST (UINT64_C (32) << 20)

/* Never trim the heap, never map anything of usual size outside of it, and
 * have one for all threads: then what is touched here and freed again is what
 * they will be given.
 */
static void
warm_heap (void)
{
  uint64_t bytes = config_machine_memory () / WARM_SHARE;
  void *heap;

  if (bytes < WARM_LEAST)
    bytes = WARM_LEAST;
  if (bytes > WARM_MOST)
    bytes = WARM_MOST;
  mallopt (M_ARENA_MAX, 1);
  mallopt (M_MMAP_THRESHOLD, 32 << 20);
  mallopt (M_TRIM_THRESHOLD, INT_MAX);
  heap = malloc (bytes);
  if (heap)
    memset (heap, 1, bytes);
  /* Not seen by the compiler as a store that nobody reads. */
  __asm__ volatile("" : : "r"(heap) : "memory");
  free (heap);
}

/* With all memory gone, the kernel lets a real-time thread take pages from half
 * of what it keeps back from others; without that the first page that is
 * touched anew, of a stack or of a table, is waited for for ever, because it
 * would have to be made free by writing to us.  Threads inherit it.
 */
static int
become_real_time (void)
{
  const struct sched_param parameters = { .sched_priority = 1 };

  return sched_setscheduler (0, SCHED_RR, &parameters);
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

/* "; what: why" */
static void
add (char *list, size_t room, const char *what)
{
  size_t length = strlen (list);

  snprintf (list + length, room - length, "%s%s (%s)", length ? ", " : "", what,
            strerror (errno));
}

void
protect_process (void)
{
  char failed[512] = "";

  if (mlockall (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == -1)
    add (failed, sizeof failed, "mlockall needs CAP_IPC_LOCK");
  touch_program ();
  warm_heap ();
  if (prctl (PR_SET_IO_FLUSHER, 1, 0, 0, 0) == -1)
    add (failed, sizeof failed, "PR_SET_IO_FLUSHER needs CAP_SYS_RESOURCE");
  if (become_real_time () == -1)
    add (failed, sizeof failed, "SCHED_RR needs CAP_SYS_NICE");
  if (spare_from_oom () == -1)
    add (failed, sizeof failed, "oom_score_adj needs CAP_SYS_RESOURCE");
  if (failed[0])
    message (MESSAGE_WARNING,
             "not protected against running out of memory: %s; do not swap "
             "on this server's own machine unless it runs with these "
             "capabilities",
             failed);
}
