/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection to an NBD server over its Unix socket, up to where the kernel
 * takes it over: the newstyle handshake, with NBD_OPT_GO and simple replies,
 * which are all that the kernel's driver understands.
 */
#ifndef TIERSWAP_HANDSHAKE_H
#define TIERSWAP_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

#include "attach/why.h"

/* Transmission flags of an export, as on the wire. */
#define HANDSHAKE_READ_ONLY (1U << 1)
#define HANDSHAKE_TRIM (1U << 5)
#define HANDSHAKE_MULTI_CONN (1U << 8)

struct handshake_export {
  uint64_t size;          /* bytes */
  uint32_t minimum_block; /* bytes that a request must be a multiple of, or 1 */
  uint16_t flags;
};

/* Connect to the export "" of the server at PATH and shake hands.  The file
 * descriptor is ready for requests, and close-on-exec.  -1: see WHY.  A server
 * that says nothing is given 30 seconds.
 */
extern int handshake_connect (const char *path, struct handshake_export *export,
                              struct why *why);

/* Read LENGTH bytes at OFFSET over a connection that nobody else uses. */
extern int handshake_read (int fd, void *buffer, uint32_t length,
                           uint64_t offset, struct why *why);

/* Take leave of the server, and close. */
extern void handshake_close (int fd);

#endif /* TIERSWAP_HANDSHAKE_H */
