/* SPDX-License-Identifier: BSD-3-Clause */
/* cgroup-load: many cgroups, each with a page in tierswap.
 *
 *   cgroup-load TREE PARENT COUNT
 *
 * It makes COUNT cgroups below the cgroup2 directory PARENT, a hundred in each
 * of its own, and writes a page for each to the disk of the FUSE tree TREE,
 * with a tag that says so.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "figures.h"
#include "tierswap_ioctl.h"

#define IN_EACH 100

static int
open_in (const char *directory, const char *name, int flags)
{
  int fd = open (text ("%s/%s", directory, name), flags | O_CLOEXEC);

  if (fd == -1)
    fail (text ("%s/%s", directory, name));
  return fd;
}

static uint64_t
make_cgroup (const char *path)
{
  struct stat status;

  if (mkdir (path, 0755) == -1 || stat (path, &status) == -1)
    fail (path);
  return status.st_ino;
}

int
main (int argc, char *argv[])
{
  unsigned long count;
  int control, disk;

  if (argc != 4) {
    fputs ("usage: cgroup-load TREE PARENT COUNT\n", stderr);
    return 2;
  }
  count = strtoul (argv[3], NULL, 10);
  control = open_in (argv[1], "control", O_RDONLY);
  disk = open_in (argv[1], "disk", O_RDWR);
  for (unsigned long i = 0; i < count; ++i) {
    struct tierswap_tag tag
        = { .offset = i * PAGE_BYTES, .length = PAGE_BYTES };
    char page[PAGE_BYTES];

    if (i % IN_EACH == 0)
      make_cgroup (text ("%s/%lu", argv[2], i / IN_EACH));
    tag.cgroup
        = make_cgroup (text ("%s/%lu/%lu", argv[2], i / IN_EACH, i % IN_EACH));
    memset (page, 0, sizeof page);
    for (size_t at = 0; at < sizeof page; at += 64)
      memcpy (page + at, &tag, sizeof tag);
    page[i % sizeof page] ^= 1;
    if (ioctl (control, TIERSWAP_IOC_TAG, &tag) == -1)
      fail ("TIERSWAP_IOC_TAG");
    if (pwrite (disk, page, sizeof page, (off_t) tag.offset)
        != (ssize_t) sizeof page)
      fail ("pwrite");
  }
  return 0;
}
