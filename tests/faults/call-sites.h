/* SPDX-License-Identifier: BSD-3-Clause */
/* The call sites of this program, as its code has them: where each is in the
 * sources, and which there are beside those that were come to.
 */
#ifndef TIERSWAP_TEST_CALL_SITES_H
#define TIERSWAP_TEST_CALL_SITES_H

#include <stdbool.h>
#include <stdint.h>

struct call_site {
  uintptr_t address; /* that the call returns to, of the program as it lies */
  char function[48]; /* that is called */
  bool wrapped;      /* it can be made to fail */
  char place[64];    /* "folder/file.c:LINE", or "?" */
};

/* Read them, but not those of what cannot fail.  False: objdump or addr2line
 * did not tell.
 */
extern bool call_sites_read (void);
extern unsigned call_sites_count (void);
extern struct call_site *call_sites_get (unsigned index);

/* The address, as this program is loaded, as it lies in the file. */
extern uintptr_t call_sites_lying (uintptr_t address);

/* "folder/file.c:LINE" of a call that returns to ADDRESS, as loaded; or "?". */
extern const char *call_sites_place (uintptr_t address);

#endif /* TIERSWAP_TEST_CALL_SITES_H */
