/* SPDX-License-Identifier: BSD-3-Clause */
/* Closing a backing that was taken away, by a thread of its own: what its
 * janitor is at when it hangs may take a minute to end, and nothing else shall
 * wait for that.  One for each index.  All under the device's lock, but for
 * closer_end.
 */
#ifndef TIERSWAP_CLOSER_H
#define TIERSWAP_CLOSER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backing/backing.h"

struct closer {
  struct backing *backing;
  char name[33], place[BACKING_PLACE_MOST + 1];
  bool started, answers;
  pthread_t thread;
  _Atomic bool done;
};

/* Is it still closing one? */
extern bool closer_at_work (struct closer *closer);

/* Begin to close BACKING, which nobody else knows any more, by one that is not
 * at work.  If there is no thread to be had, that is done at once.
 */
extern void closer_start (struct closer *closer, struct backing *backing,
                          const char *name);

/* Wait until all of COUNT have closed those that answered when that was begun,
 * but no longer than this, and then say which have not.
 */
#define CLOSER_PATIENCE 6 /* seconds */
extern void closer_wait (struct closer *closers, unsigned count);

/* Wait until it has, however long. */
extern void closer_end (struct closer *closer);

#endif /* TIERSWAP_CLOSER_H */
