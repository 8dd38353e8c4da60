/* SPDX-License-Identifier: BSD-3-Clause */
/* Sparse memory: address space that costs nothing until it is touched, and
 * that goes back to the kernel in pieces, also when it is locked.
 */
#ifndef TIERSWAP_REGION_H
#define TIERSWAP_REGION_H

#include <stddef.h>
#include <sys/mman.h>

/* In kernels since 5.18 and 5.14, in headers of glibc later than Debian 12's.
 */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* Reserve LENGTH bytes, zeros, not yet backed by memory.  NULL with errno.
 * Huge pages are off: a region is given back in small pieces.
 */
extern void *region_reserve (size_t length);
extern void region_free (void *region, size_t length);

/* Give the memory of whole pages back; they read as zeros.  -1 with errno. */
extern int region_release (void *start, size_t length);

/* Make what is there at hand, for reading; it need not be whole pages. */
extern void region_populate_read (void *start, size_t length);

/* Where, in bytes from START, its last page ends that has memory now; 0: none
 * has.  Looks from the end, so it is quick where that is near it.  Of a file
 * that is mapped shared: that has memory in the file.  -1 with errno.
 */
extern int region_resident_end (void *start, size_t length, size_t *end);

/* Back whole pages with memory now, for writing.  -1 with errno ENOMEM. */
extern int region_populate (void *start, size_t length);

#endif /* TIERSWAP_REGION_H */
