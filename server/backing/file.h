/* SPDX-License-Identifier: BSD-3-Clause */
/* Files and block devices as backings: opening, sizes, giving space back. */
#ifndef TIERSWAP_BACKING_FILE_H
#define TIERSWAP_BACKING_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "backing/backing.h"

/* Open options->path for backing use, exclusively.  *SIZE is how many bytes
 * of it to use: a whole number of extents, at least one.  -1 with errno and
 * *ERROR.
 */
extern int file_open (const struct backing_options *options, int *fd,
                      enum backing_kind *kind, uint64_t *size, char **error);

/* The same for extents of an earlier process: nothing is created, and it must
 * be what options->identity says.
 */
extern int file_reattach (const struct backing_options *options, int *fd,
                          char **error);

/* Which file or device that is.  -1 with errno. */
extern int file_identity (int fd, struct backing_identity *identity);

/* Bytes of the device; of a file, how long it is now. */
extern int64_t file_length (int fd, enum backing_kind kind);

/* Whether a thread that only submits a request can be made to wait by what is
 * below: a file system that does not know how to refuse instead (FUSE and
 * network file systems, if their server hangs), or that is not known here.
 */
extern bool file_may_block (int fd, enum backing_kind kind);

/* Give the space of a range back; it reads as anything afterwards.  -1 with
 * errno, EOPNOTSUPP where this cannot be done.
 */
extern int file_discard (int fd, enum backing_kind kind, uint64_t offset,
                         uint64_t length);

#endif /* TIERSWAP_BACKING_FILE_H */
