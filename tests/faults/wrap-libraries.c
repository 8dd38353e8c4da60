/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls to other libraries. */
#include <config.h>

#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUSE_USE_VERSION 314
#ifdef HAVE_BPF
#include <bpf/libbpf.h>
#endif
#include <confuse.h>
#include <fuse_lowlevel.h>
#include <jansson.h>
#include <libnbd.h>
#include <liburing.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <openssl/evp.h>
#include <zstd.h>

#include "wrap.h"

/* ---- io_uring: errors are returned negated ---- */

WRAP (int, io_uring_queue_init,
      (unsigned entries, struct io_uring *ring, unsigned flags),
      (entries, ring, flags), -error, EPERM, EMFILE)
WRAP (int, io_uring_register_buffers,
      (struct io_uring * ring, const struct iovec *buffers, unsigned count),
      (ring, buffers, count), -error, ENOMEM)
WRAP (int, io_uring_register_iowq_max_workers,
      (struct io_uring * ring, unsigned *workers), (ring, workers), -error,
      EINVAL)
WRAP (int, io_uring_ring_dontfork, (struct io_uring * ring), (ring), -error,
      EINVAL)
WRAP (int, io_uring_submit, (struct io_uring * ring), (ring), -error, EAGAIN)
WRAP (int, io_uring_submit_and_wait_timeout,
      (struct io_uring * ring, struct io_uring_cqe **cqe, unsigned wait,
       struct __kernel_timespec *timeout, sigset_t *mask),
      (ring, cqe, wait, timeout, mask), -error, EAGAIN, EINTR, ETIME)

/* ---- libnbd ---- */

WRAP_TAKE (struct nbd_handle *, nbd_create, (void), (), NULL, ENOMEM)
WRAP (int, nbd_set_uri_allow_local_file, (struct nbd_handle * nbd, bool allow),
      (nbd, allow), -1, EINVAL)
WRAP (int, nbd_set_pread_initialize, (struct nbd_handle * nbd, bool request),
      (nbd, request), -1, EINVAL)
WRAP (int, nbd_aio_connect_uri, (struct nbd_handle * nbd, const char *uri),
      (nbd, uri), -1, EMFILE)
WRAP (int64_t, nbd_get_size, (struct nbd_handle * nbd), (nbd), -1, EIO)
WRAP (int64_t, nbd_get_block_size, (struct nbd_handle * nbd, int type),
      (nbd, type), -1, EIO)
WRAP (int, nbd_is_read_only, (struct nbd_handle * nbd), (nbd), -1, EIO)
WRAP (int, nbd_can_multi_conn, (struct nbd_handle * nbd), (nbd), -1, EIO)
WRAP (int, nbd_can_trim, (struct nbd_handle * nbd), (nbd), -1, EIO)
WRAP (int64_t, nbd_aio_pread,
      (struct nbd_handle * nbd, void *buffer, size_t count, uint64_t offset,
       nbd_completion_callback callback, uint32_t flags),
      (nbd, buffer, count, offset, callback, flags), -1, ENOMEM)
WRAP (int64_t, nbd_aio_pwrite,
      (struct nbd_handle * nbd, const void *buffer, size_t count,
       uint64_t offset, nbd_completion_callback callback, uint32_t flags),
      (nbd, buffer, count, offset, callback, flags), -1, ENOMEM)
WRAP (int64_t, nbd_aio_trim,
      (struct nbd_handle * nbd, uint64_t count, uint64_t offset,
       nbd_completion_callback callback, uint32_t flags),
      (nbd, count, offset, callback, flags), -1, ENOMEM)
WRAP (int, nbd_aio_notify_read, (struct nbd_handle * nbd), (nbd), -1,
      ECONNRESET)
WRAP (int, nbd_aio_notify_write, (struct nbd_handle * nbd), (nbd), -1, EPIPE)
WRAP (int, nbd_aio_disconnect, (struct nbd_handle * nbd, uint32_t flags),
      (nbd, flags), -1, EINVAL)

WRAP (int, nbd_aio_get_fd, (struct nbd_handle * nbd), (nbd), -1, EINVAL)
WRAP_GIVE (void, nbd_close, (struct nbd_handle * nbd), (nbd), nbd)

/* ---- libfuse ---- */

WRAP_TAKE (struct fuse_session *, fuse_session_new,
           (struct fuse_args * arguments,
            const struct fuse_lowlevel_ops *operations, size_t size,
            void *data),
           (arguments, operations, size, data), NULL, ENOMEM)
WRAP (int, fuse_session_mount,
      (struct fuse_session * session, const char *directory),
      (session, directory), -1, EPERM)

WRAP_GIVE (void, fuse_session_destroy, (struct fuse_session * session),
           (session), session)

/* An answer fails when nobody waits for it any more; here somebody does.  For a
 * node or a file he is told that it was interrupted, for the server counts on
 * it that he does not have it.
 */
#define WRAP_REPLY(name, parameters, arguments)                                \
  extern int __real_##name parameters;                                         \
  extern int __wrap_##name parameters;                                         \
  int __wrap_##name parameters                                                 \
  {                                                                            \
    static const int errors[] = { ENOENT, 0 };                                 \
    int error = faults_ask (#name, errors, HERE);                              \
    int r = __real_##name arguments;                                           \
                                                                               \
    return error ? -error : r;                                                 \
  }
#define WRAP_REPLY_OF(name, parameters, arguments)                             \
  extern int __real_##name parameters;                                         \
  extern int __wrap_##name parameters;                                         \
  int __wrap_##name parameters                                                 \
  {                                                                            \
    static const int errors[] = { ENOENT, 0 };                                 \
    int error = faults_ask (#name, errors, HERE);                              \
                                                                               \
    if (error == 0)                                                            \
      return __real_##name arguments;                                          \
    __real_fuse_reply_err (request, EINTR);                                    \
    return -error;                                                             \
  }

WRAP_REPLY (fuse_reply_err, (fuse_req_t request, int error_number),
            (request, error_number))
WRAP_REPLY_OF (fuse_reply_entry,
               (fuse_req_t request, const struct fuse_entry_param *entry),
               (request, entry))
WRAP_REPLY_OF (fuse_reply_open,
               (fuse_req_t request, const struct fuse_file_info *info),
               (request, info))
WRAP_REPLY (fuse_reply_attr,
            (fuse_req_t request, const struct stat *status, double timeout),
            (request, status, timeout))
WRAP_REPLY (fuse_reply_buf,
            (fuse_req_t request, const char *buffer, size_t size),
            (request, buffer, size))
WRAP_REPLY (fuse_reply_ioctl,
            (fuse_req_t request, int r_, const void *buffer, size_t size),
            (request, r_, buffer, size))
WRAP_REPLY (fuse_reply_lseek, (fuse_req_t request, off_t offset),
            (request, offset))
WRAP_REPLY (fuse_reply_statfs,
            (fuse_req_t request, const struct statvfs *status),
            (request, status))
WRAP_REPLY (fuse_reply_write, (fuse_req_t request, size_t count),
            (request, count))

/* ---- libnl: errors of its own ---- */

WRAP_TAKE (struct nl_sock *, nl_socket_alloc, (void), (), NULL, ENOMEM)
WRAP (int, genl_connect, (struct nl_sock * socket), (socket), -NLE_NOMEM,
      ENOMEM)
WRAP (int, genl_ctrl_resolve, (struct nl_sock * socket, const char *name),
      (socket, name), -NLE_OBJ_NOTFOUND, ENOENT)
WRAP_TAKE (struct nl_msg *, nlmsg_alloc, (void), (), NULL, ENOMEM)
WRAP (void *, genlmsg_put,
      (struct nl_msg * message, uint32_t port, uint32_t number, int family,
       int header_length, int flags, uint8_t command, uint8_t version),
      (message, port, number, family, header_length, flags, command, version),
      NULL, ENOMEM)
WRAP (struct nlattr *, nla_nest_start, (struct nl_msg * message, int type),
      (message, type), NULL, ENOMEM)
WRAP (int, nla_put_u32, (struct nl_msg * message, int type, uint32_t value),
      (message, type, value), -NLE_NOMEM, ENOMEM)
WRAP (int, nla_put_u64, (struct nl_msg * message, int type, uint64_t value),
      (message, type, value), -NLE_NOMEM, ENOMEM)
WRAP (int, nla_put_string,
      (struct nl_msg * message, int type, const char *value),
      (message, type, value), -NLE_NOMEM, ENOMEM)

WRAP_GIVE (void, nl_socket_free, (struct nl_sock * socket), (socket), socket)
WRAP_GIVE (void, nlmsg_free, (struct nl_msg * message), (message), message)

/* It is not sent, but it is freed. */
extern int __real_nl_send_sync (struct nl_sock *socket, struct nl_msg *message);
extern int __wrap_nl_send_sync (struct nl_sock *socket, struct nl_msg *message);
int
__wrap_nl_send_sync (struct nl_sock *socket, struct nl_msg *message)
{
  static const int errors[] = { ENOBUFS, 0 };

  faults_give (message);
  if (faults_ask ("nl_send_sync", errors, HERE) == 0)
    return __real_nl_send_sync (socket, message);
  __real_nlmsg_free (message);
  return -NLE_NOMEM;
}

/* ---- the other libraries ---- */

WRAP_TAKE (EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), (), NULL, ENOMEM)
WRAP_GIVE (void, EVP_CIPHER_CTX_free, (EVP_CIPHER_CTX * context), (context),
           context)
WRAP (int, EVP_EncryptInit_ex,
      (EVP_CIPHER_CTX * context, const EVP_CIPHER *cipher, ENGINE *engine,
       const unsigned char *key, const unsigned char *iv),
      (context, cipher, engine, key, iv), 0, ENOMEM)
WRAP (int, EVP_DecryptInit_ex,
      (EVP_CIPHER_CTX * context, const EVP_CIPHER *cipher, ENGINE *engine,
       const unsigned char *key, const unsigned char *iv),
      (context, cipher, engine, key, iv), 0, ENOMEM)
WRAP (int, EVP_CipherInit_ex,
      (EVP_CIPHER_CTX * context, const EVP_CIPHER *cipher, ENGINE *engine,
       const unsigned char *key, const unsigned char *iv, int encrypt),
      (context, cipher, engine, key, iv, encrypt), 0, ENOMEM)
WRAP (int, EVP_CipherUpdate,
      (EVP_CIPHER_CTX * context, unsigned char *out, int *out_length,
       const unsigned char *in, int length),
      (context, out, out_length, in, length), 0, ENOMEM)
WRAP (int, RAND_priv_bytes, (unsigned char *bytes, int count), (bytes, count),
      0, EIO)

WRAP_TAKE (cfg_t *, cfg_init, (cfg_opt_t * options, cfg_flag_t flags),
           (options, flags), NULL, ENOMEM)
WRAP_GIVE (int, cfg_free, (cfg_t * cfg), (cfg), cfg)
WRAP (int, cfg_parse_buf, (cfg_t * cfg, const char *text), (cfg, text),
      CFG_PARSE_ERROR, ENOMEM)
WRAP_TAKE (ZSTD_CCtx *, ZSTD_createCCtx, (void), (), NULL, ENOMEM)
WRAP_TAKE (ZSTD_DCtx *, ZSTD_createDCtx, (void), (), NULL, ENOMEM)

WRAP_GIVE (size_t, ZSTD_freeCCtx, (ZSTD_CCtx * context), (context), context)
WRAP_GIVE (size_t, ZSTD_freeDCtx, (ZSTD_DCtx * context), (context), context)

#define ZSTD_NO_MEMORY ((size_t) -64) /* -ZSTD_error_memory_allocation */
WRAP (size_t, ZSTD_CCtx_setParameter,
      (ZSTD_CCtx * context, ZSTD_cParameter parameter, int value),
      (context, parameter, value), ZSTD_NO_MEMORY, ENOMEM)
WRAP (size_t, ZSTD_compress2,
      (ZSTD_CCtx * context, void *to, size_t room, const void *from,
       size_t length),
      (context, to, room, from, length), ZSTD_NO_MEMORY, ENOMEM)
WRAP (size_t, ZSTD_decompressDCtx,
      (ZSTD_DCtx * context, void *to, size_t room, const void *from,
       size_t length),
      (context, to, room, from, length), ZSTD_NO_MEMORY, ENOMEM)

/* ---- libjansson ---- */

/* Its memory is counted as ours is, for only whoever uses what it made gives it
 * back.  A call that may make something says from where.
 */
static __thread void *json_site;

extern void *__real_malloc (size_t size);
extern void __real_free (void *pointer);

static void *
json_take (size_t size)
{
  return faults_take (__real_malloc (size), json_site);
}

static void
json_give (void *pointer)
{
  faults_give (pointer);
  __real_free (pointer);
}

void
wrap_json_memory (void)
{
  json_set_alloc_funcs (json_take, json_give);
}

#define WRAP_JSON(type, name, parameters, arguments)                           \
  extern type __real_##name parameters;                                        \
  extern type __wrap_##name parameters;                                        \
  type __wrap_##name parameters                                                \
  {                                                                            \
    static const int errors[] = { ENOMEM, 0 };                                 \
                                                                               \
    json_site = HERE;                                                          \
    if (faults_ask (#name, errors, HERE) == 0)                                 \
      return __real_##name arguments;                                          \
    errno = ENOMEM;                                                            \
    return NULL;                                                               \
  }

WRAP_JSON (json_t *, json_object, (void), ())
WRAP_JSON (json_t *, json_array, (void), ())
WRAP_JSON (json_t *, json_string, (const char *text), (text))
WRAP_JSON (json_t *, json_integer, (json_int_t number), (number))
WRAP_JSON (char *, json_dumps, (const json_t *json, size_t flags),
           (json, flags))
WRAP_JSON (json_t *, json_loadb,
           (const char *text, size_t length, size_t flags, json_error_t *why),
           (text, length, flags, why))
WRAP_JSON (json_t *, json_loads,
           (const char *text, size_t flags, json_error_t *why),
           (text, flags, why))

/* They take what they are given in any case. */
extern int __real_json_array_append_new (json_t *array, json_t *value);
extern int __wrap_json_array_append_new (json_t *array, json_t *value);
int
__wrap_json_array_append_new (json_t *array, json_t *value)
{
  static const int errors[] = { ENOMEM, 0 };

  json_site = HERE;
  if (faults_ask ("json_array_append_new", errors, HERE) == 0)
    return __real_json_array_append_new (array, value);
  json_decref (value);
  return -1;
}

extern int __real_json_object_set_new (json_t *object, const char *key,
                                       json_t *value);
extern int __wrap_json_object_set_new (json_t *object, const char *key,
                                       json_t *value);
int
__wrap_json_object_set_new (json_t *object, const char *key, json_t *value)
{
  static const int errors[] = { ENOMEM, 0 };

  json_site = HERE;
  if (faults_ask ("json_object_set_new", errors, HERE) == 0)
    return __real_json_object_set_new (object, key, value);
  json_decref (value);
  return -1;
}

extern json_t *__wrap_json_pack (const char *format, ...);
json_t *
__wrap_json_pack (const char *format, ...)
{
  static const int errors[] = { ENOMEM, 0 };
  va_list args;
  json_t *json;

  json_site = HERE;
  va_start (args, format);
  json = json_vpack_ex (NULL, 0, format, args);
  va_end (args);
  /* It takes what it was given in any case. */
  if (faults_ask ("json_pack", errors, HERE)) {
    json_decref (json);
    json = NULL;
  }
  return json;
}

/* ---- libbpf: errors are returned negated ----
 *
 * What the kernel would do, and what it may refuse to on the machine of the
 * build, is played: nothing is loaded, and the rings are only memory.
 */

#ifdef HAVE_BPF

WRAP (int, bpf_map__set_max_entries, (struct bpf_map * map, __u32 count),
      (map, count), -error, EBUSY)
WRAP (int, bpf_object__open_skeleton,
      (struct bpf_object_skeleton * skeleton,
       const struct bpf_object_open_opts *options),
      (skeleton, options), -error, ENOMEM)

#define WRAP_PLAYED(name)                                                      \
  extern int __wrap_##name (struct bpf_object_skeleton *skeleton);             \
  int __wrap_##name (struct bpf_object_skeleton *skeleton)                     \
  {                                                                            \
    static const int errors[] = { EPERM, ENOMEM, 0 };                          \
                                                                               \
    (void) skeleton;                                                           \
    return -faults_ask (#name, errors, HERE);                                  \
  }
WRAP_PLAYED (bpf_object__load_skeleton)
WRAP_PLAYED (bpf_object__attach_skeleton)

static int rings = -1;

extern int __wrap_bpf_map__fd (const struct bpf_map *map);
int
__wrap_bpf_map__fd (const struct bpf_map *map)
{
  const off_t bytes
      = (off_t) bpf_map__value_size (map) * bpf_map__max_entries (map);

  rings = memfd_create ("rings", MFD_CLOEXEC);
  if (rings != -1 && ftruncate (rings, bytes) == -1)
    abort ();
  return rings;
}

/* It frees what the program allocated. */
extern void
__real_bpf_object__destroy_skeleton (struct bpf_object_skeleton *skeleton);
extern void
__wrap_bpf_object__destroy_skeleton (struct bpf_object_skeleton *skeleton);
void
__wrap_bpf_object__destroy_skeleton (struct bpf_object_skeleton *skeleton)
{
  if (skeleton) {
    faults_give (skeleton->maps);
    faults_give (skeleton->progs);
    faults_give (skeleton);
  }
  __real_bpf_object__destroy_skeleton (skeleton);
  if (rings != -1)
    close (rings);
  rings = -1;
}

#endif /* HAVE_BPF */
