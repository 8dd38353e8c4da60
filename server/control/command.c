/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "common/refuse.h"
#include "control/command.h"
#include "control/human.h"
#include "control/registry.h"
#include "control/statistics.h"
#include "policy/change.h"
#include "policy/config-report.h"
#include "policy/write.h"

#define DRAIN_POLL_NANOSECONDS 20000000

static bool
done (struct command *c, json_t *result)
{
  c->result = result;
  if (!result)
    c->code = ENOMEM;
  return true;
}

/* errno and c->error tell why. */
static bool
failed (struct command *c)
{
  c->code = errno;
  return true;
}

static bool
refuse_arguments (struct command *c, const char *why)
{
  const struct usage *usage = &usages[c->kind];

  refuse (&c->error, EINVAL, "%s: the command is %s%s%s", why, usage->name,
          usage->arguments[0] ? " " : "", usage->arguments);
  return failed (c);
}

static bool
status (struct command *c, const struct request *request)
{
  if (request->count > 1)
    return refuse_arguments (c, "status takes no argument here");
  return done (c, statistics_json (c->device));
}

static int
add_attribute (void *opaque, const char *name, const char *value, bool writable)
{
  (void) writable;
  return json_object_set_new (opaque, name, json_string (value));
}

static bool
get (struct command *c, const struct request *request)
{
  char value[REGISTRY_VALUE];
  json_t *all;

  if (request->count > 2)
    return refuse_arguments (c, "too many arguments");
  if (request->count == 2) {
    if (registry_show (c->device, request->words[1], value, &c->error) == -1)
      return failed (c);
    return done (c, json_pack ("{s:s}", request->words[1], value));
  }
  all = json_object ();
  if (all && registry_walk (c->device, add_attribute, all) != 0) {
    json_decref (all);
    all = NULL;
  }
  return done (c, all);
}

static bool
set (struct command *c, const struct request *request)
{
  char value[REGISTRY_VALUE];
  const char *name = request->words[1];

  if (request->count != 3)
    return refuse_arguments (c, request->count < 3 ? "an argument is missing"
                                                   : "too many arguments");
  if (registry_store (c->device, name, request->words[2], &c->error) == -1
      || registry_show (c->device, name, value, &c->error) == -1)
    return failed (c);
  return done (c, json_pack ("{s:s}", name, value));
}

/* The value of WORD if it is KEY=VALUE. */
static const char *
value_of (const char *word, const char *key)
{
  size_t length = strlen (key);

  return strncmp (word, key, length) == 0 && word[length] == '='
             ? word + length + 1
             : NULL;
}

/* WORD is KEY=NUMBER of the policy.  0: it is not. */
static int
policy_number (struct command *c, const char *word, const char *key,
               uint64_t most, int64_t *number)
{
  const char *value = value_of (word, key);

  if (!value)
    return 0;
  if (*number >= 0) {
    refuse (&c->error, EINVAL, "%s is given twice", key);
    return -1;
  }
  return registry_number (key, value, 0, most, number, &c->error) == -1 ? -1
                                                                        : 1;
}

/* The same for the limit, which is a size. */
static int
policy_limit (struct command *c, const char *word, int64_t *limit)
{
  const char *value = value_of (word, "limit");
  uint64_t bytes;

  if (!value)
    return 0;
  if (*limit >= 0)
    return refuse (&c->error, EINVAL, "limit is given twice");
  if (registry_size ("limit", value, true, &bytes, &c->error) == -1)
    return -1;
  *limit = (int64_t) bytes;
  return 1;
}

static bool
cgroup (struct command *c, const struct request *request)
{
  struct cgroup_change change = CGROUP_NO_CHANGE;
  struct cgroup_info info;
  const char *path = request->words[1];

  if (request->count < 2)
    return refuse_arguments (c, "an argument is missing");
  for (unsigned i = 2; i < request->count; ++i) {
    const char *word = request->words[i];
    int r = policy_number (c, word, "prio", 4, &change.prio);

    if (r == 0)
      r = policy_number (c, word, "writeback_prio", 4, &change.writeback_prio);
    if (r == 0)
      r = policy_number (c, word, "writeback_size", PAGE_BYTES,
                         &change.writeback_size);
    if (r == 0)
      r = policy_limit (c, word, &change.limit);
    if (r == -1)
      return failed (c);
    if (r == 0)
      return refuse_arguments (c, config_excerpt (word).text);
  }
  if ((request->count > 2
       && device_set_cgroup (c->device, path, &change, &c->error) == -1)
      || cgroups_get (c->device->cgroups, path, &info, &c->error) == -1)
    return failed (c);
  free (info.path);
  return done (c, json_pack ("{s:i s:i s:i s:I}", "prio", (int) info.prio,
                             "writeback_prio", (int) info.writeback_prio,
                             "writeback_size", (int) info.writeback_size,
                             "limit", (json_int_t) info.limit));
}

static bool
without_arguments (struct command *c, const struct request *request)
{
  if (request->count > 1)
    return refuse_arguments (c, "too many arguments");
  c->memory = store_memory_used (c->device->store);
  return false;
}

static int
tier_named (struct command *c, const char *name)
{
  const struct config_tier *tier;
  int found = -1;

  pthread_mutex_lock (&c->device->lock);
  for (unsigned i = 0; (tier = device_tier (c->device, i)); ++i)
    if (strcmp (tier->name, name) == 0)
      found = (int) tier->prio - 1;
  pthread_mutex_unlock (&c->device->lock);
  if (found == -1)
    refuse (&c->error, ENOENT, "there is no memory tier \"%s\"",
            config_excerpt (name).text);
  return found;
}

/* One argument of writeback.  0: it is none. */
static int
writeback_argument (struct command *c, const char *word)
{
  struct writeback_command *w = &c->writeback;
  const char *value;
  uint64_t bytes;
  int64_t number;

  if ((value = value_of (word, "age"))) {
    if (registry_number ("age", value, 0, UINT32_MAX, &number, &c->error) == -1)
      return -1;
    w->age = (uint32_t) number;
  }
  else if ((value = value_of (word, "size"))) {
    if (registry_number ("size", value, 0, PAGE_BYTES, &number, &c->error)
        == -1)
      return -1;
    w->least = (uint32_t) number;
  }
  else if ((value = value_of (word, "max"))) {
    if (registry_size ("max", value, false, &bytes, &c->error) == -1)
      return -1;
    if (bytes == 0)
      return refuse (&c->error, EINVAL,
                     "max must be more than 0 bytes; leave it out for "
                     "no bound");
    w->max = bytes;
  }
  else if ((value = value_of (word, "cgroup"))) {
    if (cgroups_below (c->device->cgroups, value, &c->cgroups, &c->error) == -1)
      return -1;
    w->cgroups = &c->cgroups;
  }
  else if ((value = value_of (word, "tier"))) {
    w->tier = tier_named (c, value);
    if (w->tier == -1)
      return -1;
  }
  else
    return 0;
  return 1;
}

/* Where KEY of KEY=VALUE stands in a second place, NULL: nowhere. */
static const char *
given_twice (const struct request *request, size_t *length)
{
  for (unsigned i = 1; i < request->count; ++i) {
    *length = strcspn (request->words[i], "=");
    for (unsigned j = 1; j < i; ++j)
      if (strncmp (request->words[i], request->words[j], *length + 1) == 0)
        return request->words[i];
  }
  return NULL;
}

static bool
writeback (struct command *c, const struct request *request)
{
  const char *twice;
  size_t length;

  c->writeback = (struct writeback_command){ .cgroup = -1, .tier = -1 };
  c->writeback.cancel = &c->cancel;
  for (unsigned i = 1; i < request->count; ++i) {
    int r = writeback_argument (c, request->words[i]);

    if (r == -1)
      return failed (c);
    if (r == 0)
      return refuse_arguments (c, config_excerpt (request->words[i]).text);
  }
  twice = given_twice (request, &length);
  if (twice) {
    refuse (&c->error, EINVAL, "%.*s is given twice", (int) length, twice);
    return failed (c);
  }
  writeback_get_counters (c->device->writeback, &c->counters);
  return false;
}

static bool
drain (struct command *c, const struct request *request)
{
  const char *name = NULL;
  bool wait = true;

  for (unsigned i = 1; i < request->count; ++i) {
    if (strcmp (request->words[i], "--no-wait") == 0)
      wait = false;
    else if (name || request->words[i][0] == '-')
      return refuse_arguments (c, config_excerpt (request->words[i]).text);
    else
      name = request->words[i];
  }
  if (!name)
    return refuse_arguments (c, "an argument is missing");
  if (device_drain (c->device, name, &c->error) == -1)
    return failed (c);
  snprintf (c->name, sizeof c->name, "%s", name);
  return wait ? false : done (c, json_object ());
}

/* The kernel's number of a disk.  0: it is none. */
static dev_t
disk_number (const char *word)
{
  unsigned major_number, minor_number;
  int length = 0;

  if (sscanf (word, "%4u:%7u%n", &major_number, &minor_number, &length) != 2
      || word[length] != '\0')
    return 0;
  return makedev (major_number, minor_number);
}

/* What is asked for twice is done once. */
static bool
watch (struct command *c, const struct request *request)
{
  bool on = c->kind == USAGE_WATCH;
  dev_t disk;
  int r;

  if (request->count != 2)
    return refuse_arguments (c, request->count < 2 ? "an argument is missing"
                                                   : "too many arguments");
  disk = disk_number (request->words[1]);
  if (disk == 0)
    return refuse_arguments (c, config_excerpt (request->words[1]).text);
  r = on ? device_watch (c->device, disk, &c->error)
         : device_unwatch (c->device, disk, &c->error);
  if (r == -1 && errno != (on ? EEXIST : ENOENT))
    return failed (c);
  free (c->error);
  c->error = NULL;
  return done (c, json_object ());
}

bool
command_is_long (const struct request *request)
{
  switch (usage_find (request->words[0])) {
  case USAGE_RELOAD:
  case USAGE_COMPACT:
  case USAGE_WRITEBACK:
  case USAGE_DRAIN:
  case USAGE_CHECK:
    return true;
  default:
    return false;
  }
}

bool
command_begin (struct command *c, struct device *device,
               const struct request *request)
{
  static bool (*const begin[]) (struct command *, const struct request *) = {
    [USAGE_STATUS] = status,
    [USAGE_GET] = get,
    [USAGE_SET] = set,
    [USAGE_CGROUP] = cgroup,
    [USAGE_RELOAD] = without_arguments,
    [USAGE_COMPACT] = without_arguments,
    [USAGE_WRITEBACK] = writeback,
    [USAGE_DRAIN] = drain,
    [USAGE_CHECK] = without_arguments,
    [USAGE_WATCH] = watch,
    [USAGE_UNWATCH] = watch,
  };
  int kind = usage_find (request->words[0]);
  char names[USAGE_ROOM];

  *c = (struct command){ .device = device };
  if (kind == -1) {
    refuse (&c->error, EINVAL, "there is no command \"%s\"; there are %s",
            config_excerpt (request->words[0]).text, usage_names (names));
    return failed (c);
  }
  c->kind = (enum usage_command) kind;
  return begin[kind](c, request);
}

static bool
run_reload (struct command *c)
{
  struct device *device = c->device;
  json_t *leaving = json_array ();

  if (device_reload (device, &c->error) == -1) {
    failed (c);
    json_decref (leaving);
    return true;
  }
  pthread_mutex_lock (&device->lock);
  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    struct tier_backing *b = &device->backings.list[i];

    if (atomic_load (&b->backing) && atomic_load (&b->leaving))
      json_array_append_new (leaving, json_string (b->name));
  }
  c->result = json_pack ("{s:s s:o}", "file", device->config->file, "draining",
                         leaving);
  pthread_mutex_unlock (&device->lock);
  return done (c, c->result);
}

static bool
run_compact (struct command *c)
{
  struct store *store = c->device->store;

  while (!atomic_load (&c->cancel) && store_compact_one (store))
    ;
  return done (c, json_pack ("{s:I s:I}", "mem_used_bytes_before",
                             (json_int_t) c->memory, "mem_used_bytes",
                             (json_int_t) store_memory_used (store)));
}

static bool
has_backing (struct device *device)
{
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (atomic_load (&device->backings.list[i].backing))
      return true;
  return false;
}

static bool
run_writeback (struct command *c)
{
  struct writeback_counters counters;

  if (writeback_run (c->device->writeback, &c->writeback, &counters) == 0)
    return done (c, json_pack ("{s:I s:I s:I}", "segments",
                               (json_int_t) counters.segments, "pages",
                               (json_int_t) counters.pages, "bytes",
                               (json_int_t) counters.bytes));
  switch (errno) {
  case ENOSPC:
    refuse (&c->error, ENOSPC, "nothing was written back: %s",
            has_backing (c->device)
                ? "every backing is full, failed or draining"
                : "there is no backing; add one to the configuration "
                  "and reload it");
    break;
  case EDQUOT:
    refuse (&c->error, EDQUOT,
            "nothing was written back: the limit of today is reached; "
            "set writeback.limit to raise it");
    break;
  case EBUSY:
    refuse (&c->error, EBUSY,
            "another writeback command is at work; wait for it");
    break;
  default:
    refuse (&c->error, errno, "nothing was written back: %s", strerror (errno));
  }
  return failed (c);
}

/* How a drain stands. */
enum drain_state { DRAIN_ON, DRAIN_DONE, DRAIN_STUCK, DRAIN_CALLED_OFF };

static enum drain_state
drain_state (const struct command *c, uint64_t *bytes)
{
  struct device *device = c->device;
  enum drain_state state = DRAIN_DONE;
  int index;

  *bytes = 0;
  pthread_mutex_lock (&device->lock);
  index = backings_find (&device->backings, c->name);
  if (index >= 0) {
    const struct tier_backing *b = &device->backings.list[index];

    *bytes = backing_extents_used (atomic_load (&b->backing)) * EXTENT_BYTES;
    if (!atomic_load (&b->draining))
      state = DRAIN_CALLED_OFF;
    else if (*bytes > 0)
      state = atomic_load (&b->stuck) ? DRAIN_STUCK : DRAIN_ON;
  }
  pthread_mutex_unlock (&device->lock);
  return state;
}

static bool
run_drain (struct command *c)
{
  const struct timespec poll = { 0, DRAIN_POLL_NANOSECONDS };
  uint64_t bytes;

  for (;;) {
    switch (drain_state (c, &bytes)) {
    case DRAIN_ON:
      if (atomic_load (&c->cancel))
        return done (c, json_object ());
      nanosleep (&poll, NULL);
      continue;
    case DRAIN_DONE:
      return done (c, json_object ());
    case DRAIN_STUCK:
      refuse (&c->error, EIO,
              "backing \"%s\" cannot be drained: %llu bytes cannot be "
              "read back from it; mend it and drain it again",
              c->name, (unsigned long long) bytes);
      return failed (c);
    case DRAIN_CALLED_OFF:
      refuse (&c->error, ECANCELED,
              "backing \"%s\" is not drained any more: a reload called "
              "it off",
              c->name);
      return failed (c);
    }
  }
}

static bool
run_check (struct command *c)
{
  const struct sched_param normal = { 0 };

  /* It computes for long: where those who serve are real-time threads, it is
   * not one of them.
   */
  pthread_setschedparam (pthread_self (), SCHED_OTHER, &normal);
  c->check.cancel = &c->cancel;
  c->check.patience = CHECK_PATIENCE;
  if (store_check_live (c->device->store, &c->check) == -1) {
    if (errno == EUCLEAN)
      refuse (&c->error, EUCLEAN,
              "the tables do not agree: %s; what can be read of the "
              "device is to be saved, please report this",
              c->check.wrong);
    return failed (c);
  }
  return done (c, json_pack ("{s:I s:I s:I s:I s:I}", "pages",
                             (json_int_t) c->check.pages, "pages_same",
                             (json_int_t) c->check.pages_same, "pages_lost",
                             (json_int_t) c->check.pages_lost, "segments",
                             (json_int_t) c->check.segments, "unsettled",
                             (json_int_t) c->check.unsettled));
}

void
command_run (struct command *c)
{
  switch (c->kind) {
  case USAGE_RELOAD:
    run_reload (c);
    break;
  case USAGE_COMPACT:
    run_compact (c);
    break;
  case USAGE_WRITEBACK:
    run_writeback (c);
    break;
  case USAGE_DRAIN:
    run_drain (c);
    break;
  case USAGE_CHECK:
    run_check (c);
    break;
  default: /* the others are short */
    break;
  }
}

char *
command_progress (const struct command *c)
{
  char left[HUMAN_ROOM], *text = NULL;
  struct writeback_counters counters;
  uint64_t bytes;
  int r = -1;

  switch (c->kind) {
  case USAGE_DRAIN:
    if (drain_state (c, &bytes) == DRAIN_ON)
      r = asprintf (&text, "%s are left on %s", human_bytes (bytes, left),
                    c->name);
    break;
  case USAGE_WRITEBACK:
    writeback_get_counters (c->device->writeback, &counters);
    r = asprintf (&text, "%s were written back",
                  human_bytes (counters.bytes - c->counters.bytes, left));
    break;
  case USAGE_COMPACT:
    bytes = store_memory_used (c->device->store);
    r = asprintf (&text, "%s are used", human_bytes (bytes, left));
    break;
  case USAGE_CHECK:
    bytes = atomic_load (&c->check.slots);
    if (bytes > 0)
      r = asprintf (&text, "%u%% of the device were looked at",
                    (unsigned) (atomic_load (&c->check.looked) * 100 / bytes));
    break;
  default:
    break;
  }
  return r == -1 ? NULL : text;
}

char *
command_end (struct command *c)
{
  char *line;

  if (c->result)
    line = protocol_result (c->result);
  else
    line = protocol_error (c->error ? c->error : "out of memory",
                           c->code ? c->code : ENOMEM);
  free (c->error);
  c->result = NULL;
  c->error = NULL;
  return line;
}
