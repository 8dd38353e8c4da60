/* SPDX-License-Identifier: BSD-3-Clause */
/* The nbdkit plugin: NBD's callbacks on one side, tierswap.h on the other.
 *
 * Exports: "" is the device.  Every other one ("stats", a tier, a backing) is
 * a read-only text whose content is taken when it is opened, so a client
 * that reads it in pieces gets one consistent piece of JSON.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "fence.h"
#include "tierswap.h"
#include "store/codec.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* Connections at a time, each of which costs threads and their buffers.  The
 * kernel's client opens as many as it is told, four or so.
 */
#define CONNECTIONS_MAXIMUM FENCE_GATES

/* Bytes that the size of a text is a multiple of. */
#define TEXT_ALIGNMENT 4096
#define REQUEST_MAXIMUM (32 * 1024 * 1024) /* bytes, advertised */

/* An answer about extents stops here, so that what a client asks about a
 * fragmented device never costs much memory.  It asks again for the rest.
 */
#define EXTENTS_MAXIMUM 65536

static char *conf;         /* absolute path, or NULL: the embedded default */
static const char *size;   /* NULL: the configuration's */
static char *control;      /* absolute path of the socket, or NULL: none */
static char *fuse;         /* absolute path of the folder, or NULL: none */
static const char *shim;   /* NULL: the configuration's */
static bool insecure;      /* network connections may be without TLS */
static int fuse_read = -1; /* others may read there; -1: not said, they don't */
static _Atomic unsigned connections;
static struct fence fence = FENCE_INITIALIZER;
static struct tierswap *device;

/* A connection: to the device when text is NULL. */
struct handle {
  const char *export; /* lives as long as the connection */
  char *text;
  size_t length;           /* of the text, bytes */
  struct fence_gate *gate; /* of changes to the device */
};

/* nbdkit shows its users errors and nothing else, so everything that a person
 * should see takes that way; the word in front tells what it is.
 */
static void
show_message (enum tierswap_message_kind kind, const char *text)
{
  static const char *const prefix[] = {
    [TIERSWAP_ERROR] = "",
    [TIERSWAP_WARNING] = "warning: ",
    [TIERSWAP_NOTICE] = "notice: ",
  };

  nbdkit_error ("%s%s", prefix[kind], text);
}

static void
plugin_load (void)
{
  tierswap_set_message_sink (show_message);
}

/* Stops the threads while nbdkit and its filters are still whole. */
static void
plugin_cleanup (void)
{
  if (device)
    tierswap_free (device);
  device = NULL;
}

static void
plugin_unload (void)
{
  plugin_cleanup (); /* of a device that was never started */
  free (conf);
  free (control);
  free (fuse);
}

/* What the configuration is refused for, when nbdkit only asks. */
static void
print_refusal (enum tierswap_message_kind kind, const char *text)
{
  if (kind == TIERSWAP_ERROR)
    printf ("tierswap_refuses=%s\n", text);
}

/* For tierswapctl upgrade: "nbdkit --dump-plugin tierswap ..." with the words
 * of a server that runs.  Could the one that is installed now take its place?
 */
static void
dump_successor (void)
{
  long process = 0;

  tierswap_set_message_sink (print_refusal);
  if (tierswap_create (conf, size, &device) == 0
      && tierswap_could_follow (device, &process) == 0)
    printf ("tierswap_could_follow=%ld\n", process);
}

static void
plugin_dump (void)
{
  printf ("tierswap_codecs=");
  for (unsigned kind = 0; kind < CODEC_KINDS; kind++)
    printf ("%s%s", kind > 0 ? " " : "", codec_name (kind));
  printf ("\ntierswap_page_size=%d\n", PAGE_BYTES);
  if (conf)
    dump_successor ();
}

static int
plugin_config (const char *key, const char *value)
{
  if (strcmp (key, "conf") == 0) {
    if (conf) {
      nbdkit_error ("conf is given twice: the second is '%s'", value);
      return -1;
    }
    /* nbdkit changes its directory before the file is read again. */
    conf = nbdkit_absolute_path (value);
    return conf ? 0 : -1;
  }

  if (strcmp (key, "size") == 0) {
    if (size) {
      nbdkit_error ("size is given twice: '%s' and '%s'", size, value);
      return -1;
    }
    size = value;
    return 0;
  }

  if (strcmp (key, "control") == 0) {
    if (control) {
      nbdkit_error ("control is given twice: the second is '%s'", value);
      return -1;
    }
    control = nbdkit_absolute_path (value);
    return control ? 0 : -1;
  }

  if (strcmp (key, "shim") == 0) {
    if (shim) {
      nbdkit_error ("shim is given twice: '%s' and '%s'", shim, value);
      return -1;
    }
    shim = value;
    return 0;
  }

  if (strcmp (key, "insecure") == 0) {
    int r = nbdkit_parse_bool (value);

    insecure = r == 1;
    return r == -1 ? -1 : 0;
  }

  if (strcmp (key, "fuse") == 0) {
    if (fuse) {
      nbdkit_error ("fuse is given twice: the second is '%s'", value);
      return -1;
    }
    fuse = nbdkit_absolute_path (value);
    return fuse ? 0 : -1;
  }

  if (strcmp (key, "fuse-read") == 0) {
    if (strcmp (value, "all") != 0 && strcmp (value, "owner") != 0) {
      nbdkit_error ("fuse-read is 'all' or 'owner', not '%s'", value);
      return -1;
    }
    fuse_read = strcmp (value, "all") == 0;
    return 0;
  }

  nbdkit_error ("unknown parameter '%s': tierswap takes [conf=]FILE, "
                "size=SIZE, control=SOCKET, shim=DEVICE, insecure=true, "
                "fuse=DIR and fuse-read=WHO",
                key);
  return -1;
}

#define plugin_config_help                                                     \
  "[conf=]FILE     The configuration, see tierswap.conf(5)\n"                  \
  "                (default: lz4 at prio 1, zstd at prio 2).\n"                \
  "size=SIZE       Size of the device, such as 8G\n"                           \
  "                (default: the configuration's).\n"                          \
  "control=SOCKET  Where to listen for tierswapctl(8), such as\n"              \
  "                /run/tierswap/control.sock (default: nowhere).\n"           \
  "shim=DEVICE     Where the kernel tells whose pages these are, or bpf\n"     \
  "                (default: the configuration's, or /dev/tierswap-shim).\n"   \
  "insecure=true   Serve network clients without TLS too: everybody there\n"   \
  "                may then read and change what is swapped (default: no).\n"  \
  "fuse=DIR        An empty folder to show the device and its attributes\n"    \
  "                as files in (default: nowhere).\n"                          \
  "fuse-read=WHO   Who may read them, but for the disk: owner or all\n"        \
  "                (default: owner)."

/* Mistakes are told here, while nbdkit still has the user's terminal. */
static int
plugin_config_complete (void)
{
  if (tierswap_create (conf, size, &device) == -1)
    return -1;
  if (shim && tierswap_set_shim (device, shim) == -1)
    return -1;
  if (control && tierswap_set_control (device, control) == -1)
    return -1;
  if (!fuse && fuse_read != -1) {
    nbdkit_error ("fuse-read needs fuse=DIR");
    return -1;
  }
  return fuse ? tierswap_set_fuse (device, fuse, fuse_read == 1) : 0;
}

static int
plugin_get_ready (void)
{
  nbdkit_debug ("device of %" PRIu64 " bytes, configuration %s",
                tierswap_size (device), conf ? conf : "embedded");
  return 0;
}

/* nbdkit, asked to end, refuses every request until its last client is gone,
 * and the kernel would fail what programs ask for.  What has a state is better
 * ended at once: the pages are there for the next server, and the kernel, which
 * only sees connections end, sends to it again what was not answered.
 */
static const int end_signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
#define END_SIGNALS (sizeof end_signals / sizeof end_signals[0])
static struct sigaction nbdkit_ends[END_SIGNALS];

static void
end_at_once (int number, siginfo_t *info, void *context)
{
  if (atomic_load (&connections) > 0)
    _exit (EXIT_SUCCESS);
  for (unsigned i = 0; i < END_SIGNALS; i++)
    if (end_signals[i] == number) {
      if (nbdkit_ends[i].sa_flags & SA_SIGINFO)
        nbdkit_ends[i].sa_sigaction (number, info, context);
      else if (nbdkit_ends[i].sa_handler != SIG_DFL
               && nbdkit_ends[i].sa_handler != SIG_IGN)
        nbdkit_ends[i].sa_handler (number);
    }
}

static void
take_end_signals (void)
{
  struct sigaction action
      = { .sa_sigaction = end_at_once, .sa_flags = SA_SIGINFO };

  for (unsigned i = 0; i < END_SIGNALS; i++)
    sigaction (end_signals[i], &action, &nbdkit_ends[i]);
}

/* Threads, locked memory and the reserve belong to the process that serves,
 * and a fork would lose all three.
 */
static int
plugin_after_fork (void)
{
  if (tierswap_start (device) == -1)
    return -1;
  if (tierswap_has_state (device))
    take_end_signals ();
  return 0;
}

/* Who can connect to a Unix socket is decided by its mode.  A port, also one of
 * this machine alone, is open to everybody, and what is swapped are the secrets
 * of all programs.
 */
static bool
is_trusted (int is_tls)
{
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;

  if (insecure || is_tls == 1)
    return true;
  if (nbdkit_peer_name ((struct sockaddr *) &peer, &length) == -1)
    return false;
  if (peer.ss_family == AF_UNIX)
    return true;
  nbdkit_error ("a network client without TLS is refused: serve with "
                "--tls=require (see nbdkit-tls(1)), or on a Unix socket, or "
                "everybody who reaches the port with insecure=true");
  return false;
}

static int
add_export (struct nbdkit_exports *exports, const char *name)
{
  char *description = tierswap_describe (device, name);
  int r = nbdkit_add_export (exports, name, description);

  free (description);
  return r;
}

static int
plugin_list_exports (int readonly, int is_tls, struct nbdkit_exports *exports)
{
  char *name;
  int r;

  (void) readonly;
  if (!is_trusted (is_tls))
    return -1;
  r = add_export (exports, "");
  for (unsigned i = 0; r == 0 && (name = tierswap_export_name (device, i));
       i++) {
    r = add_export (exports, name);
    free (name);
  }
  return r;
}

static const char *
plugin_default_export (int readonly, int is_tls)
{
  (void) readonly;
  (void) is_tls;
  return "";
}

static void
refuse_export (const char *name)
{
  char *list = NULL;
  size_t length;
  FILE *names = open_memstream (&list, &length);
  char *other;

  if (!names)
    return;
  for (unsigned i = 0; (other = tierswap_export_name (device, i)); i++) {
    fprintf (names, ", '%s'", other);
    free (other);
  }
  fclose (names);
  nbdkit_error ("there is no export '%s'; there are '' (the device)%s", name,
                list ? list : "");
  free (list);
}

/* Take the text of an export: the JSON, then spaces up to a whole number of
 * blocks, then a newline as its last byte.
 */
static int
take_text (struct handle *h)
{
  char *json = tierswap_stats (device, h->export);
  size_t length;

  if (!json) {
    if (errno == ENOENT)
      refuse_export (h->export);
    else
      nbdkit_error ("statistics of '%s': %m", h->export);
    return -1;
  }

  length = strlen (json);
  h->length = (length + TEXT_ALIGNMENT) / TEXT_ALIGNMENT * TEXT_ALIGNMENT;
  h->text = realloc (json, h->length);
  if (!h->text) {
    nbdkit_error ("statistics of '%s': %m", h->export);
    free (json);
    return -1;
  }
  memset (h->text + length, ' ', h->length - length);
  h->text[h->length - 1] = '\n';
  return 0;
}

static struct fence_gate *
join_fence (void)
{
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  struct fence_gate *gate;

  /* With nbdkit -s there may be no peer, but there is no second connection. */
  if (nbdkit_peer_name ((struct sockaddr *) &peer, &length) == -1)
    length = 0;
  gate = fence_join (&fence, (struct sockaddr *) &peer, length, control);
  if (gate && gate->socket == -1)
    nbdkit_debug ("the socket of this connection is not known: what it has "
                  "sent is carried out even when it was given up");
  return gate;
}

static void *
plugin_open (int readonly)
{
  struct handle *h;

  (void) readonly; /* nbdkit itself refuses writes then */
  if (!is_trusted (nbdkit_is_tls ()))
    return NULL;
  if (atomic_fetch_add (&connections, 1) >= CONNECTIONS_MAXIMUM) {
    atomic_fetch_sub (&connections, 1);
    nbdkit_error ("a client is refused: there are %d connections already",
                  CONNECTIONS_MAXIMUM);
    return NULL;
  }
  h = calloc (1, sizeof *h);
  if (h)
    h->export = nbdkit_export_name ();
  else
    nbdkit_error ("calloc: %m");
  if (!h || !h->export || (h->export[0] != '\0' && take_text (h) == -1)
      || (!h->text && !(h->gate = join_fence ()))) {
    free (h);
    atomic_fetch_sub (&connections, 1);
    return NULL;
  }
  return h;
}

static void
plugin_close (void *handle)
{
  struct handle *h = handle;

  if (h->gate)
    fence_leave (&fence, h->gate);
  free (h->text);
  free (h);
  atomic_fetch_sub (&connections, 1);
}

static int64_t
plugin_get_size (void *handle)
{
  struct handle *h = handle;

  return h->text ? h->length : tierswap_size (device);
}

static const char *
plugin_export_description (void *handle)
{
  struct handle *h = handle;
  char *description = tierswap_describe (device, h->export);
  const char *r = description ? nbdkit_strdup_intern (description) : NULL;

  free (description);
  return r;
}

/* Requests of any offset and length are served.  The minimum keeps sane
 * clients from sending the ones that cost a read before the write.
 */
static int
plugin_block_size (void *handle, uint32_t *minimum, uint32_t *preferred,
                   uint32_t *maximum)
{
  struct handle *h = handle;

  *minimum = h->text ? 1 : PAGE_BYTES;
  *preferred = PAGE_BYTES;
  *maximum = REQUEST_MAXIMUM;
  return 0;
}

/* All connections see one device.  Each connection to a text has its own
 * snapshot of it.
 */
static int
plugin_can_multi_conn (void *handle)
{
  struct handle *h = handle;

  return !h->text;
}

/* So with everything that only the device can do. */
static int
is_device (void *handle)
{
  struct handle *h = handle;

  return !h->text;
}

/* A page stored is a page stored: nothing waits to be flushed, so native FUA
 * costs nothing.
 */
static int
plugin_can_fua (void *handle)
{
  return is_device (handle) ? NBDKIT_FUA_NATIVE : NBDKIT_FUA_NONE;
}

static int
plugin_can_cache (void *handle)
{
  (void) handle;
  return NBDKIT_CACHE_NATIVE;
}

static int
plugin_is_rotational (void *handle)
{
  (void) handle;
  return 0;
}

static int
plugin_pread (void *handle, void *buffer, uint32_t count, uint64_t offset,
              uint32_t flags)
{
  struct handle *h = handle;

  (void) flags;
  if (h->text) {
    memcpy (buffer, h->text + offset, count);
    return 0;
  }
  return tierswap_read (device, buffer, count, offset);
}

/* No message for what is dropped: its client is gone. */
static int
plugin_pwrite (void *handle, const void *buffer, uint32_t count,
               uint64_t offset, uint32_t flags)
{
  struct handle *h = handle;
  int r;

  (void) flags;
  if (fence_enter (&fence, h->gate) == -1)
    return -1;
  r = tierswap_write (device, buffer, count, offset);
  fence_exit (h->gate);
  return r;
}

static int
plugin_trim (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  struct handle *h = handle;
  int r;

  (void) flags;
  if (fence_enter (&fence, h->gate) == -1)
    return -1;
  r = tierswap_trim (device, count, offset);
  fence_exit (h->gate);
  return r;
}

/* Always fast: zeros are a word in a table. */
static int
plugin_zero (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  struct handle *h = handle;
  int r;

  if (fence_enter (&fence, h->gate) == -1)
    return -1;
  r = tierswap_zero (device, count, offset, flags & NBDKIT_FLAG_MAY_TRIM);
  fence_exit (h->gate);
  return r;
}

static int
plugin_flush (void *handle, uint32_t flags)
{
  (void) handle;
  (void) flags;
  return 0;
}

/* Nothing would be nearer after it: compressed memory is where it is. */
static int
plugin_cache (void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
  (void) handle;
  (void) count;
  (void) offset;
  (void) flags;
  return 0;
}

struct extents_walk {
  struct nbdkit_extents *extents;
  bool one; /* the client wants only the extent at its offset */
  enum tierswap_extent kind;
  unsigned count; /* changes of kind so far */
};

enum { WALK_ON, WALK_DONE, WALK_FAILED };

static int
add_extent (void *opaque, uint64_t offset, uint64_t length,
            enum tierswap_extent kind)
{
  static const uint32_t types[] = {
    [TIERSWAP_DATA] = 0,
    [TIERSWAP_HOLE] = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO,
    [TIERSWAP_ZERO] = NBDKIT_EXTENT_ZERO,
  };
  struct extents_walk *walk = opaque;

  /* nbdkit joins neighbours of one kind. */
  if (walk->count == 0 || kind != walk->kind) {
    if (walk->count == (walk->one ? 1 : EXTENTS_MAXIMUM))
      return WALK_DONE;
    walk->kind = kind;
    walk->count++;
  }
  if (nbdkit_add_extent (walk->extents, offset, length, types[kind]) == -1)
    return WALK_FAILED;
  return WALK_ON;
}

static int
plugin_extents (void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                struct nbdkit_extents *extents)
{
  struct extents_walk walk = {
    .extents = extents,
    .one = flags & NBDKIT_FLAG_REQ_ONE,
  };
  int r;

  (void) handle;
  r = tierswap_extents (device, count, offset, add_extent, &walk);
  return r == WALK_ON || r == WALK_DONE ? 0 : -1;
}

static struct nbdkit_plugin plugin = {
  .name = "tierswap",
  .longname = "tierswap",
  .version = PACKAGE_VERSION,
  .description = "a swap device whose pages live in compressed tiers",
  .load = plugin_load,
  .unload = plugin_unload,
  .dump_plugin = plugin_dump,
  .config = plugin_config,
  .magic_config_key = "conf",
  .config_help = plugin_config_help,
  .config_complete = plugin_config_complete,
  .get_ready = plugin_get_ready,
  .after_fork = plugin_after_fork,
  .cleanup = plugin_cleanup,
  .list_exports = plugin_list_exports,
  .default_export = plugin_default_export,
  .open = plugin_open,
  .close = plugin_close,
  .get_size = plugin_get_size,
  .export_description = plugin_export_description,
  .block_size = plugin_block_size,
  .can_multi_conn = plugin_can_multi_conn,
  .can_write = is_device,
  .can_flush = is_device,
  .can_trim = is_device,
  .can_zero = is_device,
  .can_fast_zero = is_device,
  .can_extents = is_device,
  .can_fua = plugin_can_fua,
  .can_cache = plugin_can_cache,
  .is_rotational = plugin_is_rotational,
  .pread = plugin_pread,
  .pwrite = plugin_pwrite,
  .trim = plugin_trim,
  .zero = plugin_zero,
  .flush = plugin_flush,
  .extents = plugin_extents,
  .cache = plugin_cache,
  /* tierswap.h leaves errno as it found the cause. */
  .errno_is_preserved = 1,
};

NBDKIT_REGISTER_PLUGIN (plugin)
