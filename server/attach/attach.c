/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/swap.h"
#include "attach/watch.h"
#include "common/protect.h"
#include "control/human.h"

#define BACKEND_PREFIX "tierswap-"

#define WARM_HEAP (256 << 10)

/* Somebody who only looks at the disk, as udev does, is soon done. */
#define LOOKS 100
#define A_LOOK 50000000 /* nanoseconds */

static void
pause_for (long nanoseconds)
{
  const struct timespec time
      = { nanoseconds / 1000000000, nanoseconds % 1000000000 };

  nanosleep (&time, NULL);
}

void
attach_protect (void)
{
  char failed[PROTECT_ROOM];

  if (!protect_process (&(struct protection){ .heap = WARM_HEAP }, failed))
    fprintf (stderr,
             "tierswapctl: warning: not protected against running out of "
             "memory: %s\n",
             failed);
}

int
attachment_open (struct attachment *a, const char *path,
                 const struct options *options, struct why *why)
{
  *a = (struct attachment){ .options = options, .spare = -1 };
  if (geteuid () != 0)
    return why_set (why, EPERM, "%s: this needs root", path);
  if (disk_find (&a->disk, path, why) == -1)
    return -1;
  return driver_open (&a->driver, why);
}

void
attachment_close (struct attachment *a)
{
  if (a->spare != -1)
    handshake_close (a->spare);
  driver_close (&a->driver);
}

static int
check_is_free (const struct attachment *a, struct why *why)
{
  long owner = disk_owner (&a->disk);
  struct swap_usage usage;

  if (swap_get_usage (a->disk.number, &usage, why) == -1)
    return -1;
  if (usage.on)
    return why_set (why, EBUSY,
                    "%s is swapped on already: detach it first, or take "
                    "another device",
                    a->disk.path);
  if (owner != 0)
    return why_set (why, EBUSY,
                    "%s is connected already, by process %ld: detach it "
                    "first, or take another device",
                    a->disk.path, owner);
  return 0;
}

int
attach_check_export (const char *socket, const struct handshake_export *export,
                     struct why *why)
{
  char size[HUMAN_ROOM];

  if (export->flags & HANDSHAKE_READ_ONLY)
    return why_set (why, EROFS, "socket %s: the server is read-only", socket);
  if (export->minimum_block > SWAP_PAGE)
    return why_set (why, EINVAL,
                    "socket %s: the server takes blocks of %u bytes, and "
                    "pages have 4096",
                    socket, export->minimum_block);
  if (export->size / SWAP_PAGE < SWAP_LEAST_PAGES)
    return why_set (why, EINVAL,
                    "socket %s: the server's device has %s, and a swap area "
                    "takes 40 KiB",
                    socket, human_bytes (export->size, size));
  return 0;
}

/* What identifies the swap area that a server has, "": it has none. */
static int
backend_of (int fd, const char *socket, char backend[DISK_BACKEND_ROOM],
            struct why *why)
{
  unsigned char page[SWAP_PAGE];
  char uuid[SWAP_UUID_ROOM];
  struct why inner;

  backend[0] = '\0';
  if (handshake_read (fd, page, sizeof page, 0, &inner) == -1)
    return why_set (why, errno, "socket %s: %s", socket, inner.text);
  if (swap_read_header (page, uuid)) {
    strcpy (backend, BACKEND_PREFIX);
    strcat (backend, uuid);
  }
  return 0;
}

int
attach_disk_of_server (const char *socket, struct why *why)
{
  const struct disk none = { .index = UINT_MAX };
  struct handshake_export export;
  char backend[DISK_BACKEND_ROOM];
  int fd = handshake_connect (socket, &export, why), index = -2, saved_errno;

  if (fd == -1)
    return -2;
  if (backend_of (fd, socket, backend, why) == 0)
    index = backend[0] ? disk_of_backend (&none, backend, why) : -1;
  saved_errno = errno;
  handshake_close (fd);
  errno = saved_errno;
  return index;
}

/* A swap area that is in use must not be made anew by another disk. */
static int
check_not_attached (const struct attachment *a, int fd, struct why *why)
{
  char backend[DISK_BACKEND_ROOM];
  int other;

  if (backend_of (fd, a->options->socket, backend, why) == -1)
    return -1;
  other = backend[0] ? disk_of_backend (&a->disk, backend, why) : -1;
  if (other == -2)
    return -1;
  if (other != -1)
    return why_set (why, EBUSY,
                    "socket %s: the server is attached already, as "
                    "/dev/nbd%d",
                    a->options->socket, other);
  return 0;
}

/* The kernel has a reference of its own. */
static void
let_go (const struct attachment *a, int fd)
{
  if (a->links)
    links_add (a->links, fd);
  else
    close (fd);
}

static unsigned
connections_wanted (const struct attachment *a, uint16_t flags)
{
  long n = a->options->connections;

  if (n == 0 && !(flags & HANDSHAKE_MULTI_CONN))
    return 1;
  if (n == 0)
    n = sysconf (_SC_NPROCESSORS_ONLN);
  if (n < 1)
    n = 1;
  return n > OPTIONS_MOST_CONNECTIONS ? OPTIONS_MOST_CONNECTIONS : (unsigned) n;
}

static void
close_all (const int *fds, unsigned count)
{
  for (unsigned i = 0; i < count; ++i)
    close (fds[i]);
}

/* Fill FDS, *COUNT of them, with connections past the handshake. */
static int
open_all (const struct attachment *a, int *fds, unsigned *count,
          struct handshake_export *export, struct why *why)
{
  const char *socket = a->options->socket;
  struct handshake_export other;
  unsigned wanted;
  int saved_errno;

  fds[0] = handshake_connect (socket, export, why);
  if (fds[0] == -1)
    return -1;
  wanted = connections_wanted (a, export->flags);
  *count = 1;
  if (wanted > 1 && !(export->flags & HANDSHAKE_MULTI_CONN))
    why_set (why, EINVAL,
             "socket %s: the server allows one connection only: leave "
             "connections out",
             socket);
  else if (attach_check_export (socket, export, why) == 0
           && check_not_attached (a, fds[0], why) == 0) {
    while (*count < wanted
           && (fds[*count] = handshake_connect (socket, &other, why)) != -1)
      ++*count;
    if (*count == wanted)
      return 0;
  }
  saved_errno = errno;
  close_all (fds, *count);
  errno = saved_errno;
  return -1;
}

static int
connect_disk (struct attachment *a, const struct driver_connection *connection,
              const int *fds, unsigned count, struct why *why)
{
  for (int look = 0;; ++look) {
    if (driver_connect (&a->driver, a->disk.index, connection, fds, count, why)
        == 0)
      return 0;
    if (errno != EBUSY || disk_owner (&a->disk) != 0 || look == LOOKS)
      return -1;
    pause_for (A_LOOK);
  }
}

static int
disconnect_disk (struct attachment *a, struct why *why)
{
  if (driver_disconnect (&a->driver, a->disk.index, why) == -1)
    return -1;
  for (int look = 0; disk_owner (&a->disk) != 0 && look < LOOKS; ++look)
    pause_for (A_LOOK);
  return 0;
}

static int
swap_on_disk (struct attachment *a, uint64_t size, const char *uuid,
              struct why *why)
{
  if (swap_make (a->disk.path, size, uuid, why) == -1)
    return -1;
  watch_disk_if_possible (a->options->control, a->disk.number, true);
  return swap_on (a->disk.path, (int) a->options->priority, why);
}

int
attachment_attach (struct attachment *a, unsigned *connections, struct why *why)
{
  char uuid[SWAP_UUID_ROOM],
      backend[sizeof BACKEND_PREFIX + SWAP_UUID_ROOM] = BACKEND_PREFIX;
  int fds[OPTIONS_MOST_CONNECTIONS], r;
  struct handshake_export export;
  struct why ignored;

  if (check_is_free (a, why) == -1 || swap_new_uuid (uuid, why) == -1
      || open_all (a, fds, connections, &export, why) == -1)
    return -1;
  strcat (backend, uuid);
  export.size -= export.size % SWAP_PAGE;
  r = connect_disk (
      a,
      &(struct driver_connection){ .size = export.size,
                                   .block_bytes = SWAP_PAGE,
                                   .flags = export.flags,
                                   .timeout = (uint64_t) a->options->timeout,
                                   .patience = (uint64_t) a->options->patience,
                                   .backend = backend },
      fds, *connections, why);
  if (r == -1) {
    close_all (fds, *connections);
    return -1;
  }
  for (unsigned i = 0; i < *connections; ++i)
    let_go (a, fds[i]);
  if (swap_on_disk (a, export.size, uuid, why) == -1) {
    r = errno;
    watch_disk_if_possible (a->options->control, a->disk.number, false);
    disconnect_disk (a, &ignored);
    errno = r;
    return -1;
  }
  return 0;
}

/* *MISSING: bytes that there is no room for. */
static int
check_room (const struct attachment *a, uint64_t *missing, struct why *why)
{
  char used[HUMAN_ROOM], memory[HUMAN_ROOM], elsewhere[HUMAN_ROOM],
      lacks[HUMAN_ROOM];
  struct swap_usage usage;

  if (swap_get_usage (a->disk.number, &usage, why) == -1)
    return -1;
  *missing = a->options->force ? 0 : swap_missing (&usage);
  if (*missing == 0)
    return 0;
  return why_set (why, ENOMEM,
                  "%s stays attached: %s are swapped out to it, and there are "
                  "only %s of memory and %s of other swap for them: %s are "
                  "missing; end programs, add swap, or try with --force",
                  a->disk.path, human_bytes (usage.used, used),
                  human_bytes (usage.memory_free, memory),
                  human_bytes (usage.elsewhere, elsewhere),
                  human_bytes (*missing, lacks));
}

static int
swap_off_disk (struct attachment *a, struct why *why)
{
  uint64_t missing = 0;

  for (long waited = 0;; ++waited) {
    if (check_room (a, &missing, why) == 0
        && swap_off (a->disk.path, a->disk.number, why) == 0)
      return 0;
    if (errno != ENOMEM || waited >= a->options->wait)
      return -1;
    pause_for (999999999);
  }
}

int
attachment_detach (struct attachment *a, struct why *why)
{
  struct swap_usage usage;

  if (swap_get_usage (a->disk.number, &usage, why) == -1)
    return -1;
  if (!usage.on && disk_owner (&a->disk) == 0)
    return why_set (why, EINVAL, "%s is not attached", a->disk.path);
  if (!usage.on)
    switch (disk_is_claimed (&a->disk, why)) {
    case 0:
      break;
    case 1:
      return why_set (why, EBUSY,
                      "%s is in use, but not as swap: unmount it first",
                      a->disk.path);
    default:
      return -1;
    }
  if (usage.on && swap_off_disk (a, why) == -1)
    return -1;
  watch_disk_if_possible (a->options->control, a->disk.number, false);
  return disk_owner (&a->disk) == 0 ? 0 : disconnect_disk (a, why);
}

int
attachment_find (struct attachment *a, bool *swapped, struct why *why)
{
  char backend[DISK_BACKEND_ROOM];
  struct swap_usage usage;

  if (swap_get_usage (a->disk.number, &usage, why) == -1)
    return -1;
  *swapped = usage.on && disk_owner (&a->disk) != 0;
  if (usage.on || disk_owner (&a->disk) == 0)
    return 0;
  if (disk_backend (a->disk.index, backend, why) == -1)
    return -1;
  if (strncmp (backend, BACKEND_PREFIX, strlen (BACKEND_PREFIX)) != 0)
    return 0;
  return attachment_detach (a, why);
}

/* Whether the server behind FD has what the disk had. */
static int
check_same_pages (struct attachment *a, int fd, struct why *why)
{
  char known[DISK_BACKEND_ROOM], found[DISK_BACKEND_ROOM];
  struct swap_usage usage;

  if (backend_of (fd, a->options->socket, found, why) == -1
      || swap_get_usage (a->disk.number, &usage, why) == -1
      || disk_backend (a->disk.index, known, why) == -1)
    return -1;
  if (strncmp (known, BACKEND_PREFIX, strlen (BACKEND_PREFIX)) == 0
          ? strcmp (known, found) == 0
          : !usage.on || found[0] != '\0')
    return 0;
  return why_set (why, ESTALE,
                  "socket %s: the server does not have what was swapped out to "
                  "%s, and programs would find zeros in its place; start it "
                  "with the pool.state that it had",
                  a->options->socket, a->disk.path);
}

static int
check_same_size (const struct attachment *a, uint64_t size, struct why *why)
{
  char disk[HUMAN_ROOM], server[HUMAN_ROOM];
  uint64_t needed;

  if (disk_owner (&a->disk) == 0)
    return 0;
  if (disk_size (&a->disk, &needed, why) == -1)
    return -1;
  if (size >= needed)
    return 0;
  return why_set (why, ESTALE,
                  "socket %s: the server has %s, and %s was connected with %s",
                  a->options->socket, human_bytes (size, server), a->disk.path,
                  human_bytes (needed, disk));
}

int
attachment_meet (struct attachment *a, struct why *why)
{
  struct handshake_export export;
  int fd, saved_errno;

  if (a->spare != -1)
    return 0;
  fd = handshake_connect (a->options->socket, &export, why);
  if (fd == -1)
    return -1;
  if (attach_check_export (a->options->socket, &export, why) == -1
      || check_same_size (a, export.size, why) == -1
      || check_same_pages (a, fd, why) == -1) {
    saved_errno = errno;
    handshake_close (fd);
    errno = saved_errno;
    return -1;
  }
  /* Before the kernel writes to it.  The one before may have been another. */
  if (disk_owner (&a->disk) != 0)
    watch_disk_if_possible (a->options->control, a->disk.number, true);
  a->spare = fd;
  return 0;
}

/* What a connected disk can be told anew; its backend is kept in TEXT. */
static int
get_times (const struct attachment *a, char text[DISK_BACKEND_ROOM],
           struct driver_connection *connection, struct why *why)
{
  *connection = (struct driver_connection){
    .timeout = a->times_stay ? 0 : (uint64_t) a->options->timeout,
    .patience = (uint64_t) a->options->patience,
    .backend = text,
  };
  return disk_backend (a->disk.index, text, why);
}

int
attachment_hurry (struct attachment *a, unsigned timeout, struct why *why)
{
  char backend[DISK_BACKEND_ROOM];
  struct driver_connection connection;

  if (get_times (a, backend, &connection, why) == -1)
    return -1;
  connection.timeout = timeout;
  return driver_set_times (&a->driver, a->disk.index, &connection, why);
}

int
attachment_reconnect (struct attachment *a, struct why *why)
{
  char backend[DISK_BACKEND_ROOM];
  struct driver_connection connection;
  int count = 0;
  bool taken;

  if (disk_owner (&a->disk) == 0)
    return why_set (why, ENOTCONN, "%s is not connected: attach it",
                    a->disk.path);
  if (get_times (a, backend, &connection, why) == -1)
    return -1;
  for (;;) {
    if (attachment_meet (a, why) == -1
        || driver_reconnect (&a->driver, a->disk.index, &connection, a->spare,
                             &taken, why)
               == -1)
      return -1;
    if (!taken)
      return count;
    let_go (a, a->spare);
    a->spare = -1;
    a->replaced++;
    count++;
  }
}
