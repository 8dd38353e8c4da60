/* SPDX-License-Identifier: BSD-3-Clause */
/* The face of the library: tierswap.h in terms of the layers below. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tierswap.h"

#include "common/message.h"
#include "common/refuse.h"
#include "control/control.h"
#include "control/fuse.h"
#include "control/listener.h"
#include "control/statistics.h"
#include "policy/device.h"
#include "policy/write.h"

struct tierswap {
  struct device *device;
  char *control_path; /* NULL: no control socket */
  struct control *control;
  char *fuse_directory; /* NULL: no FUSE tree */
  bool others_read;
  struct tree *tree;
};

_Static_assert((int) TIERSWAP_ERROR == (int) MESSAGE_ERROR
                   && (int) TIERSWAP_WARNING == (int) MESSAGE_WARNING
                   && (int) TIERSWAP_NOTICE == (int) MESSAGE_NOTICE,
               "kinds of messages");
_Static_assert((int) TIERSWAP_DATA == (int) STORE_DATA
                   && (int) TIERSWAP_HOLE == (int) STORE_HOLE
                   && (int) TIERSWAP_ZERO == (int) STORE_ZERO,
               "kinds of extents");

void
tierswap_set_message_sink (void (*sink) (enum tierswap_message_kind kind,
                                         const char *text))
{
  message_set_sink ((message_sink) sink);
}

int
tierswap_create (const char *file, const char *size, struct tierswap **result)
{
  struct tierswap *tierswap = calloc (1, sizeof *tierswap);

  if (!tierswap)
    return -1;
  if (device_create (file, size, &tierswap->device) == -1) {
    int saved_errno = errno;

    free (tierswap);
    errno = saved_errno;
    return -1;
  }
  *result = tierswap;
  return 0;
}

int
tierswap_could_follow (const struct tierswap *tierswap, long *process)
{
  pid_t owner;
  int r = device_could_follow (tierswap->device, &owner);

  *process = owner;
  return r;
}

bool
tierswap_has_state (const struct tierswap *tierswap)
{
  return tierswap->device->config->state != NULL;
}

int
tierswap_set_control (struct tierswap *tierswap, const char *path)
{
  char *error, *copy;

  if (listener_check (path, &error) == -1)
    return refuse_tell (error);
  copy = strdup (path);
  if (!copy)
    return -1;
  free (tierswap->control_path);
  tierswap->control_path = copy;
  return 0;
}

int
tierswap_set_fuse (struct tierswap *tierswap, const char *directory,
                   bool others_read)
{
  char *error, *copy;

  if (tree_check (directory, &error) == -1)
    return refuse_tell (error);
  copy = strdup (directory);
  if (!copy)
    return -1;
  free (tierswap->fuse_directory);
  tierswap->fuse_directory = copy;
  tierswap->others_read = others_read;
  return 0;
}

int
tierswap_set_cgroups (struct tierswap *tierswap, const char *path)
{
  char *copy = strdup (path);

  if (!copy)
    return -1;
  free (tierswap->device->hierarchy);
  tierswap->device->hierarchy = copy;
  return 0;
}

int
tierswap_set_shim (struct tierswap *tierswap, const char *source)
{
  char *copy;

  if (strcmp (source, "bpf") != 0 && source[0] != '/') {
    message (MESSAGE_ERROR,
             "shim \"%s\" is neither the path of a device, from / on, nor bpf",
             source);
    errno = EINVAL;
    return -1;
  }
  copy = strdup (source);
  if (!copy)
    return -1;
  free (tierswap->device->tag_source);
  tierswap->device->tag_source = copy;
  return 0;
}

int
tierswap_start (struct tierswap *tierswap)
{
  char *error;

  if (device_start (tierswap->device) == -1)
    return -1;
  if (tierswap->control_path
      && control_start (tierswap->device, tierswap->control_path,
                        &tierswap->control, &error)
             == -1)
    return refuse_tell (error);
  if (tierswap->fuse_directory
      && tree_start (tierswap->device, tierswap->fuse_directory,
                     tierswap->others_read, &tierswap->tree, &error)
             == -1)
    return refuse_tell (error);
  return 0;
}

void
tierswap_free (struct tierswap *tierswap)
{
  if (!tierswap)
    return;
  /* First the tree: while its disk is in use all else goes on. */
  tree_stop (tierswap->tree);
  control_stop (tierswap->control);
  device_free (tierswap->device);
  free (tierswap->control_path);
  free (tierswap->fuse_directory);
  free (tierswap);
}

uint64_t
tierswap_size (const struct tierswap *tierswap)
{
  return tierswap->device->config->size;
}

int
tierswap_read (struct tierswap *tierswap, void *buffer, size_t count,
               uint64_t offset)
{
  return store_read (tierswap->device->store, buffer, count, offset);
}

int
tierswap_write (struct tierswap *tierswap, const void *buffer, size_t count,
                uint64_t offset)
{
  return device_write (tierswap->device, buffer, count, offset);
}

int
tierswap_trim (struct tierswap *tierswap, uint64_t count, uint64_t offset)
{
  return store_trim (tierswap->device->store, count, offset);
}

int
tierswap_zero (struct tierswap *tierswap, uint64_t count, uint64_t offset,
               bool punch)
{
  return device_zero (tierswap->device, count, offset, punch);
}

int
tierswap_tag (struct tierswap *tierswap, const struct tierswap_tag *tags,
              size_t count)
{
  return device_tag (tierswap->device, tags, count);
}

struct extents_call {
  int (*callback) (void *opaque, uint64_t offset, uint64_t length,
                   enum tierswap_extent kind);
  void *opaque;
};

static int
extents_cb (void *opaque, uint64_t offset, uint64_t length,
            enum store_extent kind)
{
  struct extents_call *call = opaque;

  return call->callback (call->opaque, offset, length,
                         (enum tierswap_extent) kind);
}

int
tierswap_extents (struct tierswap *tierswap, uint64_t count, uint64_t offset,
                  int (*callback) (void *opaque, uint64_t offset,
                                   uint64_t length, enum tierswap_extent kind),
                  void *opaque)
{
  struct extents_call call = { callback, opaque };

  return store_extents (tierswap->device->store, count, offset, extents_cb,
                        &call);
}

char *
tierswap_export_name (struct tierswap *tierswap, unsigned index)
{
  return index == 0 ? strdup ("stats")
                    : statistics_name (tierswap->device, index - 1);
}

char *
tierswap_describe (struct tierswap *tierswap, const char *name)
{
  return statistics_describe (tierswap->device, name);
}

char *
tierswap_stats (struct tierswap *tierswap, const char *name)
{
  json_t *json = strcmp (name, "stats") == 0
                     ? statistics_json (tierswap->device)
                     : statistics_of (tierswap->device, name);
  char *text;

  if (!json)
    return NULL;
  text = json_dumps (json, JSON_INDENT (2));
  json_decref (json);
  if (!text)
    errno = ENOMEM;
  return text;
}
