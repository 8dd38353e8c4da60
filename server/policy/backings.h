/* SPDX-License-Identifier: BSD-3-Clause */
/* The backing tiers of a device: which there are, by name and prio, and which
 * one takes a segment.
 *
 * A backing keeps its index from when it is added until it is removed: places
 * of segments name it.  All changes are made under the device's lock; the
 * writeback thread and those that drain look at them without it.
 */
#ifndef TIERSWAP_BACKINGS_H
#define TIERSWAP_BACKINGS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backing/backing.h"
#include "policy/closer.h"
#include "policy/config.h"
#include "store/store.h"

struct tier_backing {
  struct backing *_Atomic backing; /* NULL: this index is free */
  char name[33];
  _Atomic unsigned prio;
  _Atomic bool draining; /* asked for */
  _Atomic bool leaving;  /* to be closed when it is empty */
  _Atomic bool stuck;    /* what is left could not be moved */
};

struct backings {
  struct store *store;
  pthread_mutex_t *lock; /* the device's */
  struct tier_backing list[STORE_BACKINGS];
  struct closer closers[STORE_BACKINGS];
};

/* Open a backing that takes nothing yet.  It may take as long as a server needs
 * to answer, so the lock is not held meanwhile.  -1 with errno, and *ERROR to
 * free() says why.
 */
extern int backings_open (const struct config_backing *config,
                          struct backing **backing, char **error);

/* Open all that a configuration names, at once, so that a server which does not
 * answer is waited for only as long as one.  OPENED is by their order there,
 * NULL for those that are among BACKINGS already.  -1 likewise, and then none
 * is open.
 */
extern int backings_open_all (const struct backings *backings,
                              const struct config *config,
                              struct backing *opened[CONFIG_BACKINGS],
                              char **error);

/* Make it known to the store.  TAKES: it takes segments at once; otherwise only
 * when its drain is called off.  Returns its index, or -1 likewise.
 */
extern int backings_add (struct backings *backings,
                         const struct config_backing *config,
                         struct backing *backing, bool takes, char **error);

/* Reattach the backing that the store's state has at INDEX, with the pages on
 * it.  CONFIG is what it is now, or NULL if the configuration does not name it
 * any more: then it is drained and leaves.  One that cannot be opened now is
 * failed and tried again.  -1 with errno EINVAL if it cannot be what CONFIG
 * says, EUCLEAN if the state is damaged.
 */
extern int backings_reattach (struct backings *backings, unsigned index,
                              const struct config_backing *config,
                              char **error);

/* Reattach all that the store's state has.  One that holds nothing may have
 * been taken out of the configuration, or be another one now: it is forgotten.
 * -1 likewise.
 */
extern int backings_reattach_all (struct backings *backings,
                                  const struct config *config, char **error);

/* Is it, by the configuration, where its pages are? */
struct state_backing;
extern bool backings_same_place (const struct state_backing *record,
                                 const struct config_backing *config);

/* Change the capacity of a backing, see backing_resize. */
extern int backings_resize (struct backings *backings, unsigned index,
                            uint64_t size, char **error);

/* Drain a backing, or stop draining it; LEAVE: and close it then. */
extern void backings_drain (struct backings *backings, unsigned index,
                            bool drain, bool leave);

/* Take an empty backing (nothing stored there) away and begin to close it.
 * False if another one, which hangs, is still being closed at this index: it
 * stays until then.
 */
extern bool backings_remove (struct backings *backings, unsigned index);

/* Wait until those are closed that answered when they were taken away, so that
 * they can be added again at once; but not for long, see closer_wait.
 */
extern void backings_wait_closed (struct backings *backings);

/* Is one of this name, or at this place, still being closed?  Then it must not
 * be opened again: a file or device is still locked, and a server may yet be
 * told to trim what would be written.
 */
extern bool backings_closing (struct backings *backings,
                              const struct config_backing *config);

/* Can all that CONFIG names be, beside those that are there?  One that is, even
 * if it only drains, stays where it is, and nothing else comes to its place: a
 * server lets two write over each other.  -1 with errno EBUSY, and *ERROR.
 */
extern int backings_check (const struct backings *backings,
                           const struct config *config, char **error);

/* Close all, after the store is gone, and wait for those being closed. */
extern void backings_close (struct backings *backings);

/* The index of NAME, or -1 with errno ENOENT. */
extern int backings_find (const struct backings *backings, const char *name);

/* The backing that takes a segment of writeback class PRIO now: of that prio,
 * or of the next higher one if it is full or failed.  ANYWHERE: of any prio
 * rather than none.  EXCEPT has a bit for each that is not taken.  -1 with
 * errno ENOSPC if there is none.
 */
extern int backings_choose (const struct backings *backings, unsigned prio,
                            bool anywhere, unsigned except);

/* Extents free on all backings that take segments, but for EXCEPT. */
extern uint64_t backings_free_extents (const struct backings *backings,
                                       int except);

#endif /* TIERSWAP_BACKINGS_H */
