/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <linux/nbd-netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "attach/driver.h"

/* libnl has errors of its own and many of the kernel's are one to it, so the
 * kernel's is noted here.
 */
static int
note_error (struct sockaddr_nl *address, struct nlmsgerr *answer, void *opaque)
{
  struct driver *driver = opaque;

  (void) address;
  driver->error = -answer->error;
  return -NLE_FAILURE;
}

int
driver_open (struct driver *driver, struct why *why)
{
  int r;

  *driver = (struct driver){ .netlink = nl_socket_alloc () };
  if (!driver->netlink)
    return why_set (why, ENOMEM, "out of memory");
  r = genl_connect (driver->netlink);
  if (r < 0) {
    driver_close (driver);
    return why_set (why, EIO, "netlink: %s", nl_geterror (r));
  }
  driver->family = genl_ctrl_resolve (driver->netlink, NBD_GENL_FAMILY_NAME);
  if (driver->family < 0) {
    driver_close (driver);
    return why_set (why, ENODEV,
                    "the kernel's nbd driver is not loaded: modprobe nbd");
  }
  nl_socket_modify_err_cb (driver->netlink, NL_CB_CUSTOM, note_error, driver);
  return 0;
}

void
driver_close (struct driver *driver)
{
  nl_socket_free (driver->netlink);
  driver->netlink = NULL;
}

static struct nl_msg *
begin (struct driver *driver, uint8_t command, unsigned index)
{
  struct nl_msg *message = nlmsg_alloc ();

  if (message
      && (!genlmsg_put (message, NL_AUTO_PORT, NL_AUTO_SEQ, driver->family, 0,
                        0, command, NBD_GENL_VERSION)
          || nla_put_u32 (message, NBD_ATTR_INDEX, index) < 0)) {
    nlmsg_free (message);
    message = NULL;
  }
  return message;
}

static int
put_sockets (struct nl_msg *message, const int *fds, unsigned count)
{
  struct nlattr *list = nla_nest_start (message, NBD_ATTR_SOCKETS), *item;

  if (!list)
    return -1;
  for (unsigned i = 0; i < count; ++i) {
    item = nla_nest_start (message, NBD_SOCK_ITEM);
    if (!item || nla_put_u32 (message, NBD_SOCK_FD, (uint32_t) fds[i]) < 0)
      return -1;
    nla_nest_end (message, item);
  }
  nla_nest_end (message, list);
  return 0;
}

static int
put_connection (struct nl_msg *message, const struct driver_connection *c)
{
  if ((c->timeout > 0
       && nla_put_u64 (message, NBD_ATTR_TIMEOUT, c->timeout) < 0)
      || nla_put_u64 (message, NBD_ATTR_DEAD_CONN_TIMEOUT, c->patience) < 0)
    return -1;
  if (c->backend[0] == '\0')
    return 0;
  return nla_put_string (message, NBD_ATTR_BACKEND_IDENTIFIER, c->backend) < 0
             ? -1
             : 0;
}

/* Sends and frees the message, and waits for the answer. */
static int
carry_out (struct driver *driver, struct nl_msg *message)
{
  int r;

  driver->error = 0;
  r = nl_send_sync (driver->netlink, message);
  if (r >= 0)
    return 0;
  errno = driver->error ? driver->error : EIO;
  return -1;
}

static int
refused (unsigned index, const char *what, struct why *why)
{
  switch (errno) {
  case EPERM:
    return why_set (why, EPERM,
                    "/dev/nbd%u cannot be %s: this needs root (CAP_SYS_ADMIN)",
                    index, what);
  case EBUSY:
    return why_set (why, EBUSY,
                    "/dev/nbd%u cannot be %s: somebody has it open, or it is "
                    "connected already",
                    index, what);
  default:
    return why_set (why, errno,
                    "/dev/nbd%u cannot be %s: %s; dmesg may tell more", index,
                    what, strerror (errno));
  }
}

int
driver_connect (struct driver *driver, unsigned index,
                const struct driver_connection *c, const int *fds,
                unsigned count, struct why *why)
{
  struct nl_msg *message = begin (driver, NBD_CMD_CONNECT, index);

  if (!message || nla_put_u64 (message, NBD_ATTR_SIZE_BYTES, c->size) < 0
      || nla_put_u64 (message, NBD_ATTR_BLOCK_SIZE_BYTES, c->block_bytes) < 0
      || nla_put_u64 (message, NBD_ATTR_SERVER_FLAGS, c->flags) < 0
      || put_connection (message, c) == -1
      || put_sockets (message, fds, count) == -1) {
    nlmsg_free (message);
    return why_set (why, ENOMEM, "out of memory");
  }
  return carry_out (driver, message) == -1 ? refused (index, "connected", why)
                                           : 0;
}

/* The driver answers the same whether it used the socket or not.  But it gives
 * its own timeout to one that it uses.  One that cannot be told of is given up:
 * it must not be given to the driver twice.
 */
static bool
is_taken (int fd)
{
  struct timeval timeout = { 0, 0 };
  socklen_t length = sizeof timeout;

  if (getsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &length) == -1)
    return true;
  return timeout.tv_sec != 0 || timeout.tv_usec != 0;
}

int
driver_reconnect (struct driver *driver, unsigned index,
                  const struct driver_connection *c, int fd, bool *taken,
                  struct why *why)
{
  struct nl_msg *message = begin (driver, NBD_CMD_RECONFIGURE, index);

  if (!message || put_connection (message, c) == -1
      || put_sockets (message, &fd, 1) == -1) {
    nlmsg_free (message);
    return why_set (why, ENOMEM, "out of memory");
  }
  if (carry_out (driver, message) == -1)
    return refused (index, "reconnected", why);
  *taken = is_taken (fd);
  return 0;
}

int
driver_set_times (struct driver *driver, unsigned index,
                  const struct driver_connection *c, struct why *why)
{
  struct nl_msg *message = begin (driver, NBD_CMD_RECONFIGURE, index);

  if (!message || put_connection (message, c) == -1) {
    nlmsg_free (message);
    return why_set (why, ENOMEM, "out of memory");
  }
  return carry_out (driver, message) == -1
             ? refused (index, "given another timeout", why)
             : 0;
}

int
driver_disconnect (struct driver *driver, unsigned index, struct why *why)
{
  struct nl_msg *message = begin (driver, NBD_CMD_DISCONNECT, index);

  if (!message)
    return why_set (why, ENOMEM, "out of memory");
  return carry_out (driver, message) == -1
             ? refused (index, "disconnected", why)
             : 0;
}
