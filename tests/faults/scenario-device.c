/* SPDX-License-Identifier: BSD-3-Clause */
/* A device in memory and on files, on a remote server, and its commands. */
#include <config.h>

#include <stdlib.h>
#include <unistd.h>

#include "pages.h"
#include "scenario.h"
#include "store/codec.h"
#include "tierswap.h"
#include "workload.h"

static struct tierswap *device;

static void
keep (struct tierswap *made)
{
  device = made;
}

static int
look (void *opaque, uint64_t offset, uint64_t length, enum tierswap_extent kind)
{
  (void) opaque;
  (void) offset;
  (void) length;
  (void) kind;
  return 0;
}

static void
look_at_all (void)
{
  char *name, *text;

  if (tierswap_extents (device, tierswap_size (device), 0, look, NULL) != 0)
    bad ("no extents");
  for (unsigned i = 0; (name = tierswap_export_name (device, i)); ++i) {
    text = tierswap_stats (device, name);
    if (!text)
      failed (&result->requests, "statistics");
    free (text);
    text = tierswap_describe (device, name);
    if (!text)
      failed (&result->requests, "description");
    free (text);
    free (name);
  }
}

static void
live (void)
{
  static unsigned char word[8] = "written";

  use_pages ();
  look_at_all ();
  command (false, "writeback", NULL, NULL, NULL);
  check_pages ();
  write_pages (0, 128);
  insist (PATCH, 200, 1, word);
  write_pages (192, 16);
  check_pages ();
}

static void
life (void)
{
  with_device (keep, live);
}

static void
use_commands (void)
{
  write_pages (0, PAGES);
  command (false, "status", NULL, NULL, NULL);
  command (false, "get", NULL, NULL, NULL);
  command (false, "get", "pool.limit", NULL, NULL);
  command (true, "get", "pool.colour", NULL, NULL);
  command (false, "set", "writeback.high", "95", NULL);
  command (true, "set", "writeback.high", "seventy", NULL);
  command (false, "cgroup", "/", "prio=1", "writeback_prio=1");
  command (true, "cgroup", "/", "prio=1", "colour=2");
  command (false, "writeback", "max=1M", NULL, NULL);
  command (false, "compact", NULL, NULL, NULL);
  command (false, "check", NULL, NULL, NULL);
  command (true, "nonsense", NULL, NULL, NULL);
  command_line (true, "{}\n");
  command_line (true, "[1]\n");
  command_line (true,
                "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\","
                "\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]\n");
  swap_conf ("conf-mistake");
  command (true, "reload", NULL, NULL, NULL);
  check_pages ();
  swap_conf ("conf-other");
  command (false, "reload", NULL, NULL, NULL);
  check_pages ();
  command (false, "drain", "one", NULL, NULL);
  check_pages ();
}

static void
commands (void)
{
  with_device (keep, use_commands);
}

static void
use_remote (void)
{
  write_pages (0, PAGES);
  command (false, "writeback", NULL, NULL, NULL);
  check_pages ();
  write_pages (0, 128);
  command (false, "writeback", NULL, NULL, NULL);
  insist (TRIM, 128, 128, NULL);
  forget_pages (128, 128);
  check_pages ();
}

static void
far (void)
{
  with_device (keep, use_remote);
}

static void
prepare_files (void)
{
  write_conf ("conf-other", CONF_OTHER);
  write_conf ("conf-mistake", CONF_MISTAKE);
  write_conf ("conf", 0);
}

static void
prepare_remote (void)
{
  write_conf ("conf", CONF_REMOTE);
}

/* ---- memory is full: a write waits for what is written back ---- */

#define MUCH 3000 /* pages */

static void
fill_up (void)
{
  static unsigned char noise[REQUEST * PAGE_BYTES];

  write_pages (0, PAGES);
  for (unsigned first = PAGES; first < MUCH; first += REQUEST) {
    for (unsigned i = 0; i < REQUEST; ++i)
      page_make (noise + i * PAGE_BYTES, PAGE_RANDOM, first + i);
    insist (WRITE, first, REQUEST, noise);
  }
  check_pages ();
}

static void
full (void)
{
  with_device (keep, fill_up);
}

static void
prepare_full (void)
{
  write_conf ("conf", CONF_SMALL | CONF_ONE_FILE);
}

/* ---- a block device, in a guest ---- */

static void
prepare_block (void)
{
  write_conf ("conf", CONF_BLOCK);
}

static void
use_block (void)
{
  use_pages ();
  command (false, "writeback", NULL, NULL, NULL);
  check_pages ();
  insist (TRIM, 0, PAGES, NULL);
  forget_pages (0, PAGES);
  command (false, "drain", "disk", "--no-wait", NULL);
  check_pages ();
}

static void
on_block (void)
{
  with_device (keep, use_block);
}

static const char *
no_block (void)
{
  return access (BLOCK_DEVICE, F_OK) == 0 ? NULL
                                          : "there is no " BLOCK_DEVICE
                                            ": see test-faults-uml.sh";
}

/* All else is the same as with files. */
static const char *const of_files[] = { "server/backing/file.c", NULL };

const struct scenario device_block = {
  .name = "block",
  .phases = { { on_block, true, false } },
  .prepare = prepare_block,
  .missing = no_block,
  .only = of_files,
  .in_guest = true,
};
const struct scenario device_full = {
  .name = "full",
  .phases = { { full, true, false } },
  .prepare = prepare_full,
};
const struct scenario device_life = {
  .name = "life",
  .phases = { { life, true, false } },
  .prepare = prepare_files,
};
const struct scenario device_threads = {
  .name = "threads",
  .phases = { { life, true, false } },
  .prepare = prepare_files,
  .io = "threads",
};
const struct scenario device_commands = {
  .name = "commands",
  .phases = { { commands, true, false } },
  .prepare = prepare_files,
};
const struct scenario device_remote = {
  .name = "remote",
  .phases = { { far, true, false } },
  .prepare = prepare_remote,
};
