/* SPDX-License-Identifier: BSD-3-Clause */
/* Swap areas: their first page, swapon and swapoff, and whether there is room
 * for what swapoff brings back.
 */
#ifndef TIERSWAP_SWAP_H
#define TIERSWAP_SWAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/why.h"

#define SWAP_PAGE 4096
#define SWAP_LEAST_PAGES 10 /* that the kernel takes */

/* An UUID as text. */
#define SWAP_UUID_ROOM 37
extern int swap_new_uuid (char text[SWAP_UUID_ROOM], struct why *why);

/* The UUID in the first page of a swap area, as text.  False: it is none. */
extern bool swap_read_header (const unsigned char page[SWAP_PAGE],
                              char uuid[SWAP_UUID_ROOM]);

/* Make a swap area of SIZE bytes of the disk at PATH. */
extern int swap_make (const char *path, uint64_t size,
                      const char uuid[SWAP_UUID_ROOM], struct why *why);

/* Swap on it, with discard.  PRIORITY -1: as the kernel thinks. */
extern int swap_on (const char *path, int priority, struct why *why);

/* What of the machine is in use, in bytes. */
struct swap_usage {
  bool on;              /* the disk is swapped on */
  uint64_t used;        /* of the disk */
  uint64_t memory_free; /* that programs may still get */
  uint64_t elsewhere;   /* free on other swap areas */
};
extern int swap_get_usage (dev_t number, struct swap_usage *usage,
                           struct why *why);

/* Bytes that are missing to bring back all that is on the disk, 0: none. */
extern uint64_t swap_missing (const struct swap_usage *usage);

/* Swap off.  It takes as long as it takes. */
extern int swap_off (const char *path, dev_t number, struct why *why);

#endif /* TIERSWAP_SWAP_H */
