/* SPDX-License-Identifier: BSD-3-Clause */
/* pool.state: one is made, filled and written back; the server ends as by a
 * kill; another one takes it over.  Whatever fails meanwhile, yet another one
 * takes over all pages.
 */
#include <config.h>

#include <unistd.h>

#include "policy/device.h"
#include "scenario.h"
#include "store/internal.h"
#include "store/object.h"
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

/* ---- its backing is said to be elsewhere ---- */

static void
take_over_moved (void)
{
  swap_conf ("conf-moved");
  with_device (NULL, look);
  if (!result->refused[0])
    bad ("the backing is not missed");
  result->refused[0] = '\0';
  swap_conf ("conf-right");
}

/* ---- the server was killed while it wrote an object ---- */

static struct tierswap *torn;

static void
keep (struct tierswap *device)
{
  torn = device;
}

/* The first object of a segment in memory has no header, if no page is there
 * any more; others are, and will be looked for.
 */
static bool
tear (struct store *store, uint32_t number)
{
  const struct segment *segment = store_segment (store, number);
  uint64_t place = atomic_load (&segment->place);
  uint64_t state_word = atomic_load (&segment->control);
  struct object *object;
  slot_word word;

  if (control_state (state_word) == SEGMENT_FREE || !place_is_frame (place)
      || control_live (state_word) == 0)
    return false;
  object = (struct object *) (void *) arena_frame (
      &store->arena, (uint32_t) place_number (place));
  if (object->slot >= store->slots.count)
    return false;
  word = atomic_load (&store->slots.words[object->slot]);
  if (slot_is_object (word) && slot_segment (word) == number)
    return false;
  object->size = 0;
  return true;
}

static bool
tear_any (struct store *store)
{
  bool done = false;

  for (uint32_t i = 0; i < segments_high_water (&store->segments) && !done; ++i)
    done = tear (store, i);
  return done;
}

static void
tear_one (void)
{
  /* It is what the device of the library begins with. */
  struct store *store = (*(struct device **) torn)->store;
  unsigned tries = 0;

  write_pages (0, PAGES);
  do
    write_pages (0, PAGES);
  while (!tear_any (store) && worth_another_try (&tries));
  end_as_killed ();
}

static void
make_torn (void)
{
  with_device (keep, tear_one);
}

static void
prepare (void)
{
  char path[128];

  unlink (in_folder ("memory/state", path));
  write_conf ("conf", CONF_STATE | CONF_ONE_FILE);
}

static void
prepare_moved (void)
{
  write_conf ("conf-moved", CONF_STATE | CONF_ONE_FILE | CONF_MOVED);
  write_conf ("conf-right", CONF_STATE | CONF_ONE_FILE);
  prepare ();
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
const struct scenario state_moved = {
  .name = "moved",
  .phases = { { make, false, false },
              { take_over_moved, true, false },
              { take_over_well, false, false } },
  .prepare = prepare_moved,
  .missing = missing,
};
const struct scenario state_torn = {
  .name = "torn",
  .phases = { { make_torn, false, false },
              { take_over, true, false },
              { take_over_well, false, false } },
  .prepare = prepare,
  .missing = missing,
};
