/* SPDX-License-Identifier: BSD-3-Clause */
/* Tags of the kernel's: from the module and by BPF, both played, for what they
 * take is not there on every machine (test-shim-qemu.sh has them in earnest).
 */
#include <config.h>

#include <stdlib.h>

#include "played-module.h"
#include "scenario.h"
#include "tierswap.h"
#include "workload.h"

static char device_path[128];

static struct tierswap *device;

static void
name_module (struct tierswap *made)
{
  device = made;
  if (tierswap_set_shim (made, device_path) == -1)
    refused ("shim");
}

/* Watched is a disk that is not this machine's. */
static void
watch_disks (void)
{
  command_line (false, "[\"watch\", \"43:100\"]\n");
  command_line (false, "[\"watch\", \"43:116\"]\n");
  command_line (true, "[\"watch\", \"disk\"]\n");
  command (false, "status", NULL, NULL, NULL);
  write_pages (0, 64);
  command_line (false, "[\"unwatch\", \"43:100\"]\n");
  command_line (false, "[\"unwatch\", \"43:116\"]\n");
  command_line (false, "[\"watch\", \"43:100\"]\n");
  check_pages ();
}

static void
watch_and_describe (void)
{
  char *text;

  watch_disks ();
  text = tierswap_describe (device, "");
  if (!text)
    failed (&result->requests, "description");
  free (text);
}

static void
from_module (void)
{
  with_device (name_module, watch_and_describe);
}

static void
by_bpf (void)
{
  with_device (NULL, watch_disks);
}

static void
prepare_module (void)
{
  played_module_make (in_folder ("module", device_path));
  write_conf ("conf", CONF_ALONE);
}

static void
prepare_bpf (void)
{
  write_conf ("conf", CONF_BPF);
}

static const char *
no_bpf (void)
{
#ifdef HAVE_BPF
  return NULL;
#else
  return "BPF is not built in";
#endif
}

const struct scenario tags_module = {
  .name = "module",
  .phases = { { from_module, true, false } },
  .prepare = prepare_module,
};
const struct scenario tags_bpf = {
  .name = "bpf",
  .phases = { { by_bpf, true, false } },
  .prepare = prepare_bpf,
  .missing = no_bpf,
};
