/* SPDX-License-Identifier: BSD-3-Clause */
/* State that outlives the process: the tables and the arena in a file that is
 * memory, mapped shared.
 *
 * Promises:
 * - Whatever instant the process is killed at, the file is consistent: each
 *   store to it is visible to who maps it next, in the order in which it was
 *   made, so what the slot words and segment records are published by keeps
 *   it so (MEMORY-FORMAT.md, "What a killed server leaves").
 * - The file is one that the kernel never swaps out and never writes to a disk:
 *   on ramfs, or on tmpfs mounted with noswap.  Any other is refused, since
 *   its memory would be freed by writing to this very server, which waits for
 *   it.
 * - One process has it at a time, by flock.
 *
 * Only what cannot be derived is in it: slot words, wide patterns, segment
 * records, frames, and who the backings and cgroups are.  The rest is rebuilt
 * (recover.h).
 */
#ifndef TIERSWAP_STATE_H
#define TIERSWAP_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backing/backing.h"
#include "store/store.h"

/* The format that is written.  A server takes over every format from
 * STATE_OLDEST on whose header says that STATE_VERSION is enough for it.
 */
#define STATE_VERSION 2
#define STATE_OLDEST 1
#define STATE_STAMPS 2 /* from here on segments have stamps */

#define STATE_PLACE_BYTES 4200

/* A backing that segments may be placed on.  All but the atomic ones is
 * constant while it is present.
 */
struct state_backing {
  _Atomic uint64_t present; /* 1: all of the rest is true */
  _Atomic uint64_t size;    /* bytes */
  _Atomic uint64_t mark;    /* extents from here on were never written to */
  struct backing_identity identity;
  uint32_t kind; /* enum backing_kind */
  uint32_t encrypted;
  unsigned char key[BACKING_KEY_BYTES];
  char name[64];
  char place[STATE_PLACE_BYTES]; /* path or URI */
};

struct state_header {
  /* Constant since it was made, under the checksum. */
  char magic[8];
  uint32_t version;    /* that wrote it */
  uint32_t compatible; /* the oldest version that can go on with it */
  char writer[32];     /* its program's version, for people */
  uint64_t slots;
  uint32_t segments; /* room in the segment table */
  uint32_t segment_bytes, record_bytes, object_header, object_unit;
  uint32_t slot_format;
  uint64_t checksum; /* of all above */
  /* These change. */
  _Atomic uint64_t generation; /* servers so far */
  _Atomic int64_t owner;       /* process that has it, for messages */
  /* From here on never used. */
  _Atomic uint64_t segments_mark, frames_mark, cgroups_mark;
  struct state_backing backings[STORE_BACKINGS];
  /* Since format 2: the stamp of the next segment (segment.h). */
  _Atomic uint32_t stamps;
  /* The generation of who keeps the parents of cgroups, which a server that
   * knows of none does not; 0: nobody.
   */
  _Atomic uint64_t parents_kept;
};

struct state {
  int fd;
  char *path;
  bool found;          /* it was there: it must be recovered */
  bool can_release;    /* single frames go back to the kernel */
  unsigned char *base; /* the whole file, once it is mapped */
  size_t length;
  struct state_header *header;
  uint32_t frames; /* room in the arena */
  /* Parts of the file: */
  void *parents, *table, *words, *wide, *touched, *cgroups, *arena;
};

/* May PATH hold a state, as far as can be told without opening it for good?
 * For mistakes to be told early.  -1 with errno, and *ERROR is a sentence to
 * free() that names the cause and the remedy; so with all below.
 */
extern int state_check (const char *path, char **error);

/* Could the state at PATH be taken over by a device of SIZE bytes, once the
 * process *OWNER that has it now has ended (0: none has it)?  Nothing is locked
 * or changed.  Errors as of state_open; ENOENT: there is none.
 */
extern int state_look (const char *path, uint64_t size, pid_t *owner,
                       char **error);

/* Open or create the state of a device of SIZE bytes.  It waits some seconds
 * for a server that is just ending.  EBUSY: another server has it.  ENOTSUP: it
 * is not on memory that is never swapped out.  EPROTO: another format.  EINVAL:
 * it is of a device of another size, or no state at all.
 */
extern int state_open (const char *path, uint64_t size, struct state **state,
                       char **error);

/* The same of an open file wherever it is, for tests.  Takes FD. */
extern int state_open_file (int fd, const char *path, uint64_t size,
                            struct state **state, char **error);

/* Unmap and close it: the file stays. */
extern void state_close (struct state *state);

/* Map it, with room for at least FRAMES frames.  -1 with errno. */
extern int state_map (struct state *state, uint32_t frames);

/* Give the memory of whole pages of it back; they read as zeros.  -1 with
 * errno.
 */
extern int state_release (struct state *state, void *start, size_t length);

/* Is there room for a pool of so many bytes where the file is? */
extern int state_check_room (const struct state *state, uint64_t pool_limit,
                             char **error);

/* Note down that BACKING, at PLACE, has INDEX from now on; that it is gone; or
 * that it has another size.
 */
extern int state_add_backing (struct state *state, unsigned index,
                              const struct backing *backing, char **error);
extern void state_remove_backing (struct state *state, unsigned index);
extern void state_resize_backing (struct state *state, unsigned index,
                                  uint64_t size);

/* The backing noted down at INDEX, or NULL. */
extern const struct state_backing *state_backing (const struct state *state,
                                                  unsigned index);

/* Note down, before any page is of it, that INDEX is of the cgroup with this
 * ID; or when none is any more, of none: 0.
 */
extern void state_set_cgroup (struct state *state, uint32_t index, uint64_t id);

/* Whose INDEX is; 0: nobody's.  From state_cgroups_end on all are. */
extern uint64_t state_cgroup (const struct state *state, uint32_t index);
extern uint32_t state_cgroups_end (const struct state *state);

/* Note down which index is the cgroup's above that of INDEX.  Which it is, or
 * was when it was there; 0: "/", or it is not known.  Whatever is written
 * there, it is less than STORE_CGROUPS.
 */
extern void state_set_parent (struct state *state, uint32_t index,
                              uint32_t parent);
extern uint32_t state_parent (const struct state *state, uint32_t index);

/* INDEX is nobody's any more: it has no parent, and is none; who was below it
 * is below its parent.
 */
extern void state_forget_parent (struct state *state, uint32_t index);

/* Where the next segment's stamp is.  NULL: this state goes on without, since a
 * server that knows of none began it and may go on with it.
 */
extern _Atomic uint32_t *state_stamps (struct state *state);

/* Before NUMBER is first used: raise what counts as ever used past it. */
static inline void
state_raise (_Atomic uint64_t *mark, uint64_t number)
{
  uint64_t now = atomic_load_explicit (mark, memory_order_relaxed);

  while (now <= number
         && !atomic_compare_exchange_weak (mark, &now, number + 1))
    ;
}

#endif /* TIERSWAP_STATE_H */
