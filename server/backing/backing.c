/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backing/cipher.h"
#include "backing/file.h"
#include "backing/internal.h"
#include "backing/janitor.h"
#include "backing/remote.h"
#include "common/message.h"
#include "common/refuse.h"

void
backing_reference (struct backing *backing)
{
  atomic_fetch_add (&backing->references, 1);
}

void
backing_unreference (struct backing *backing)
{
  if (atomic_fetch_sub (&backing->references, 1) != 1)
    return;
  if (backing->fd != -1)
    close (backing->fd); /* and unlocks it */
  cipher_destroy (backing->cipher);
  extents_destroy (backing->extents);
  pthread_mutex_destroy (&backing->resize);
  free (backing->place);
  free (backing->name);
  free (backing);
}

/* What is left of opening once the place itself is open. */
static int
complete_open (struct backing *backing, const struct backing_options *options,
               uint64_t size, char **error)
{
  backing->extents = extents_create (size / EXTENT_BYTES);
  if (backing->extents == NULL)
    return refuse (error, errno,
                   "backing %s: cannot keep account of %llu bytes: %s",
                   backing->name, (unsigned long long) size, strerror (errno));
  if (backing->remote && options->reattach)
    extents_pause (backing->extents, true);
  if (options->encrypt) {
    backing->cipher = cipher_create (options->key);
    if (backing->cipher == NULL)
      return refuse (error, errno, "backing %s: cannot make a key: %s",
                     backing->name, strerror (errno));
  }
  backing->janitor = janitor_start (backing);
  if (backing->janitor == NULL)
    return refuse (error, errno,
                   "backing %s: cannot start its janitor thread: %s",
                   backing->name, strerror (errno));
  return 0;
}

/* Who had it open may have been killed just now: its last requests keep it
 * locked until they have ended.
 */
#define LOCK_PATIENCE 10 /* seconds */
#define LOCK_PAUSE (SECOND / 50)

static int
reattach (const struct backing_options *options, int *fd, char **error)
{
  uint64_t limit = now_nanoseconds () + LOCK_PATIENCE * SECOND;

  while (file_reattach (options, fd, error) == -1) {
    if (errno != EBUSY || now_nanoseconds () >= limit)
      return -1;
    free (*error);
    *error = NULL;
    nanosleep (&(struct timespec){ 0, LOCK_PAUSE }, NULL);
  }
  return 0;
}

/* One that is not open yet; NULL: there is no memory. */
static struct backing *
create (const struct backing_options *options)
{
  struct backing *backing = calloc (1, sizeof *backing);

  if (backing == NULL)
    return NULL;
  pthread_mutex_init (&backing->resize, NULL);
  backing->references = 1;
  backing->fd = -1;
  backing->deadline
      = (options->deadline ? options->deadline : DEFAULT_DEADLINE) * SECOND;
  backing->name = strdup (options->name);
  backing->place = strdup (options->uri ? options->uri : options->path);
  if (backing->name != NULL && backing->place != NULL)
    return backing;
  backing_unreference (backing);
  return NULL;
}

/* Open what is there already, or begin without it. */
static int
open_again (struct backing *backing, const struct backing_options *options,
            char **error)
{
  backing->kind = options->kind;
  backing->identity = options->identity;
  backing->least = options->least;
  if (reattach (options, &backing->fd, error) == 0) {
    backing->may_block = file_may_block (backing->fd, backing->kind);
    return 0;
  }
  message (MESSAGE_WARNING,
           "%s; it is tried again every second, and what is stored there "
           "cannot be read until then",
           *error ? *error : "out of memory");
  free (*error);
  *error = NULL;
  backing->missing = true;
  return 0;
}

int
backing_reopen (struct backing *backing, char **error)
{
  const struct backing_options options
      = { .name = backing->name,
          .path = backing->place,
          .size = backing_extents (backing) * EXTENT_BYTES,
          .kind = backing->kind,
          .least = backing->least,
          .identity = backing->identity };

  *error = NULL;
  if (file_reattach (&options, &backing->fd, error) == -1)
    return -1;
  backing->may_block = file_may_block (backing->fd, backing->kind);
  backing->missing = false;
  return 0;
}

int
backing_open (const struct backing_options *options,
              struct backing **backing_result, char **error)
{
  struct backing *backing;
  uint64_t size;
  int r;

  *error = NULL;
  if ((options->path == NULL) == (options->uri == NULL))
    return refuse (error, EINVAL, "backing %s: give either a path or a uri",
                   options->name);

  backing = create (options);
  if (backing == NULL)
    return refuse (error, ENOMEM, "backing %s: out of memory", options->name);
  if (options->uri) {
    backing->kind = BACKING_NBD;
    r = remote_open (backing, options, &size, error);
  }
  else if (options->reattach) {
    size = options->size;
    r = open_again (backing, options, error);
  }
  else {
    r = file_open (options, &backing->fd, &backing->kind, &size, error);
    if (r == 0) {
      backing->may_block = file_may_block (backing->fd, backing->kind);
      r = file_identity (backing->fd, &backing->identity);
      if (r == -1)
        refuse (error, errno, "backing %s: %s: %s", options->name,
                options->path, strerror (errno));
    }
  }
  if (r == 0)
    r = complete_open (backing, options, size, error);
  if (r == -1) {
    int saved_errno = errno;

    if (backing->remote)
      remote_close (backing->remote);
    backing_unreference (backing);
    errno = saved_errno;
    return -1;
  }
  *backing_result = backing;
  return 0;
}

void
backing_close (struct backing *backing)
{
  if (backing == NULL)
    return;
  janitor_stop (backing->janitor);
  if (backing->remote)
    remote_close (backing->remote);
  backing_unreference (backing);
}

void
backing_set_keep (struct backing *backing, bool keep)
{
  backing->keep = keep;
}

int
backing_restore_extent (struct backing *backing, uint64_t extent)
{
  return extents_restore (backing->extents, extent);
}

int
backing_restored (struct backing *backing, uint64_t mark)
{
  int r = extents_restored (backing->extents, mark);

  janitor_kick (backing->janitor);
  return r;
}

struct backing_identity
backing_identity (const struct backing *backing)
{
  return backing->identity;
}

const unsigned char *
backing_key (const struct backing *backing)
{
  return backing->cipher ? cipher_key (backing->cipher) : NULL;
}

const char *
backing_name (const struct backing *backing)
{
  return backing->name;
}

const char *
backing_place (const struct backing *backing)
{
  return backing->place;
}

enum backing_kind
backing_kind (const struct backing *backing)
{
  return backing->kind;
}

bool
backing_reachable (const struct backing *backing)
{
  return !backing->hung && !backing->missing
         && (backing->remote == NULL || remote_connected (backing->remote));
}

enum backing_state
backing_state (const struct backing *backing)
{
  if (!backing_reachable (backing) || backing->refusing)
    return BACKING_FAILED;
  return backing->draining ? BACKING_DRAINING : BACKING_ONLINE;
}

void
backing_set_draining (struct backing *backing, bool draining)
{
  backing->draining = draining;
}

void
backing_get_counters (const struct backing *backing,
                      struct backing_counters *counters)
{
  *counters = (struct backing_counters){
    .written_bytes = backing->written_bytes,
    .write_ios = backing->write_ios,
    .read_bytes = backing->read_bytes,
    .read_ios = backing->read_ios,
    .io_errors = backing->io_errors,
  };
}

uint64_t
backing_extents (const struct backing *backing)
{
  return extents_capacity (backing->extents);
}

uint64_t
backing_extents_used (const struct backing *backing)
{
  return extents_used (backing->extents);
}

bool
backing_extent_is_used (struct backing *backing, uint64_t extent)
{
  return extents_is_used (backing->extents, extent);
}

static int
grow (struct backing *backing, uint64_t capacity, char **error)
{
  uint64_t bytes = capacity * EXTENT_BYTES;
  uint64_t busy;
  int64_t length = 0;

  switch (backing->kind) {
  case BACKING_FILE:
    length = file_length (backing->fd, backing->kind);
    if (length == -1
        || ((uint64_t) length < bytes && ftruncate (backing->fd, bytes) == -1))
      return refuse (error, errno,
                     "backing %s: cannot make its file %llu bytes "
                     "long: %s",
                     backing->name, (unsigned long long) bytes,
                     strerror (errno));
    break;
  case BACKING_BLOCK:
    length = file_length (backing->fd, backing->kind);
    if (length == -1)
      return refuse (error, errno,
                     "backing %s: cannot tell the size of its device: "
                     "%s",
                     backing->name, strerror (errno));
    if ((uint64_t) length < bytes)
      return refuse (error, ENOSPC,
                     "backing %s: its device has only %lld bytes",
                     backing->name, (long long) length);
    break;
  case BACKING_NBD:
    length = remote_size (backing->remote);
    if (length != 0 && (uint64_t) length < bytes)
      return refuse (error, ENOSPC,
                     "backing %s: its export has only %lld bytes",
                     backing->name, (long long) length);
    remote_set_size (backing->remote, bytes);
    break;
  }
  if (extents_resize (backing->extents, capacity, &busy) == -1)
    return refuse (error, errno,
                   "backing %s: cannot keep account of %llu bytes: %s",
                   backing->name, (unsigned long long) bytes, strerror (errno));
  return 0;
}

static int
shrink (struct backing *backing, uint64_t capacity, char **error)
{
  uint64_t bytes = capacity * EXTENT_BYTES;
  uint64_t busy;

  if (extents_resize (backing->extents, capacity, &busy) == -1)
    return refuse (error, errno,
                   "backing %s: %llu extents (%llu KiB) above the new "
                   "size are in use; drain it first, or keep it larger",
                   backing->name, (unsigned long long) busy,
                   (unsigned long long) busy * EXTENT_BYTES / 1024);
  if (backing->kind == BACKING_NBD)
    remote_set_size (backing->remote, bytes);
  else if (backing->kind == BACKING_FILE
           && ftruncate (backing->fd, bytes) == -1)
    message (MESSAGE_WARNING,
             "backing %s: its file stays longer than the new size: %s",
             backing->name, strerror (errno));
  return 0;
}

int
backing_resize (struct backing *backing, uint64_t size, char **error)
{
  uint64_t capacity = size / EXTENT_BYTES;
  int r = 0;

  *error = NULL;
  if (capacity == 0)
    return refuse (error, EINVAL,
                   "backing %s: a size of %llu bytes is too small, "
                   "give at least %d",
                   backing->name, (unsigned long long) size, EXTENT_BYTES);
  pthread_mutex_lock (&backing->resize);
  if (capacity > backing_extents (backing))
    r = grow (backing, capacity, error);
  else if (capacity < backing_extents (backing))
    r = shrink (backing, capacity, error);
  pthread_mutex_unlock (&backing->resize);
  return r;
}

int64_t
backing_extent_allocate (struct backing *backing)
{
  if (backing_state (backing) != BACKING_ONLINE) {
    errno = EAGAIN;
    return -1;
  }
  return extents_allocate (backing->extents);
}

void
backing_extent_free (struct backing *backing, uint64_t extent)
{
  extents_free (backing->extents, extent);
  janitor_kick (backing->janitor);
}

static void
account_failure (struct backing *backing, enum backing_op op, int error)
{
  backing->io_errors++;
  /* A server that is gone is looked after by its loop. */
  if (backing->remote && (error == ENODEV || error == ETIMEDOUT))
    return;

  if (error == ETIMEDOUT) {
    if (!atomic_exchange (&backing->hung, true)) {
      message (MESSAGE_WARNING,
               "backing %s: a request was not done after %llu seconds; it "
               "counts as failed until it answers again",
               backing->name,
               (unsigned long long) (backing->deadline / SECOND));
      janitor_kick (backing->janitor);
    }
  }
  else if (op == BACKING_WRITE
           && atomic_fetch_add (&backing->failures, 1) == FAILURES_IN_A_ROW - 1
           && !atomic_exchange (&backing->refusing, true)) {
    message (MESSAGE_WARNING,
             "backing %s: %d writes in a row failed (%s); nothing new is "
             "written there until it works again",
             backing->name, FAILURES_IN_A_ROW, strerror (error));
    janitor_kick (backing->janitor);
  }
}

void
backing_account (struct backing *backing, enum backing_op op, size_t length,
                 int error)
{
  if (error)
    account_failure (backing, op, error);
  else if (op == BACKING_READ) {
    backing->read_ios++;
    backing->read_bytes += length;
  }
  else {
    backing->write_ios++;
    backing->written_bytes += length;
    if (backing->failures > 0)
      backing->failures = 0;
  }
}
