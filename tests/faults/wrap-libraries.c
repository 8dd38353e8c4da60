/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls to other libraries. */
#include <config.h>

#include <stdarg.h>

#define FUSE_USE_VERSION 314
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

WRAP (struct nbd_handle *, nbd_create, (void), (), NULL, ENOMEM)
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

/* ---- libfuse ---- */

WRAP (struct fuse_session *, fuse_session_new,
      (struct fuse_args * arguments, const struct fuse_lowlevel_ops *operations,
       size_t size, void *data),
      (arguments, operations, size, data), NULL, ENOMEM)
WRAP (int, fuse_session_mount,
      (struct fuse_session * session, const char *directory),
      (session, directory), -1, EPERM)

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

WRAP (struct nl_sock *, nl_socket_alloc, (void), (), NULL, ENOMEM)
WRAP (int, genl_connect, (struct nl_sock * socket), (socket), -NLE_NOMEM,
      ENOMEM)
WRAP (int, genl_ctrl_resolve, (struct nl_sock * socket, const char *name),
      (socket, name), -NLE_OBJ_NOTFOUND, ENOENT)
WRAP (struct nl_msg *, nlmsg_alloc, (void), (), NULL, ENOMEM)
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

/* It is not sent, but it is freed. */
extern int __real_nl_send_sync (struct nl_sock *socket, struct nl_msg *message);
extern int __wrap_nl_send_sync (struct nl_sock *socket, struct nl_msg *message);
int
__wrap_nl_send_sync (struct nl_sock *socket, struct nl_msg *message)
{
  static const int errors[] = { ENOBUFS, 0 };

  if (faults_ask ("nl_send_sync", errors, HERE) == 0)
    return __real_nl_send_sync (socket, message);
  nlmsg_free (message);
  return -NLE_NOMEM;
}

/* ---- the other libraries ---- */

WRAP (EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), (), NULL, ENOMEM)
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

WRAP (cfg_t *, cfg_init, (cfg_opt_t * options, cfg_flag_t flags),
      (options, flags), NULL, ENOMEM)
WRAP (int, cfg_parse_buf, (cfg_t * cfg, const char *text), (cfg, text),
      CFG_PARSE_ERROR, ENOMEM)
WRAP (json_t *, json_object, (void), (), NULL, ENOMEM)
WRAP (json_t *, json_array, (void), (), NULL, ENOMEM)
WRAP (json_t *, json_string, (const char *text), (text), NULL, ENOMEM)
WRAP (char *, json_dumps, (const json_t *json, size_t flags), (json, flags),
      NULL, ENOMEM)
WRAP (json_t *, json_loadb,
      (const char *text, size_t length, size_t flags, json_error_t *why),
      (text, length, flags, why), NULL, ENOMEM)

WRAP (json_t *, json_loads, (const char *text, size_t flags, json_error_t *why),
      (text, flags, why), NULL, ENOMEM)
WRAP (json_t *, json_integer, (json_int_t number), (number), NULL, ENOMEM)

/* They take what they are given in any case. */
extern int __real_json_array_append_new (json_t *array, json_t *value);
extern int __wrap_json_array_append_new (json_t *array, json_t *value);
int
__wrap_json_array_append_new (json_t *array, json_t *value)
{
  static const int errors[] = { ENOMEM, 0 };

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

WRAP (ZSTD_CCtx *, ZSTD_createCCtx, (void), (), NULL, ENOMEM)
WRAP (ZSTD_DCtx *, ZSTD_createDCtx, (void), (), NULL, ENOMEM)

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
