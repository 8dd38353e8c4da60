/* SPDX-License-Identifier: BSD-3-Clause */
/* What is done while calls fail: scenarios, each of a few phases, and each
 * phase in a process of its own.
 */
#ifndef TIERSWAP_TEST_SCENARIO_H
#define TIERSWAP_TEST_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#define PHASES 3

struct phase {
  void (*run) (void);
  bool faults; /* calls are noted, and fail */
  /* Processes of its own may be left, and open files; nothing is looked for. */
  bool untidy;
};

struct scenario {
  const char *name;
  struct phase phases[PHASES];
  void (*prepare) (void);        /* before each run; without faults */
  void (*clean_up) (void);       /* after it; likewise */
  const char *(*missing) (void); /* why it cannot be run here, or NULL */
  const char *io;                /* TIERSWAP_IO, or NULL: as it is */
  /* Sites of these files that were tried in another scenario are tried again,
   * if it came to them before it called settled().  NULL: none; or up to a
   * NULL.
   */
  const char *const *again;
  const char *const *only; /* likewise: sites of other files are left alone */
  bool keeps_server;       /* of the run before, and its files */
  bool in_guest;           /* it is of those that "guest" runs */
};

extern const struct scenario device_life, device_threads, device_commands,
    device_full, device_block, device_remote, device_changes, device_cgroups,
    tags_module, tags_bpf, state_made, state_taken_over, state_moved,
    state_torn, fuse_tree, fuse_stale, plugin_exports, attach_disk,
    attach_reconnect, attach_supervise, attach_adopt, attach_upgrade,
    attach_upgrade_disk;

/* What came of a run; shared with its processes. */
struct result {
  bool ended;        /* the phase came to its end */
  bool killed;       /* it ended as if by a kill */
  char refused[16];  /* what of making or starting the device was */
  int error;         /* of the first thing that failed */
  unsigned requests; /* that failed once */
  unsigned commands; /* likewise */
  char what[64];     /* the first that did */
  uintptr_t held_at; /* the site whose memory was not given back */
  char bad[160];     /* what must not be */
  char message[200]; /* the last one said */
};
extern struct result *result;

/* A folder for the files of a run, in a name space of mounts of the test's own
 * if there can be one.
 */
extern char folder[64];
extern bool own_mounts;
extern const char *build_folder;

/* PATH of a file in the folder. */
extern const char *in_folder (const char *name, char path[128]);

/* Something is wrong: this must not be. */
extern void bad (const char *what);

/* Making or starting WHAT failed: was it told why? */
extern void refused (const char *what);

/* WHAT failed, which may be, and is tried again. */
extern void failed (unsigned *counter, const char *what);

/* A message that was said, of any kind. */
extern void note_message (const char *text);

extern void pause_a_moment (void);

/* From here on nothing is tried again: see struct scenario. */
extern void settled (void);

/* End the process as a kill would: nothing is given back. */
extern void end_as_killed (void);

/* Look again, after a pause: for 40 seconds.  *TRIES is 0 at first. */
extern bool worth_another_try (unsigned *tries);

#endif /* TIERSWAP_TEST_SCENARIO_H */
