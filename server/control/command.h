/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands: what a request asks for, done on a device.
 *
 * A short one is done when command_begin returns.  A long one is then to be
 * run by command_run in a thread of its own, while others look at its progress.
 */
#ifndef TIERSWAP_COMMAND_H
#define TIERSWAP_COMMAND_H

#include <stdatomic.h>
#include <stdbool.h>

#include "control/protocol.h"
#include "control/usage.h"
#include "policy/device.h"
#include "store/check.h"

struct command {
  struct device *device;
  enum usage_command kind;
  _Atomic bool cancel; /* nobody waits for it any more: end early */

  /* Once it is done: */
  json_t *result; /* or NULL */
  char *error;    /* one line, then; NULL: no memory */
  int code;       /* errno, then */

  /* Of the kinds that are long: */
  struct writeback_command writeback;
  struct store_cgroup_set cgroups;    /* that are written back, if not all */
  struct writeback_counters counters; /* at the start */
  char name[33];                      /* of the backing that is drained */
  uint64_t memory;                    /* bytes used at the start */
  struct store_check check;
};

/* May it be a long one?  (Not all of these are.) */
extern bool command_is_long (const struct request *request);

/* Begin what REQUEST asks for.  True: it is done.  False: it is long. */
extern bool command_begin (struct command *command, struct device *device,
                           const struct request *request);

/* Do the rest of a long one, until it is done. */
extern void command_run (struct command *command);

/* How far a long one is, in a line for a person, to free(); from any thread.
 * NULL: there is nothing to tell.
 */
extern char *command_progress (const struct command *command);

/* The line of its answer, to free(), and give back what it holds. */
extern char *command_end (struct command *command);

#endif /* TIERSWAP_COMMAND_H */
