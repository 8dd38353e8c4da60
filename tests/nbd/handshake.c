/* SPDX-License-Identifier: BSD-3-Clause */
/* handshake SOCKET: shake hands as tierswapctl attach does, tell what the
 * server has, and the first byte of its first page.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "attach/attach.h"
#include "attach/swap.h"

int
main (int argc, char *argv[])
{
  unsigned char page[SWAP_PAGE];
  struct handshake_export export;
  struct why why;
  int fd;

  if (argc != 2)
    return 2;
  fd = handshake_connect (argv[1], &export, &why);
  if (fd == -1 || attach_check_export (argv[1], &export, &why) == -1
      || handshake_read (fd, page, sizeof page, 0, &why) == -1) {
    fprintf (stderr, "%s\n", why.text);
    return EXIT_FAILURE;
  }
  printf ("size=%llu block=%u trim=%d multi=%d first=%02x\n",
          (unsigned long long) export.size, export.minimum_block,
          (export.flags & HANDSHAKE_TRIM) != 0,
          (export.flags & HANDSHAKE_MULTI_CONN) != 0, page[0]);
  handshake_close (fd);
  return EXIT_SUCCESS;
}
