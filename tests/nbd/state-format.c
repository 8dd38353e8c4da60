/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes a state say that it is of another format, as one of a later version
 * would, while its server goes on with it.
 *
 * usage: state-format FILE VERSION COMPATIBLE
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/object.h"
#include "store/state.h"

int
main (int argc, char *argv[])
{
  static struct state_header header;
  const size_t length = offsetof (struct state_header, generation);
  int fd = argc == 4 ? open (argv[1], O_RDWR | O_CLOEXEC) : -1;

  if (fd == -1 || pread (fd, &header, length, 0) != (ssize_t) length) {
    fprintf (stderr, "state-format: FILE VERSION COMPATIBLE: %s\n",
             strerror (errno));
    return EXIT_FAILURE;
  }
  header.version = (uint32_t) strtoul (argv[2], NULL, 10);
  header.compatible = (uint32_t) strtoul (argv[3], NULL, 10);
  header.checksum
      = XXH3_64bits (&header, offsetof (struct state_header, checksum));
  if (pwrite (fd, &header, length, 0) != (ssize_t) length) {
    perror ("state-format");
    return EXIT_FAILURE;
  }
  close (fd);
  return EXIT_SUCCESS;
}
