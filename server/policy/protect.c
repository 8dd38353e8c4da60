/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
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
  warm_heap ();
  if (prctl (PR_SET_IO_FLUSHER, 1, 0, 0, 0) == -1)
    add (failed, sizeof failed, "PR_SET_IO_FLUSHER needs CAP_SYS_RESOURCE");
  if (spare_from_oom () == -1)
    add (failed, sizeof failed, "oom_score_adj needs CAP_SYS_RESOURCE");
  if (failed[0])
    message (MESSAGE_WARNING,
             "not protected against running out of memory: %s; do not swap "
             "on this server's own machine unless it runs with these "
             "capabilities",
             failed);
}
