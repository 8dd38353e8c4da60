/* SPDX-License-Identifier: BSD-3-Clause */
/* The source that is a BPF program, shim/tierswap_shim.bpf.c: where BPF is
 * allowed and modules are not.  It writes the same rings into an array that is
 * mapped.  Each server loads a program of its own, so nothing keeps two
 * servers from watching one disk.
 */
#include <config.h>

#include <errno.h>

#include "common/refuse.h"
#include "policy/shim-source.h"

#ifdef HAVE_BPF

#include <linux/membarrier.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Its inline functions are all static, and not all are called. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "tierswap_shim.skel.h"
#pragma GCC diagnostic pop

static int
say_nothing (enum libbpf_print_level level, const char *format, va_list args)
{
  (void) level;
  (void) format;
  (void) args;
  return 0;
}

static int
bpf_failed (int number, const char *what, char **error)
{
  if (number == EPERM || number == EACCES)
    return refuse (error, number,
                   "the BPF program %s: it takes root, or CAP_BPF and "
                   "CAP_PERFMON, and a kernel that is not locked down",
                   what);
  return refuse (error, number,
                 "the BPF program %s: %s (it takes a kernel of 6.1 or newer "
                 "with CONFIG_DEBUG_INFO_BTF)",
                 what, strerror (number));
}

static void
bpf_close (struct shim_source *source)
{
  int saved_errno = errno;

  tierswap_shim_bpf__destroy (source->opaque);
  source->opaque = NULL;
  source->fd = -1;
  errno = saved_errno;
}

static int
bpf_open (struct shim_source *source, const char *path, char **error)
{
  const int cpus = libbpf_num_possible_cpus ();
  struct tierswap_shim_bpf *program;
  uint32_t bytes;
  int number;

  (void) path;
  if (cpus < 0)
    return bpf_failed (-cpus, "does not know the CPUs", error);
  libbpf_set_print (say_nothing);
  program = tierswap_shim_bpf__open ();
  if (!program)
    return bpf_failed (errno, "cannot be read", error);
  source->opaque = program;
  /* One entry more: the first is struct tierswap_rings. */
  number = bpf_map__set_max_entries (program->maps.tierswap_entries,
                                     (uint32_t) cpus + 1);
  if (number == 0)
    number = tierswap_shim_bpf__load (program);
  if (number != 0) {
    bpf_failed (-number, "cannot be loaded", error);
    bpf_close (source);
    return -1;
  }
  number = tierswap_shim_bpf__attach (program);
  if (number != 0) {
    bpf_failed (-number, "cannot be attached", error);
    bpf_close (source);
    return -1;
  }

  bytes = bpf_map__value_size (program->maps.tierswap_entries);
  source->fd = bpf_map__fd (program->maps.tierswap_entries);
  source->geometry = (struct tierswap_geometry){
    .map_bytes = (uint64_t) bytes * ((uint32_t) cpus + 1),
    .rings = (uint32_t) cpus,
    .records = (bytes - (uint32_t) sizeof (struct tierswap_ring))
               / (uint32_t) sizeof (struct tierswap_record),
    .first_ring = bytes,
    .ring_bytes = bytes,
  };
  return 0;
}

/* The place of DISK among those that are watched, or of none (0:0). */
static struct tierswap_watch *
find (struct shim_source *source, unsigned major, unsigned minor)
{
  struct tierswap_shim_bpf *program = source->opaque;

  for (unsigned i = 0; i < TIERSWAP_WATCH_MAX; i++) {
    struct tierswap_watch *watch = &program->bss->tierswap_disks[i];

    if (watch->major == major && watch->minor == minor)
      return watch;
  }
  return NULL;
}

static int
bpf_watch (struct shim_source *source, dev_t disk, char **error)
{
  const unsigned number = major (disk);
  struct tierswap_watch *watch;

  if (number == 0 || number > 4095)
    return refuse (error, EINVAL, "%u:%u is not the number of a disk", number,
                   minor (disk));
  if (find (source, number, minor (disk)))
    return refuse (error, EEXIST, "disk %u:%u is watched already", number,
                   minor (disk));
  watch = find (source, 0, 0);
  if (!watch)
    return refuse (error, ENOSPC,
                   "disk %u:%u is one too many: at most %d can be watched",
                   number, minor (disk), TIERSWAP_WATCH_MAX);
  /* The program looks at the minor number when it has seen the major one. */
  __atomic_store_n (&watch->minor, minor (disk), __ATOMIC_RELAXED);
  __atomic_store_n (&watch->major, number, __ATOMIC_RELEASE);
  return 0;
}

static int
bpf_unwatch (struct shim_source *source, dev_t disk, char **error)
{
  struct tierswap_watch *watch = NULL;

  if (major (disk) != 0)
    watch = find (source, major (disk), minor (disk));
  if (!watch)
    return refuse (error, ENOENT, "disk %u:%u is not watched", major (disk),
                   minor (disk));
  __atomic_store_n (&watch->major, 0, __ATOMIC_RELEASE);
  __atomic_store_n (&watch->minor, 0, __ATOMIC_RELEASE);
  /* Until every CPU has left the program that may have seen it: the kernel
   * waits for all of them.  There is nothing to do where it cannot.
   */
  (void) syscall (SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
  return 0;
}

#else /* !HAVE_BPF */

static int
not_built_in (char **error)
{
  return refuse (error, EOPNOTSUPP,
                 "tags by BPF are not built in: install libbpf-dev, clang "
                 "and bpftool, and configure and build again");
}

static int
bpf_open (struct shim_source *source, const char *path, char **error)
{
  (void) source;
  (void) path;
  return not_built_in (error);
}

static void
bpf_close (struct shim_source *source)
{
  (void) source;
}

static int
bpf_watch (struct shim_source *source, dev_t disk, char **error)
{
  (void) source;
  (void) disk;
  return not_built_in (error);
}

static int
bpf_unwatch (struct shim_source *source, dev_t disk, char **error)
{
  return bpf_watch (source, disk, error);
}

#endif /* !HAVE_BPF */

const struct shim_source_kind shim_source_bpf = {
  .open = bpf_open,
  .close = bpf_close,
  .watch = bpf_watch,
  .unwatch = bpf_unwatch,
};
