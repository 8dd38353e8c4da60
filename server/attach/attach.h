/* SPDX-License-Identifier: BSD-3-Clause */
/* An nbd disk of the kernel, an NBD server behind it, and swap on it.
 *
 * The disk is connected so that requests wait for a server that is gone
 * and are sent again to the one that comes in its place.  Both must have the
 * same pages: the swap area's UUID is noted with the connected disk, and a
 * server that has another one, or none, is not given to it.  Programs would
 * find zeros in their memory.
 */
#ifndef TIERSWAP_ATTACH_H
#define TIERSWAP_ATTACH_H

#include "attach/disk.h"
#include "attach/driver.h"
#include "attach/handshake.h"
#include "attach/links.h"
#include "attach/options.h"
#include "attach/why.h"

struct attachment {
  struct disk disk;
  const struct options *options;
  struct driver driver;
  int spare; /* a connection that the kernel was not given yet, or -1 */
  struct links *links; /* those that it was given are watched, or NULL */
  unsigned replaced;   /* dead ones, so far */
  bool times_stay;     /* the disk has its timeout, or another that is meant */
};

/* Protect a process that has to go on while what is swapped out waits for it,
 * or warn.  Its children are protected by themselves, or are of no account.
 */
extern void attach_protect (void);

/* Find the disk at PATH and the driver. */
extern int attachment_open (struct attachment *a, const char *path,
                            const struct options *options, struct why *why);
extern void attachment_close (struct attachment *a);

/* Connect the disk, make a swap area, swap on.  Or nothing. */
extern int attachment_attach (struct attachment *a, unsigned *connections,
                              struct why *why);

/* What there is already: *SWAPPED, a disk that is connected and swapped on. One
 * that attach connected but has no swap (who did it was killed meanwhile) is
 * disconnected.
 */
extern int attachment_find (struct attachment *a, bool *swapped,
                            struct why *why);

/* Swap off and disconnect.  If what is on the disk has no room elsewhere, wait
 * for that as long as the options say, and then leave all as it is.
 */
extern int attachment_detach (struct attachment *a, struct why *why);

/* Shake hands with the server, if there is no spare connection. */
extern int attachment_meet (struct attachment *a, struct why *why);

/* Put a new connection in the place of each dead one.  Their count, or -1; then
 * some may have been replaced nevertheless.
 */
extern int attachment_reconnect (struct attachment *a, struct why *why);

/* Have requests sent again after TIMEOUT seconds, those that are sent from now
 * on.  Until the next attachment_reconnect.
 */
extern int attachment_hurry (struct attachment *a, unsigned timeout,
                             struct why *why);

/* Which disk /dev/nbdN is connected to the server behind SOCKET by attach.  -1:
 * none; -2: see WHY.
 */
extern int attach_disk_of_server (const char *socket, struct why *why);

/* Whether a swap area can be made of what the server behind SOCKET has. */
extern int attach_check_export (const char *socket,
                                const struct handshake_export *export,
                                struct why *why);

#endif /* TIERSWAP_ATTACH_H */
