/* SPDX-License-Identifier: BSD-3-Clause */
/* shim-reader: what a server does with /dev/tierswap-shim, and what it should
 * not do.
 *
 *   shim-reader errors            every call with bad arguments gets its errno
 *   shim-reader have-bpf          is the BPF program built in?
 *   shim-reader watch|watch-bpf MAJOR:MINOR FILE
 *                                 count the pages of each cgroup's tags, until
 *                                 it gets SIGTERM; write it into FILE, a line
 *                                 each: CGROUP PAGES, then "dropped" TAGS.
 *                                 FILE.ready is there once the disk is watched.
 *
 * The rings are read with nothing of the server's code, from what the header
 * says alone.  For watch-bpf, the server's code loads the BPF program.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "policy/shim-source.h"
#include "tierswap_ioctl.h"

#define DEVICE "/dev/tierswap-shim"
#define CGROUPS 16

static unsigned failures;

static void
die (const char *what)
{
  fprintf (stderr, "shim-reader: %s: %s\n", what, strerror (errno));
  exit (EXIT_FAILURE);
}

static void
expect (const char *what, int result, int number)
{
  int got = result == -1 ? errno : 0;

  if (got == number)
    return;
  fprintf (stderr, "shim-reader: %s: %s, and not: %s\n", what, strerror (got),
           strerror (number));
  failures++;
}

static int
open_device (void)
{
  int fd = open (DEVICE, O_RDWR | O_CLOEXEC);

  if (fd == -1)
    die (DEVICE);
  return fd;
}

static int
watch (int fd, unsigned long call, uint32_t major, uint32_t minor)
{
  struct tierswap_watch argument = { .major = major, .minor = minor };

  return ioctl (fd, call, &argument);
}

static void
expect_map (const char *what, int fd, size_t bytes, int flags, off_t offset,
            int number)
{
  void *map = mmap (NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, offset);

  expect (what, map == MAP_FAILED ? -1 : 0, number);
  if (map != MAP_FAILED)
    munmap (map, bytes);
}

static void
expect_watch_errors (int fd, int other)
{
  struct tierswap_watch reserved = { .major = 43, .reserved = 1 };
  void *nowhere = (void *) 8;

  expect ("watch at a bad address", ioctl (fd, TIERSWAP_IOC_WATCH, nowhere),
          EFAULT);
  expect ("watch with a reserved field",
          ioctl (fd, TIERSWAP_IOC_WATCH, &reserved), EINVAL);
  expect ("unwatch with a reserved field",
          ioctl (fd, TIERSWAP_IOC_UNWATCH, &reserved), EINVAL);
  expect ("watch major 0", watch (fd, TIERSWAP_IOC_WATCH, 0, 0), EINVAL);
  expect ("watch major 4096", watch (fd, TIERSWAP_IOC_WATCH, 4096, 0), EINVAL);
  expect ("watch minor 2^20", watch (fd, TIERSWAP_IOC_WATCH, 43, 1 << 20),
          EINVAL);
  expect ("unwatch what is not watched",
          watch (fd, TIERSWAP_IOC_UNWATCH, 43, 5), ENOENT);

  for (uint32_t i = 0; i < TIERSWAP_WATCH_MAX; i++)
    expect ("watch", watch (fd, TIERSWAP_IOC_WATCH, 43, 100 + i), 0);
  expect ("watch one too many", watch (fd, TIERSWAP_IOC_WATCH, 43, 99), ENOSPC);
  expect ("watch twice", watch (fd, TIERSWAP_IOC_WATCH, 43, 100), EEXIST);
  expect ("watch what another does", watch (other, TIERSWAP_IOC_WATCH, 43, 100),
          EBUSY);
  expect ("unwatch what another does",
          watch (other, TIERSWAP_IOC_UNWATCH, 43, 100), ENOENT);
  expect ("unwatch", watch (fd, TIERSWAP_IOC_UNWATCH, 43, 100), 0);
  expect ("watch what was let go", watch (other, TIERSWAP_IOC_WATCH, 43, 100),
          0);
  expect ("watch in the place that is free",
          watch (fd, TIERSWAP_IOC_WATCH, 43, 99), 0);
}

static int
check_errors (void)
{
  int fd = open_device (), other = open_device ();
  struct tierswap_geometry geometry;
  struct tierswap_shim_stats stats;
  void *nowhere = (void *) 8;
  __u32 version = 0;

  expect ("version", ioctl (fd, TIERSWAP_IOC_VERSION, &version), 0);
  if (version != TIERSWAP_IOC_INTERFACE)
    failures++;
  expect ("version at a bad address", ioctl (fd, TIERSWAP_IOC_VERSION, nowhere),
          EFAULT);
  expect ("geometry", ioctl (fd, TIERSWAP_IOC_GEOMETRY, &geometry), 0);
  expect ("geometry at a bad address",
          ioctl (fd, TIERSWAP_IOC_GEOMETRY, nowhere), EFAULT);
  expect ("statistics at a bad address",
          ioctl (fd, TIERSWAP_IOC_STATS, nowhere), EFAULT);
  expect ("no such call", ioctl (fd, _IO (TIERSWAP_IOC_MAGIC, 77), 0), ENOTTY);
  expect ("a call of others", ioctl (fd, TCGETS, &stats), ENOTTY);
  expect ("the call of the FUSE tree", ioctl (fd, TIERSWAP_IOC_TAG, nowhere),
          ENOTTY);
  expect_watch_errors (fd, other);
  expect ("statistics", ioctl (fd, TIERSWAP_IOC_STATS, &stats), 0);
  if (stats.disks != TIERSWAP_WATCH_MAX || stats.made || stats.dropped
      || stats.records != geometry.records) {
    fputs ("shim-reader: the statistics are wrong\n", stderr);
    failures++;
  }

  expect_map ("map", fd, geometry.map_bytes, MAP_SHARED, 0, 0);
  expect_map ("map privately", fd, geometry.map_bytes, MAP_PRIVATE, 0, EINVAL);
  expect_map ("map too much", fd, geometry.map_bytes + 4096, MAP_SHARED, 0,
              EINVAL);
  expect_map ("map from the middle", fd, 4096, MAP_SHARED, 4096, EINVAL);

  /* All that a file watches ends with it. */
  close (fd);
  expect ("watch what a closed file did",
          watch (other, TIERSWAP_IOC_WATCH, 43, 101), 0);
  close (other);
  if (seteuid (65534) == -1)
    die ("seteuid");
  expect ("open as somebody else", open (DEVICE, O_RDWR), EACCES);
  if (seteuid (0) == -1)
    die ("seteuid");
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

static volatile sig_atomic_t stop;

static void
on_term (int signal)
{
  (void) signal;
  stop = 1;
}

static struct {
  uint64_t cgroup, pages;
} counts[CGROUPS];

static void
count_tag (const struct tierswap_tag *tag)
{
  unsigned i = 0;

  if (tag->offset % 4096 || tag->length % 4096 || !tag->length || !tag->cgroup
      || tag->reserved) {
    fputs ("shim-reader: this is not a tag\n", stderr);
    exit (EXIT_FAILURE);
  }
  while (i < CGROUPS - 1 && counts[i].cgroup && counts[i].cgroup != tag->cgroup)
    i++;
  counts[i].cgroup = tag->cgroup;
  counts[i].pages += tag->length / 4096;
}

static void
read_rings (char *map, const struct tierswap_geometry *geometry)
{
  for (uint32_t i = 0; i < geometry->rings; i++) {
    struct tierswap_ring *ring = (void *) (map + geometry->first_ring
                                           + (size_t) i * geometry->ring_bytes);
    const struct tierswap_record *records = (const void *) (ring + 1);
    __u64 head = __atomic_load_n (&ring->head, __ATOMIC_ACQUIRE);
    __u64 tail = ring->tail;

    for (; tail != head; tail++)
      count_tag (&records[tail % geometry->records].tag);
    __atomic_store_n (&ring->tail, tail, __ATOMIC_RELEASE);
  }
}

static void
write_counts (const char *path, uint64_t dropped)
{
  FILE *file = fopen (path, "w");

  if (!file)
    die (path);
  for (unsigned i = 0; i < CGROUPS && counts[i].cgroup; i++)
    fprintf (file, "%" PRIu64 " %" PRIu64 "\n", counts[i].cgroup,
             counts[i].pages);
  fprintf (file, "dropped %" PRIu64 "\n", dropped);
  if (fclose (file) == EOF)
    die (path);
}

static uint64_t
count_dropped (char *map, const struct tierswap_geometry *geometry)
{
  uint64_t dropped = 0;

  for (uint32_t i = 0; i < geometry->rings; i++)
    dropped
        += ((struct tierswap_ring *) (void *) (map + geometry->first_ring
                                               + (size_t) i
                                                     * geometry->ring_bytes))
               ->dropped;
  return dropped;
}

static int
watch_disk (const struct shim_source_kind *kind, const char *disk,
            const char *path)
{
  struct sigaction action = { .sa_handler = on_term };
  struct shim_source source;
  uint32_t major, minor;
  char ready[4096], *map, *error;
  FILE *file;

  if (sscanf (disk, "%" SCNu32 ":%" SCNu32, &major, &minor) != 2) {
    fprintf (stderr, "shim-reader: %s is not MAJOR:MINOR\n", disk);
    return 2;
  }
  sigaction (SIGTERM, &action, NULL);
  if (kind->open (&source, DEVICE, &error) == -1)
    die (error);
  map = mmap (NULL, source.geometry.map_bytes, PROT_READ | PROT_WRITE,
              MAP_SHARED, source.fd, 0);
  if (map == MAP_FAILED)
    die ("mmap");
  if (mlockall (MCL_CURRENT) == -1)
    die ("mlockall");
  if (kind->watch (&source, makedev (major, minor), &error) == -1)
    die (error);
  snprintf (ready, sizeof ready, "%s.ready", path);
  file = fopen (ready, "w");
  if (!file || fclose (file) == EOF)
    die (ready);

  while (!stop) {
    read_rings (map, &source.geometry);
    usleep (20000);
  }
  if (kind->unwatch (&source, makedev (major, minor), &error) == -1)
    die (error);
  read_rings (map, &source.geometry);
  write_counts (path, count_dropped (map, &source.geometry));
  munmap (map, source.geometry.map_bytes);
  kind->close (&source);
  return EXIT_SUCCESS;
}

int
main (int argc, char *argv[])
{
  if (argc == 2 && strcmp (argv[1], "errors") == 0)
    return check_errors ();
  if (argc == 4 && strcmp (argv[1], "watch") == 0)
    return watch_disk (&shim_source_module, argv[2], argv[3]);
  if (argc == 4 && strcmp (argv[1], "watch-bpf") == 0)
    return watch_disk (&shim_source_bpf, argv[2], argv[3]);
  if (argc == 2 && strcmp (argv[1], "have-bpf") == 0) {
#ifdef HAVE_BPF
    return EXIT_SUCCESS;
#else
    return EXIT_FAILURE;
#endif
  }
  fputs ("usage: shim-reader errors | have-bpf | watch|watch-bpf MAJOR:MINOR "
         "FILE\n",
         stderr);
  return 2;
}
