/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <confuse.h>
#include <jansson.h>
#include <libnbd.h>
#include <liburing.h>
#include <openssl/evp.h>
#include <zstd.h>

#include "faults.h"

struct faults *faults;

/* ---- what is held ---- */

#define HELD 65536

static struct {
  void *pointer;
  uintptr_t address;
} held[HELD];
static atomic_flag held_lock = ATOMIC_FLAG_INIT;

static void
lock (atomic_flag *flag)
{
  /* Who has it may be of a lower priority, and need a CPU. */
  for (unsigned i = 0; atomic_flag_test_and_set (flag); ++i)
    if (i > 1000)
      nanosleep (&(struct timespec){ 0, 100000 }, NULL);
}

static void
hold (void *pointer, void *address)
{
  lock (&held_lock);
  for (unsigned i = (unsigned) ((uintptr_t) pointer >> 4) % HELD;;
       i = (i + 1) % HELD)
    if (!held[i].pointer || held[i].pointer == (void *) -1) {
      held[i].pointer = pointer;
      held[i].address = (uintptr_t) address;
      break;
    }
  atomic_flag_clear (&held_lock);
}

static void
let_go (void *pointer)
{
  unsigned i = (unsigned) ((uintptr_t) pointer >> 4) % HELD;

  lock (&held_lock);
  while (held[i].pointer && held[i].pointer != pointer)
    i = (i + 1) % HELD;
  if (held[i].pointer)
    held[i].pointer = (void *) -1;
  atomic_flag_clear (&held_lock);
}

unsigned
faults_held (uintptr_t *address)
{
  unsigned count = 0;

  lock (&held_lock);
  for (unsigned i = 0; i < HELD; ++i)
    if (held[i].pointer && held[i].pointer != (void *) -1) {
      count++;
      *address = held[i].address;
    }
  atomic_flag_clear (&held_lock);
  return count;
}

static void *
taken (void *pointer, void *address)
{
  if (pointer && faults && atomic_load (&faults->listening))
    hold (pointer, address);
  return pointer;
}

/* ---- sites ---- */

static struct fault_site *
find_site (const char *function, const int *errors, uintptr_t address)
{
  for (unsigned i = 0; i < faults->count; ++i)
    if (faults->sites[i].address == address)
      return &faults->sites[i];
  if (faults->count == FAULT_SITES)
    abort ();
  faults->sites[faults->count]
      = (struct fault_site){ address, function, errors, 0, 0 };
  for (unsigned i = 0; i < 2; ++i)
    if (atomic_load (&faults->armed[i].fired)) {
      faults->sites[faults->count].after = faults->armed[i].address;
      faults->sites[faults->count].after_error = faults->armed[i].error;
    }
  return &faults->sites[faults->count++];
}

/* The error that this call shall fail with, or 0. */
static int
fault (const char *function, const int *errors, void *address)
{
  int error = 0;

  if (!faults || !atomic_load (&faults->listening))
    return 0;
  lock (&faults->lock);
  find_site (function, errors, (uintptr_t) address);
  for (unsigned i = 0; i < 2; ++i)
    if (faults->armed[i].address == (uintptr_t) address
        && !atomic_exchange (&faults->armed[i].fired, true))
      error = faults->armed[i].error;
  atomic_flag_clear (&faults->lock);
  return error;
}

#define HERE __builtin_return_address (0)

/* FUNCTION fails by returning RESULT, with errno set to ERROR. */
#define WRAP(type, name, parameters, arguments, result, ...)                   \
  extern type __real_##name parameters;                                        \
  extern type __wrap_##name parameters;                                        \
  type __wrap_##name parameters                                                \
  {                                                                            \
    static const int errors[] = { __VA_ARGS__, 0 };                            \
    int error = fault (#name, errors, HERE);                                   \
                                                                               \
    if (error == 0)                                                            \
      return __real_##name arguments;                                          \
    errno = error;                                                             \
    return result;                                                             \
  }

/* The same for what returns memory that free or munmap gives back. */
#define WRAP_TAKE(type, name, parameters, arguments, result, ...)              \
  extern type __real_##name parameters;                                        \
  extern type __wrap_##name parameters;                                        \
  type __wrap_##name parameters                                                \
  {                                                                            \
    static const int errors[] = { __VA_ARGS__, 0 };                            \
    int error = fault (#name, errors, HERE);                                   \
                                                                               \
    if (error == 0)                                                            \
      return taken (__real_##name arguments, HERE);                            \
    errno = error;                                                             \
    return result;                                                             \
  }

/* ---- memory ---- */

WRAP_TAKE (void *, malloc, (size_t size), (size), NULL, ENOMEM)
WRAP_TAKE (void *, calloc, (size_t count, size_t size), (count, size), NULL,
           ENOMEM)
WRAP_TAKE (void *, aligned_alloc, (size_t alignment, size_t size),
           (alignment, size), NULL, ENOMEM)
WRAP_TAKE (char *, strdup, (const char *text), (text), NULL, ENOMEM)

extern void *__real_realloc (void *old, size_t size);
extern void *__wrap_realloc (void *old, size_t size);
void *
__wrap_realloc (void *old, size_t size)
{
  static const int errors[] = { ENOMEM, 0 };
  void *new;

  if (fault ("realloc", errors, HERE)) {
    errno = ENOMEM;
    return NULL;
  }
  if (old)
    let_go (old);
  new = __real_realloc (old, size);
  if (!new &&old)
    hold (old, HERE);
  return taken (new, HERE);
}

extern void __real_free (void *pointer);
extern void __wrap_free (void *pointer);
void
__wrap_free (void *pointer)
{
  if (pointer)
    let_go (pointer);
  __real_free (pointer);
}

extern int __real_vasprintf (char **text, const char *format, va_list args);
extern int __wrap_vasprintf (char **text, const char *format, va_list args);
int
__wrap_vasprintf (char **text, const char *format, va_list args)
{
  static const int errors[] = { ENOMEM, 0 };
  int r;

  if (fault ("vasprintf", errors, HERE)) {
    errno = ENOMEM;
    return -1;
  }
  r = __real_vasprintf (text, format, args);
  if (r != -1)
    taken (*text, HERE);
  return r;
}

extern int __wrap_asprintf (char **text, const char *format, ...);
int
__wrap_asprintf (char **text, const char *format, ...)
{
  static const int errors[] = { ENOMEM, 0 };
  va_list args;
  int r;

  if (fault ("asprintf", errors, HERE)) {
    errno = ENOMEM;
    return -1;
  }
  va_start (args, format);
  r = __real_vasprintf (text, format, args);
  va_end (args);
  if (r != -1)
    taken (*text, HERE);
  return r;
}

WRAP_TAKE (void *, mmap,
           (void *start, size_t length, int protection, int flags, int fd,
            off_t offset),
           (start, length, protection, flags, fd, offset), MAP_FAILED, ENOMEM)
extern int __real_munmap (void *start, size_t length);
extern int __wrap_munmap (void *start, size_t length);
int
__wrap_munmap (void *start, size_t length)
{
  let_go (start);
  return __real_munmap (start, length);
}
WRAP (int, madvise, (void *start, size_t length, int advice),
      (start, length, advice), -1, EINVAL, ENOMEM)
WRAP (int, mlock, (const void *start, size_t length), (start, length), -1,
      ENOMEM)
WRAP (int, mlockall, (int flags), (flags), -1, EPERM)

/* ---- files ---- */

extern int __real_open (const char *path, int flags, ...);
extern int __wrap_open (const char *path, int flags, ...);
int
__wrap_open (const char *path, int flags, ...)
{
  static const int errors[] = { EMFILE, EINVAL, 0 };
  int error = fault ("open", errors, HERE), mode;
  va_list args;

  if (error) {
    errno = error;
    return -1;
  }
  va_start (args, flags);
  mode = va_arg (args, int);
  va_end (args);
  return __real_open (path, flags, mode);
}

WRAP (FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL,
      EMFILE)
WRAP (ssize_t, getline, (char **line, size_t *size, FILE *file),
      (line, size, file), -1, ENOMEM)
WRAP (ssize_t, pread, (int fd, void *buffer, size_t count, off_t offset),
      (fd, buffer, count, offset), -1, EIO, EINTR)
WRAP (ssize_t, pwrite, (int fd, const void *buffer, size_t count, off_t offset),
      (fd, buffer, count, offset), -1, EIO, ENOSPC, EINTR)
WRAP (int, stat, (const char *path, struct stat *st), (path, st), -1, EACCES)
WRAP (int, lstat, (const char *path, struct stat *st), (path, st), -1, EACCES)
WRAP (int, fstat, (int fd, struct stat *st), (fd, st), -1, EIO)
WRAP (int, fstatfs, (int fd, struct statfs *st), (fd, st), -1, EIO)
WRAP (int, flock, (int fd, int operation), (fd, operation), -1, ENOLCK,
      EWOULDBLOCK)
WRAP (int, ftruncate, (int fd, off_t length), (fd, length), -1, ENOSPC)
WRAP (int, fallocate, (int fd, int mode, off_t offset, off_t length),
      (fd, mode, offset, length), -1, EOPNOTSUPP, EIO)
WRAP (int, unlink, (const char *path), (path), -1, EACCES)
WRAP (int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)

/* The counter of an eventfd that cannot be written to is full: whoever reads it
 * is woken.  So it is written, and only the answer is that.
 */
#define EVENTS 1024
static _Atomic bool is_event[EVENTS];

extern int __real_eventfd (unsigned value, int flags);
extern int __wrap_eventfd (unsigned value, int flags);
int
__wrap_eventfd (unsigned value, int flags)
{
  static const int errors[] = { EMFILE, 0 };
  int fd;

  if (fault ("eventfd", errors, HERE)) {
    errno = EMFILE;
    return -1;
  }
  fd = __real_eventfd (value, flags);
  if (fd >= 0 && fd < EVENTS)
    is_event[fd] = true;
  return fd;
}

extern int __real_close (int fd);
extern int __wrap_close (int fd);
int
__wrap_close (int fd)
{
  if (fd >= 0 && fd < EVENTS)
    is_event[fd] = false;
  return __real_close (fd);
}

extern ssize_t __real_write (int fd, const void *buffer, size_t count);
extern ssize_t __wrap_write (int fd, const void *buffer, size_t count);
ssize_t
__wrap_write (int fd, const void *buffer, size_t count)
{
  static const int errors[] = { EIO, 0 }, full[] = { EAGAIN, 0 };
  bool event = fd >= 0 && fd < EVENTS && is_event[fd];
  int error = fault ("write", event ? full : errors, HERE);

  if (error == 0)
    return __real_write (fd, buffer, count);
  if (event)
    (void) !__real_write (fd, buffer, count);
  errno = error;
  return -1;
}

WRAP (ssize_t, read, (int fd, void *buffer, size_t count), (fd, buffer, count),
      -1, EAGAIN)

/* ---- sockets ---- */

WRAP (int, socket, (int family, int type, int protocol),
      (family, type, protocol), -1, EMFILE)
WRAP (int, bind, (int fd, const struct sockaddr *address, socklen_t length),
      (fd, address, length), -1, EADDRINUSE)
WRAP (int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
WRAP (int, connect, (int fd, const struct sockaddr *address, socklen_t length),
      (fd, address, length), -1, ECONNREFUSED, EACCES)
WRAP (int, accept4,
      (int fd, struct sockaddr *address, socklen_t *length, int flags),
      (fd, address, length, flags), -1, EMFILE, ECONNABORTED)
WRAP (ssize_t, recv, (int fd, void *buffer, size_t length, int flags),
      (fd, buffer, length, flags), -1, ECONNRESET, EAGAIN)
WRAP (ssize_t, send, (int fd, const void *buffer, size_t length, int flags),
      (fd, buffer, length, flags), -1, EPIPE, EAGAIN)
WRAP (int, getsockopt,
      (int fd, int level, int option, void *value, socklen_t *length),
      (fd, level, option, value, length), -1, ENOBUFS)
WRAP (int, poll, (struct pollfd * fds, nfds_t count, int timeout),
      (fds, count, timeout), -1, EINTR)
WRAP (int, ppoll,
      (struct pollfd * fds, nfds_t count, const struct timespec *timeout,
       const sigset_t *mask),
      (fds, count, timeout, mask), -1, EINTR)

/* ---- threads and the process ---- */

WRAP (int, pthread_create,
      (pthread_t * thread, const pthread_attr_t *attributes,
       void *(*start) (void *), void *argument),
      (thread, attributes, start, argument), error, EAGAIN)
WRAP (int, pthread_key_create,
      (pthread_key_t * key, void (*destructor) (void *)), (key, destructor),
      error, EAGAIN)
WRAP (int, sched_setscheduler,
      (pid_t pid, int policy, const struct sched_param *parameters),
      (pid, policy, parameters), -1, EPERM)

extern int __real_prctl (int option, ...);
extern int __wrap_prctl (int option, unsigned long a, unsigned long b,
                         unsigned long c, unsigned long d);
int
__wrap_prctl (int option, unsigned long a, unsigned long b, unsigned long c,
              unsigned long d)
{
  static const int errors[] = { EPERM, 0 };

  if (fault ("prctl", errors, HERE)) {
    errno = EPERM;
    return -1;
  }
  return __real_prctl (option, a, b, c, d);
}

/* Futexes are all that is called by number: waking does not fail, and waiting
 * may end early.
 */
extern long __real_syscall (long number, ...);
extern long __wrap_syscall (long number, uintptr_t a, uintptr_t b, uintptr_t c,
                            uintptr_t d, uintptr_t e, uintptr_t f);
long
__wrap_syscall (long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
                uintptr_t e, uintptr_t f)
{
  static const int errors[] = { EINTR, 0 };
  bool waits = number == SYS_futex && (b & FUTEX_CMD_MASK) == FUTEX_WAIT;

  if (waits && fault ("futex", errors, HERE)) {
    errno = EINTR;
    return -1;
  }
  return __real_syscall (number, a, b, c, d, e, f);
}

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
WRAP (json_t *, json_object, (void), (), NULL, ENOMEM)
WRAP (json_t *, json_array, (void), (), NULL, ENOMEM)
WRAP (json_t *, json_string, (const char *text), (text), NULL, ENOMEM)
WRAP (char *, json_dumps, (const json_t *json, size_t flags), (json, flags),
      NULL, ENOMEM)
WRAP (json_t *, json_loadb,
      (const char *text, size_t length, size_t flags, json_error_t *why),
      (text, length, flags, why), NULL, ENOMEM)

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
  if (fault ("json_pack", errors, HERE)) {
    json_decref (json);
    json = NULL;
  }
  return json;
}

WRAP (ZSTD_CCtx *, ZSTD_createCCtx, (void), (), NULL, ENOMEM)
WRAP (ZSTD_DCtx *, ZSTD_createDCtx, (void), (), NULL, ENOMEM)
