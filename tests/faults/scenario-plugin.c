/* SPDX-License-Identifier: BSD-3-Clause */
/* The nbdkit plugin, as nbdkit calls it: from its words to its end.  What
 * nbdkit has for plugins is here in its place.
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "scenario.h"
#include "store/codec.h"
#include "workload.h"

extern struct nbdkit_plugin *plugin_init (void);

/* ---- nbdkit's side ---- */

static const char *export_name = "";

void
nbdkit_error (const char *format, ...)
{
  char text[200];
  va_list args;

  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  note_message (text);
}

void
nbdkit_debug (const char *format, ...)
{
  (void) format;
}

char *
nbdkit_absolute_path (const char *path)
{
  return strdup (path);
}

int
nbdkit_parse_bool (const char *text)
{
  return strcmp (text, "true") == 0;
}

static int ends[2]; /* of a connection: the server's, and the client's */

int
nbdkit_peer_name (struct sockaddr *address, socklen_t *length)
{
  return getpeername (ends[0], address, length);
}

int64_t
nbdkit_peer_uid (void)
{
  return geteuid ();
}

int
nbdkit_is_tls (void)
{
  return 0;
}

const char *
nbdkit_export_name (void)
{
  return export_name;
}

const char *
nbdkit_strdup_intern (const char *text)
{
  return text[0] ? "interned" : "";
}

int
nbdkit_add_export (struct nbdkit_exports *exports, const char *name,
                   const char *description)
{
  (void) exports;
  (void) description;
  return name ? 0 : -1;
}

int
nbdkit_add_extent (struct nbdkit_extents *extents, uint64_t offset,
                   uint64_t length, uint32_t type)
{
  (void) extents;
  (void) offset;
  (void) length;
  (void) type;
  return 0;
}

/* ---- */

static struct nbdkit_plugin *plugin;
static void *handle; /* of a connection to the device */

static int
send_to_plugin (enum request kind, unsigned first, unsigned count, void *buffer)
{
  uint64_t offset = (uint64_t) first * PAGE_BYTES;
  uint32_t bytes = count * PAGE_BYTES;

  switch (kind) {
  case READ:
    return plugin->pread (handle, buffer, bytes, offset, 0);
  case WRITE:
    return plugin->pwrite (handle, buffer, bytes, offset, 0);
  case TRIM:
    return plugin->trim (handle, bytes, offset, 0);
  case ZERO:
    return plugin->zero (handle, bytes, offset, 0);
  case PATCH:
    return plugin->pwrite (handle, buffer, 8, offset, 0);
  }
  return -1;
}

/* A client that is refused comes again. */
static void *
connect_to (const char *name)
{
  unsigned tries = 0;
  void *connection;

  export_name = name;
  while (!(connection = plugin->open (0))) {
    if (tries == 0)
      failed (&result->requests, "open");
    if (!worth_another_try (&tries)) {
      bad ("no client can connect any more");
      break;
    }
  }
  return connection;
}

static void
use_text (const char *name)
{
  void *connection = connect_to (name);
  char byte;

  if (!connection)
    return;
  if (plugin->get_size (connection) == 0
      || plugin->pread (connection, &byte, 1, 0, 0) == -1 || byte != '{')
    bad ("the text of an export is wrong");
  plugin->export_description (connection);
  plugin->close (connection);
}

static void
serve (void)
{
  handle = connect_to ("");
  if (!handle)
    return;
  workload_send_by (send_to_plugin);
  write_pages (0, PAGES);
  insist (TRIM, 32, 16, NULL);
  forget_pages (32, 16);
  check_pages ();
  plugin->export_description (handle);
  if (plugin->extents (handle, 1 << 20, 0, 0, NULL) == -1)
    failed (&result->requests, "extents");
  if (plugin->list_exports (0, 0, NULL) == -1)
    failed (&result->requests, "list of exports");
  use_text ("stats");
  use_text ("fast");
  export_name = "nothing";
  if (plugin->open (0))
    bad ("there is an export that is none");
  check_pages ();
  plugin->close (handle);
}

static void
be_nbdkit (void)
{
  char path[128];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
    abort ();
  plugin = plugin_init ();
  plugin->load ();
  if (plugin->config ("conf", conf) == -1
      || plugin->config ("control", in_folder ("control", path)) == -1
      || (own_mounts && access ("/dev/fuse", R_OK | W_OK) == 0
          && plugin->config ("fuse", in_folder ("fuse", path)) == -1)
      || plugin->config_complete () == -1)
    refused ("words");
  else if (plugin->get_ready () == -1 || plugin->after_fork () == -1)
    refused ("start");
  else
    serve ();
  plugin->cleanup ();
  plugin->unload ();
  close (ends[0]);
  close (ends[1]);
}

static void
prepare (void)
{
  write_conf ("conf", 0);
}

const struct scenario plugin_exports = {
  .name = "plugin",
  .phases = { { be_nbdkit, true, false } },
  .prepare = prepare,
};
