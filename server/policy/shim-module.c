/* SPDX-License-Identifier: BSD-3-Clause */
/* The source that is the kernel module tierswap_shim. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/refuse.h"
#include "policy/shim-source.h"

static int
open_failed (const char *path, char **error)
{
  switch (errno) {
  case ENOENT:
  case ENXIO:
  case ENODEV:
    return refuse (error, errno,
                   "%s is not there: load the kernel module tierswap_shim, "
                   "or use the source \"bpf\"",
                   path);
  case EACCES:
  case EPERM:
    return refuse (error, errno,
                   "%s may not be opened: only root with CAP_SYS_ADMIN may",
                   path);
  default:
    return refuse (error, errno, "%s cannot be opened: %s", path,
                   strerror (errno));
  }
}

static void
module_close (struct shim_source *source)
{
  int saved_errno = errno;

  close (source->fd);
  source->fd = -1;
  errno = saved_errno;
}

static int
module_open (struct shim_source *source, const char *path, char **error)
{
  __u32 version;

  source->fd = open (path, O_RDWR | O_CLOEXEC);
  if (source->fd == -1)
    return open_failed (path, error);
  if (ioctl (source->fd, TIERSWAP_IOC_VERSION, &version) == -1)
    refuse (error, errno, "%s is not the device of tierswap_shim: %s", path,
            strerror (errno));
  else if (version != TIERSWAP_IOC_INTERFACE)
    refuse (error, EPROTO,
            "%s speaks version %u of its interface, and this server version "
            "%d: load the module that came with it",
            path, version, TIERSWAP_IOC_INTERFACE);
  else if (ioctl (source->fd, TIERSWAP_IOC_GEOMETRY, &source->geometry) == -1)
    refuse (error, errno, "%s does not tell its geometry: %s", path,
            strerror (errno));
  else
    return 0;
  module_close (source);
  return -1;
}

static int
module_watch (struct shim_source *source, dev_t disk, char **error)
{
  struct tierswap_watch watch
      = { .major = major (disk), .minor = minor (disk) };

  if (ioctl (source->fd, TIERSWAP_IOC_WATCH, &watch) == 0)
    return 0;
  switch (errno) {
  case EEXIST:
    return refuse (error, errno, "disk %u:%u is watched already", watch.major,
                   watch.minor);
  case EBUSY:
    return refuse (error, errno, "disk %u:%u is watched by another server",
                   watch.major, watch.minor);
  case ENOSPC:
    return refuse (error, errno,
                   "disk %u:%u is one too many: at most %d can be watched",
                   watch.major, watch.minor, TIERSWAP_WATCH_MAX);
  case EINVAL:
    return refuse (error, errno, "%u:%u is not the number of a disk",
                   watch.major, watch.minor);
  default:
    return refuse (error, errno, "disk %u:%u cannot be watched: %s",
                   watch.major, watch.minor, strerror (errno));
  }
}

static int
module_unwatch (struct shim_source *source, dev_t disk, char **error)
{
  struct tierswap_watch watch
      = { .major = major (disk), .minor = minor (disk) };

  if (ioctl (source->fd, TIERSWAP_IOC_UNWATCH, &watch) == 0)
    return 0;
  return refuse (error, errno, "disk %u:%u is not watched", watch.major,
                 watch.minor);
}

const struct shim_source_kind shim_source_module = {
  .open = module_open,
  .close = module_close,
  .watch = module_watch,
  .unwatch = module_unwatch,
};
