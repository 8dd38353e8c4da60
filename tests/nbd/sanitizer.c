/* SPDX-License-Identifier: BSD-3-Clause */
/* Preloaded into nbdkit with a sanitizer, and linked to be initialized first
 * of all libraries.  A sanitizer starts with the first allocation, and calls
 * dlerror() then; if that allocation is one that newlocale() makes, as it is
 * in a library that nbdkit needs, libc's lock of the locale is released once
 * too often and nbdkit hangs at its end.
 */
#include <config.h>

#include <stdlib.h>

static void __attribute__ ((constructor)) start_sanitizer (void)
{
  void *volatile memory = malloc (1);

  free (memory);
}
