/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "played-module.h"
#include "tierswap_ioctl.h"

#define FIRST_RING 4096
#define RINGS 2
#define RECORDS 64
#define RING_BYTES                                                             \
  (sizeof (struct tierswap_ring) + RECORDS * sizeof (struct tierswap_record))
#define MAP_BYTES (FIRST_RING + RINGS * RING_BYTES)

static struct stat device; /* st_ino is 0: there is none */

void
played_module_make (const char *path)
{
  int fd = open (path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  if (fd == -1 || ftruncate (fd, MAP_BYTES) == -1 || fstat (fd, &device) == -1)
    abort ();
  close (fd);
}

bool
played_module_is (int fd)
{
  struct stat st;

  return device.st_ino != 0 && fstat (fd, &st) == 0
         && st.st_dev == device.st_dev && st.st_ino == device.st_ino;
}

int
played_module_ioctl (unsigned long call, void *argument)
{
  switch (call) {
  case TIERSWAP_IOC_VERSION:
    *(__u32 *) argument = TIERSWAP_IOC_INTERFACE;
    return 0;
  case TIERSWAP_IOC_GEOMETRY:
    *(struct tierswap_geometry *) argument
        = (struct tierswap_geometry){ .map_bytes = MAP_BYTES,
                                      .rings = RINGS,
                                      .records = RECORDS,
                                      .first_ring = FIRST_RING,
                                      .ring_bytes = RING_BYTES };
    return 0;
  case TIERSWAP_IOC_WATCH:
  case TIERSWAP_IOC_UNWATCH:
    return 0;
  default:
    errno = ENOTTY;
    return -1;
  }
}
