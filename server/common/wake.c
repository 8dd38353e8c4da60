/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/wake.h"

void
wake_ring_slow (struct wake *wake)
{
  int saved_errno = errno;

  if (atomic_exchange (&wake->rung, 1) == 0)
    syscall (SYS_futex, &wake->rung, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  errno = saved_errno;
}

void
wake_wait (struct wake *wake, int milliseconds)
{
  struct timespec limit
      = { milliseconds / 1000, milliseconds % 1000 * 1000000L };

  if (atomic_load (&wake->rung) == 0)
    syscall (SYS_futex, &wake->rung, FUTEX_WAIT_PRIVATE, 0,
             milliseconds < 0 ? NULL : &limit, NULL, 0);
  atomic_store (&wake->rung, 0);
}
