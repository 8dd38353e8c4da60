/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "attach/protect.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define WARM_HEAP (256 << 10)
#define WARM_STACK (128 << 10)

static void
warm (void)
{
  volatile char stack[WARM_STACK];
  char *heap;

  for (size_t i = 0; i < sizeof stack; i += 4096)
    stack[i] = 1;
  mallopt (M_MMAP_THRESHOLD, 32 << 20);
  mallopt (M_TRIM_THRESHOLD, INT_MAX);
  heap = malloc (WARM_HEAP);
  if (heap)
    memset (heap, 1, WARM_HEAP);
  /* Not seen by the compiler as a store that nobody reads. */
  __asm__ volatile("" : : "r"(heap) : "memory");
  free (heap);
}

/* The program is small: all of it is read in, and what comes later is locked
 * too.  Children are protected by themselves, or are of no account.
 */
bool
attach_protect (void)
{
  const struct sched_param parameters = { .sched_priority = 1 };
  int fd = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  bool spared = fd != -1 && write (fd, "-1000", 5) == 5, done;

  if (fd != -1)
    close (fd);
  done = mlockall (MCL_CURRENT | MCL_FUTURE) == 0
         && prctl (PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0
         && sched_setscheduler (0, SCHED_RR | SCHED_RESET_ON_FORK, &parameters)
                == 0
         && spared;
  warm ();
  return done;
}
