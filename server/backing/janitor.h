/* SPDX-License-Identifier: BSD-3-Clause */
/* The janitor of a backing: a thread that does in the background what no
 * request should wait for.
 *
 * - It empties freed extents: punches them out of a file, discards them on a
 *   device, trims them on a server.
 * - It probes a backing that counts as failed every second, by writing to an
 *   extent that nobody uses, until that works again.
 * - It lets freed extents of a server that came back rest, for as long as a
 *   late write of the lost connection might still arrive there.
 * - At the end it empties all that was ever used.
 */
#ifndef TIERSWAP_BACKING_JANITOR_H
#define TIERSWAP_BACKING_JANITOR_H

struct backing;
struct janitor;

/* NULL with errno. */
extern struct janitor *janitor_start (struct backing *backing);

/* Empty the backing and end.  If the janitor is stuck in a device that hangs,
 * it is left behind with its reference to the backing.
 */
extern void janitor_stop (struct janitor *janitor);

/* There is something to do: extents were freed, or the backing failed. */
extern void janitor_kick (struct janitor *janitor);

#endif /* TIERSWAP_BACKING_JANITOR_H */
