/* SPDX-License-Identifier: BSD-3-Clause */
/* The source that is a BPF program. */
#include <config.h>

#include <errno.h>

#include "policy/shim-source.h"

static int
bpf_open (struct shim_source *source, const char *path, char **error)
{
  (void) source;
  (void) path;
  return shim_fail (error, EOPNOTSUPP,
                    "tags by BPF are not built in: configure found no libbpf, "
                    "clang or bpftool");
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
  return shim_fail (error, EOPNOTSUPP, "tags by BPF are not built in");
}

const struct shim_source_kind shim_source_bpf = {
  .open = bpf_open,
  .close = bpf_close,
  .watch = bpf_watch,
  .unwatch = bpf_watch,
};
