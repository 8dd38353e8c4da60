/* SPDX-License-Identifier: BSD-3-Clause */
/* A remote NBD export.
 *
 * One thread, the loop, owns the connections: nobody else touches their
 * handles, so libnbd's locks are never contended.  Requests are handed to it
 * in batches and come back by queue_post.  It enforces their deadline: when
 * one is overdue, or a connection breaks, all connections are closed, every
 * request in flight is answered with an error, and it connects anew, every
 * second until that works.  Meanwhile requests fail at once.
 */
#ifndef TIERSWAP_BACKING_REMOTE_H
#define TIERSWAP_BACKING_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "backing/backing.h"

struct remote;
struct request;

/* Start the loop for BACKING (its name and deadline are set) and wait for its
 * first try to connect.  *SIZE is how many bytes of the export to use, a whole
 * number of extents.  -1 with errno and *ERROR; but an export that cannot be
 * reached is not an error if a size was given.
 */
extern int remote_open (struct backing *backing,
                        const struct backing_options *options, uint64_t *size,
                        char **error);

/* No request is in flight. */
extern void remote_close (struct remote *remote);

extern bool remote_connected (const struct remote *remote);

/* Bytes of the export, 0 if it was never reached. */
extern uint64_t remote_size (struct remote *remote);

/* From now on the export must have this many bytes. */
extern void remote_set_size (struct remote *remote, uint64_t size);

/* After a connection was lost with writes in flight, freed extents are paused
 * (extents_pause): such a write may still arrive at the server.  End that once
 * enough time has passed since the server came back; true if it goes on.
 */
extern bool remote_settle (struct remote *remote);

/* Hand REQUEST to the loop; it may sleep on until it is woken. */
extern void remote_start (struct remote *remote, struct request *request);
extern void remote_wake (struct remote *remote);

#endif /* TIERSWAP_BACKING_REMOTE_H */
