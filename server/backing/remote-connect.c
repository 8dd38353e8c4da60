/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of a remote backing: making them, judging the export, losing
 * them.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>

#include "backing/janitor.h"
#include "backing/remote-internal.h"
#include "common/message.h"

#define RETRY_EVERY SECOND
#define MORE_TIME (3 * SECOND) /* for connections beside the first */

void
remote_close_connections (struct remote *remote)
{
  while (remote->connections_count > 0) {
    struct connection *c = &remote->connections[--remote->connections_count];

    nbd_close (c->nbd);
    c->nbd = NULL;
    c->bytes = 0;
  }
}

/* What libnbd said last on this thread. */
static const char *
nbd_reason (void)
{
  const char *reason = nbd_get_error ();

  return reason ? reason : "the connection was closed";
}

void
remote_lose (struct remote *remote, const char *reason)
{
  uint64_t now = now_nanoseconds ();
  struct request *request, *unsent;
  char why[sizeof remote->reason];
  bool writes;

  /* It is libnbd's, and may not outlive the handle. */
  snprintf (why, sizeof why, "%s", reason);
  pthread_mutex_lock (&remote->lock);
  remote->connected = false;
  unsent = remote->submitted;
  remote->submitted = NULL;
  remote->submitted_end = &remote->submitted;
  /* One that is not settled is paused already, and its janitor looks after it;
   * or it is being opened again, and has neither extents nor a janitor yet.
   * Who writes has come after that.
   */
  writes = remote_has_writes (remote);
  if (writes)
    extents_pause (remote->backing->extents, true);
  if (writes || remote->settled_at != 0)
    remote->settled_at = NEVER;
  pthread_mutex_unlock (&remote->lock);
  if (writes)
    janitor_kick (remote->backing->janitor);

  remote_close_connections (remote);
  remote->phase = APART;
  remote->retry_at = now;
  remote->was_lost = true;
  remote->told_refused = false;
  remote_answer_all (remote);
  while ((request = unsent) != NULL) {
    unsent = request->next;
    remote_answer (remote, request, ENODEV);
  }
  remote_leave_queues (remote);
  /* Last: who reads it may be slow. */
  message (MESSAGE_WARNING,
           "backing %s lost its server (%s); what is stored there cannot be "
           "read until it is back",
           remote->backing->name, why);
}

static void
give_up (struct remote *remote, int error, const char *reason, bool refused)
{
  bool tell = refused && remote->was_lost && !remote->told_refused;

  pthread_mutex_lock (&remote->lock);
  remote->error = error ? error : EIO;
  remote->refused = refused;
  snprintf (remote->reason, sizeof remote->reason, "%s", reason);
  remote->has_tried = true;
  pthread_cond_broadcast (&remote->tried);
  pthread_mutex_unlock (&remote->lock);

  if (tell) {
    message (MESSAGE_WARNING,
             "backing %s cannot use what its server has now: %s",
             remote->backing->name, reason);
    remote->told_refused = true;
  }
  remote_close_connections (remote);
  remote->phase = APART;
  remote->retry_at = now_nanoseconds () + RETRY_EVERY;
}

/* One more connection.  nbd_get_errno and nbd_get_error tell what is wrong
 * if it cannot even begin.
 */
static int
add_connection (struct remote *remote)
{
  struct connection *c = &remote->connections[remote->connections_count];

  c->nbd = nbd_create ();
  if (c->nbd == NULL)
    return -1;
  if (nbd_set_uri_allow_local_file (c->nbd, true) == -1
      || nbd_set_pread_initialize (c->nbd, false) == -1
      || nbd_aio_connect_uri (c->nbd, remote->backing->place) == -1) {
    nbd_close (c->nbd);
    c->nbd = NULL;
    return -1;
  }
  c->bytes = 0;
  remote->connections_count++;
  return 0;
}

void
remote_begin_connecting (struct remote *remote)
{
  uint64_t time = remote->backing->deadline;

  if (add_connection (remote) == -1) {
    int error = nbd_get_errno ();

    /* A URI that makes no sense now will not do so later. */
    give_up (remote, error, nbd_reason (), error == EINVAL);
    return;
  }
  remote->phase = CONNECTING;
  remote->has_more = false;
  remote->give_up_at
      = now_nanoseconds () + (time < CONNECT_TIME ? time : CONNECT_TIME);
}

/* Whether the export will do.  Learn what there is to know about it. */
static bool
check_export (struct remote *remote, struct nbd_handle *nbd)
{
  int64_t size = nbd_get_size (nbd);
  int64_t minimum = nbd_get_block_size (nbd, LIBNBD_SIZE_MINIMUM);
  int64_t maximum = nbd_get_block_size (nbd, LIBNBD_SIZE_MAXIMUM);
  uint64_t needed;
  char reason[128];

  pthread_mutex_lock (&remote->lock);
  needed = remote->needed;
  if (size > 0)
    remote->size = size;
  pthread_mutex_unlock (&remote->lock);

  if (size == -1) {
    give_up (remote, nbd_get_errno (), nbd_reason (), false);
    return false;
  }
  if (nbd_is_read_only (nbd) == 1) {
    give_up (remote, EROFS, "the export is read-only", true);
    return false;
  }
  if (minimum > BACKING_ALIGNMENT) {
    snprintf (reason, sizeof reason,
              "the export wants requests of at least %lld bytes, not %d",
              (long long) minimum, BACKING_ALIGNMENT);
    give_up (remote, EINVAL, reason, true);
    return false;
  }
  if (maximum > 0 && maximum < BACKING_ALIGNMENT) {
    snprintf (reason, sizeof reason,
              "the export takes requests of at most %lld bytes, not %d",
              (long long) maximum, BACKING_ALIGNMENT);
    give_up (remote, EINVAL, reason, true);
    return false;
  }
  if ((uint64_t) size < needed) {
    snprintf (reason, sizeof reason,
              "the export has %lld bytes, at least %llu are needed",
              (long long) size, (unsigned long long) needed);
    give_up (remote, ENOSPC, reason, true);
    return false;
  }
  remote->piece = EXTENT_BYTES;
  if (maximum > 0 && (uint64_t) maximum < remote->piece)
    remote->piece = maximum - maximum % BACKING_ALIGNMENT;
  remote->can_trim = nbd_can_trim (nbd) == 1;
  return true;
}

static void
begin_working (struct remote *remote)
{
  bool tell;

  pthread_mutex_lock (&remote->lock);
  tell = remote->was_lost || remote->missing;
  remote->missing = false;
  remote->error = 0;
  remote->connected = true;
  remote->has_tried = true;
  if (remote->settled_at == NEVER)
    remote->settled_at = now_nanoseconds () + remote->backing->deadline;
  pthread_cond_broadcast (&remote->tried);
  pthread_mutex_unlock (&remote->lock);

  remote->phase = CONNECTED;
  remote->was_lost = false;
  if (tell)
    message (MESSAGE_NOTICE, "backing %s is connected to its server",
             remote->backing->name);
}

/* The first connection shows what the export is and whether there may be
 * more.  Work begins when each of these is ready or has failed.
 */
void
remote_go_on_connecting (struct remote *remote)
{
  unsigned i;

  for (i = 0; i < remote->connections_count; ++i)
    if (!nbd_aio_is_ready (remote->connections[i].nbd))
      return;
  if (!remote->has_more) {
    struct nbd_handle *nbd = remote->connections[0].nbd;

    if (!check_export (remote, nbd))
      return;
    if (nbd_can_multi_conn (nbd) == 1) {
      while (remote->connections_count < CONNECTIONS
             && add_connection (remote) == 0)
        ;
      remote->has_more = true;
      remote->give_up_at = now_nanoseconds () + MORE_TIME;
      if (remote->connections_count > 1)
        return;
    }
  }
  begin_working (remote);
}

/* Do without connection I, which is not the first. */
static void
drop_connection (struct remote *remote, unsigned i)
{
  struct connection *c = remote->connections;

  nbd_close (c[i].nbd);
  c[i] = c[--remote->connections_count];
  c[remote->connections_count].nbd = NULL;
}

void
remote_bury_connection (struct remote *remote, unsigned i)
{
  if (remote->phase == CONNECTED)
    remote_lose (remote, nbd_reason ());
  else if (i == 0)
    give_up (remote, nbd_get_errno (), nbd_reason (), false);
  else
    drop_connection (remote, i);
}

/* Some servers let further connections wait for ever. */
void
remote_stop_connecting (struct remote *remote)
{
  unsigned i;

  if (!remote->has_more) {
    give_up (remote, ETIMEDOUT, "the server does not answer", false);
    return;
  }
  for (i = remote->connections_count; i-- > 1;)
    if (!nbd_aio_is_ready (remote->connections[i].nbd))
      drop_connection (remote, i);
  begin_working (remote);
}
