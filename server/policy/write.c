/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>

#include "policy/write.h"

/* A part of a request that is of one cgroup. */
struct run {
  uint64_t id;     /* 0: not known */
  uint64_t length; /* bytes */
};

/* Takes runs off a request. */
struct runs {
  struct tags *tags;
  uint64_t offset, left; /* of what was not asked about yet */
  struct run next;       /* asked about, not given yet */
};

static void
ask (struct runs *runs)
{
  runs->next.length = 0;
  if (runs->left == 0)
    return;
  tags_take (runs->tags, runs->offset, runs->left, &runs->next.id,
             &runs->next.length);
  runs->offset += runs->next.length;
  runs->left -= runs->next.length;
}

/* The next run; its length is 0 at the end. */
static struct run
next_run (struct runs *runs)
{
  struct run run = runs->next;

  if (run.length == 0)
    return run;
  for (ask (runs); runs->next.length > 0 && runs->next.id == run.id; ask (runs))
    run.length += runs->next.length;
  return run;
}

static struct runs
runs_of (struct device *device, uint64_t count, uint64_t offset)
{
  struct runs runs = { .tags = device->tags, .offset = offset, .left = count };

  ask (&runs);
  return runs;
}

/* May there be tags?  Those of the kernel are then where they can be taken. */
static bool
tagged (struct device *device)
{
  if (!atomic_load_explicit (&device->tagged, memory_order_relaxed))
    return false;
  shim_drain (device->shim);
  return true;
}

/* What is beyond the device has no tags; let the store refuse it. */
static bool
within (struct device *device, uint64_t count, uint64_t offset)
{
  uint64_t size = store_size (device->store);

  return offset <= size && count <= size - offset;
}

int
device_write (struct device *device, const void *buffer, size_t count,
              uint64_t offset)
{
  struct store_placement placement;
  const char *from = buffer;
  struct runs runs;
  struct run run;
  int r = 0;

  if (!tagged (device) || !within (device, count, offset)) {
    placement = cgroups_root (device->cgroups);
    return store_write (device->store, buffer, count, offset, &placement);
  }
  runs = runs_of (device, count, offset);
  /* After a failure the other tags are taken too: no later write gets them. */
  while ((run = next_run (&runs)).length > 0) {
    if (r == 0) {
      placement = cgroups_enter (device->cgroups, run.id);
      r = store_write (device->store, from, run.length, offset, &placement);
      cgroups_leave (device->cgroups, &placement);
    }
    from += run.length;
    offset += run.length;
  }
  return r;
}

int
device_zero (struct device *device, uint64_t count, uint64_t offset, bool punch)
{
  struct store_placement placement;
  struct runs runs;
  struct run run;
  int r = 0;

  if (!tagged (device) || !within (device, count, offset)) {
    placement = cgroups_root (device->cgroups);
    return store_zero (device->store, count, offset, punch, &placement);
  }
  runs = runs_of (device, count, offset);
  while ((run = next_run (&runs)).length > 0) {
    if (r == 0) {
      placement = cgroups_enter (device->cgroups, run.id);
      r = store_zero (device->store, run.length, offset, punch, &placement);
      cgroups_leave (device->cgroups, &placement);
    }
    offset += run.length;
  }
  return r;
}

int
device_tag (struct device *device, const struct tierswap_tag *tags,
            size_t count)
{
  uint64_t size = store_size (device->store);

  /* Before the first: whoever writes after it sees this. */
  atomic_store (&device->tagged, true);
  for (size_t i = 0; i < count; ++i) {
    if (tags[i].offset > size || tags[i].length > size - tags[i].offset) {
      errno = EINVAL;
      return -1;
    }
    if (tags_put (device->tags, &tags[i]) == -1)
      return -1;
  }
  return 0;
}

int
device_watch (struct device *device, dev_t disk, char **error)
{
  atomic_store (&device->tagged, true);
  return shim_watch (device->shim, disk, error);
}

int
device_unwatch (struct device *device, dev_t disk, char **error)
{
  return shim_unwatch (device->shim, disk, error);
}
