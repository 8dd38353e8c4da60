/* SPDX-License-Identifier: BSD-3-Clause */
/* pool.state: one is made, filled and written back; the server ends as by a
 * kill; another one takes it over.  Whatever fails meanwhile, yet another one
 * takes over all pages.
 */
#include <config.h>

#include <unistd.h>

#include "scenario.h"
#include "tierswap.h"
#include "workload.h"

static void
fill (void)
{
  settled ();
  write_pages (0, PAGES);
  command (false, "writeback", NULL, NULL, NULL);
  /* Some of it is in segments that are being written to. */
  write_pages (0, 64);
  insist (TRIM, 64, 32, NULL);
  forget_pages (64, 32);
  end_as_killed ();
}

static void
make (void)
{
  with_device (NULL, fill);
}

static void
look (void)
{
  settled ();
  check_pages ();
  write_pages (128, 64);
  command (false, "writeback", NULL, NULL, NULL);
  command (false, "check", NULL, NULL, NULL);
  check_pages ();
}

static void
ask (struct tierswap *device)
{
  long process;

  if (tierswap_could_follow (device, &process) == -1)
    refused ("could_follow");
}

static void
take_over (void)
{
  with_device (ask, look);
}

/* Whatever happened before, this must work at once. */
static void
take_over_well (void)
{
  struct result before = *result;

  result->refused[0] = '\0';
  result->requests = result->commands = 0;
  with_device (NULL, look);
  if (result->refused[0])
    bad ("it cannot be taken over any more");
  else if (result->requests || result->commands)
    bad ("what was taken over does not work");
  if (!result->bad[0])
    *result = before;
}

static void
prepare (void)
{
  char path[128];

  unlink (in_folder ("memory/state", path));
  write_conf ("conf", CONF_STATE | CONF_ONE_FILE);
}

static const char *
missing (void)
{
  return own_mounts ? NULL : "no ramfs can be mounted here";
}

/* What a state and its backings are opened and recovered by. */
static const char *const recovery[] = { "server/store/state.c",
                                        "server/store/recover.c",
                                        "server/store/survey.c",
                                        "server/store/region.c",
                                        "server/backing/file.c",
                                        "server/backing/backing.c",
                                        NULL };

const struct scenario state_made = {
  .name = "state",
  .phases = { { make, true, false }, { take_over_well, false, false } },
  .prepare = prepare,
  .missing = missing,
};
const struct scenario state_taken_over = {
  .name = "takeover",
  .phases = { { make, false, false },
              { take_over, true, false },
              { take_over_well, false, false } },
  .prepare = prepare,
  .missing = missing,
  .again = recovery,
};
