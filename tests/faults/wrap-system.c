/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls to the C library. */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/futex.h>
#include <mntent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "played-module.h"
#include "tierswap_ioctl.h"
#include "wrap.h"

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

  if (faults_ask ("realloc", errors, HERE)) {
    errno = ENOMEM;
    return NULL;
  }
  if (old)
    faults_give (old);
  new = __real_realloc (old, size);
  if (!new &&old)
    faults_take (old, HERE);
  return faults_take (new, HERE);
}

WRAP_GIVE (void, free, (void *pointer), (pointer), pointer)

WRAP_TAKE (char *, strndup, (const char *text, size_t most), (text, most), NULL,
           ENOMEM)

extern void *__real_reallocarray (void *old, size_t count, size_t size);
extern void *__wrap_reallocarray (void *old, size_t count, size_t size);
void *
__wrap_reallocarray (void *old, size_t count, size_t size)
{
  static const int errors[] = { ENOMEM, 0 };
  void *new;

  if (faults_ask ("reallocarray", errors, HERE)) {
    errno = ENOMEM;
    return NULL;
  }
  faults_give (old);
  new = __real_reallocarray (old, count, size);
  return faults_take (new ? new : old, HERE) ? new : NULL;
}

extern int __real_vasprintf (char **text, const char *format, va_list args);
extern int __wrap_vasprintf (char **text, const char *format, va_list args);
int
__wrap_vasprintf (char **text, const char *format, va_list args)
{
  static const int errors[] = { ENOMEM, 0 };
  int r;

  if (faults_ask ("vasprintf", errors, HERE)) {
    errno = ENOMEM;
    return -1;
  }
  r = __real_vasprintf (text, format, args);
  if (r != -1)
    faults_take (*text, HERE);
  return r;
}

extern int __wrap_asprintf (char **text, const char *format, ...);
int
__wrap_asprintf (char **text, const char *format, ...)
{
  static const int errors[] = { ENOMEM, 0 };
  va_list args;
  int r;

  if (faults_ask ("asprintf", errors, HERE)) {
    errno = ENOMEM;
    return -1;
  }
  va_start (args, format);
  r = __real_vasprintf (text, format, args);
  va_end (args);
  if (r != -1)
    faults_take (*text, HERE);
  return r;
}

extern void *__real_mmap (void *start, size_t length, int protection, int flags,
                          int fd, off_t offset);
extern void *__wrap_mmap (void *start, size_t length, int protection, int flags,
                          int fd, off_t offset);
void *
__wrap_mmap (void *start, size_t length, int protection, int flags, int fd,
             off_t offset)
{
  static const int errors[] = { ENOMEM, 0 };
  void *map;

  if (faults_ask ("mmap", errors, HERE)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  map = __real_mmap (start, length, protection, flags, fd, offset);
  if (map == MAP_FAILED)
    return map;
  if (flags & MAP_FIXED) /* what was there is no more */
    faults_give (start);
  return faults_take (map, HERE);
}
WRAP_GIVE (int, munmap, (void *start, size_t length), (start, length), start)
WRAP (int, mlock2, (const void *start, size_t length, unsigned flags),
      (start, length, flags), -1, ENOMEM)
WRAP (int, munlock, (const void *start, size_t length), (start, length), -1,
      ENOMEM)
WRAP (int, mincore, (void *start, size_t length, unsigned char *resident),
      (start, length, resident), -1, EAGAIN)

extern void *__real_mremap (void *old, size_t length, size_t new_length,
                            int flags, ...);
extern void *__wrap_mremap (void *old, size_t length, size_t new_length,
                            int flags, void *place);
void *
__wrap_mremap (void *old, size_t length, size_t new_length, int flags,
               void *place)
{
  static const int errors[] = { ENOMEM, 0 };
  void *new;

  if (faults_ask ("mremap", errors, HERE)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  new = __real_mremap (old, length, new_length, flags, place);
  if (new != MAP_FAILED) {
    faults_give (old);
    faults_take (new, HERE);
  }
  return new;
}

WRAP (int, madvise, (void *start, size_t length, int advice),
      (start, length, advice), -1, EINVAL, ENOMEM)
WRAP (int, mlock, (const void *start, size_t length), (start, length), -1,
      ENOMEM)
WRAP (int, mlockall, (int flags), (flags), -1, EPERM)

/* ---- files ---- */

/* What is opened is created with the mode that may follow FLAGS. */
#define WRAP_OPEN(name, parameters, arguments, ...)                            \
  extern int __real_##name parameters;                                         \
  extern int __wrap_##name parameters;                                         \
  int __wrap_##name parameters                                                 \
  {                                                                            \
    static const int errors[] = { __VA_ARGS__, 0 };                            \
    int error = faults_ask (#name, errors, HERE), mode;                        \
    va_list args;                                                              \
                                                                               \
    if (error) {                                                               \
      errno = error;                                                           \
      return -1;                                                               \
    }                                                                          \
    va_start (args, flags);                                                    \
    mode = va_arg (args, int);                                                 \
    va_end (args);                                                             \
    return __real_##name arguments;                                            \
  }
WRAP_OPEN (open, (const char *path, int flags, ...), (path, flags, mode),
           EMFILE, EINVAL)
WRAP_OPEN (openat, (int folder, const char *path, int flags, ...),
           (folder, path, flags, mode), EMFILE)

WRAP_TAKE (FILE *, fopen, (const char *path, const char *mode), (path, mode),
           NULL, EMFILE)
/* What a stream that cannot be read has noted for ferror. */
#define ERROR_SEEN 0x20

extern char *__real_fgets (char *line, int room, FILE *file);
extern char *__wrap_fgets (char *line, int room, FILE *file);
char *
__wrap_fgets (char *line, int room, FILE *file)
{
  static const int errors[] = { EIO, 0 };

  if (faults_ask ("fgets", errors, HERE) == 0)
    return __real_fgets (line, room, file);
  file->_flags |= ERROR_SEEN;
  errno = EIO;
  return NULL;
}

extern ssize_t __real___getdelim (char **line, size_t *size, int end,
                                  FILE *file);
extern ssize_t __wrap___getdelim (char **line, size_t *size, int end,
                                  FILE *file);
ssize_t
__wrap___getdelim (char **line, size_t *size, int end, FILE *file)
{
  static const int errors[] = { ENOMEM, 0 };

  if (faults_ask ("getdelim", errors, HERE) == 0) {
    ssize_t length;

    faults_give (*line);
    length = __real___getdelim (line, size, end, file);
    faults_take (*line, HERE);
    return length;
  }
  file->_flags |= ERROR_SEEN;
  errno = ENOMEM;
  return -1;
}

WRAP (ssize_t, getline, (char **line, size_t *size, FILE *file),
      (line, size, file), -1, ENOMEM)
/* Half of what there is to do is done, in whole sectors if there are any: that
 * is no error, but must not be taken for all.
 */
static size_t
half_of (size_t count)
{
  const size_t half = count / 2;

  return half > 512 ? half - half % 512 : half;
}

extern ssize_t __real_pread (int fd, void *buffer, size_t count, off_t offset);
extern ssize_t __wrap_pread (int fd, void *buffer, size_t count, off_t offset);
ssize_t
__wrap_pread (int fd, void *buffer, size_t count, off_t offset)
{
  static const int errors[] = { EIO, EINTR, FAULT_HALF, 0 };
  int error = faults_ask ("pread", errors, HERE);

  if (error == 0 || error == FAULT_HALF)
    return __real_pread (fd, buffer, error ? half_of (count) : count, offset);
  errno = error;
  return -1;
}

extern ssize_t __real_pwrite (int fd, const void *buffer, size_t count,
                              off_t offset);
extern ssize_t __wrap_pwrite (int fd, const void *buffer, size_t count,
                              off_t offset);
ssize_t
__wrap_pwrite (int fd, const void *buffer, size_t count, off_t offset)
{
  static const int errors[] = { EIO, ENOSPC, EINTR, FAULT_HALF, 0 };
  int error = faults_ask ("pwrite", errors, HERE);

  if (error == 0 || error == FAULT_HALF)
    return __real_pwrite (fd, buffer, error ? half_of (count) : count, offset);
  errno = error;
  return -1;
}

WRAP (int, stat, (const char *path, struct stat *st), (path, st), -1, EACCES)
WRAP (int, lstat, (const char *path, struct stat *st), (path, st), -1, EACCES)
WRAP (int, fstat, (int fd, struct stat *st), (fd, st), -1, EIO)
WRAP (int, fstatat, (int folder, const char *path, struct stat *st, int flags),
      (folder, path, st, flags), -1, EACCES)
WRAP (int, fstatfs, (int fd, struct statfs *st), (fd, st), -1, EIO)
WRAP (int, flock, (int fd, int operation), (fd, operation), -1, ENOLCK,
      EWOULDBLOCK)
WRAP (int, ftruncate, (int fd, off_t length), (fd, length), -1, ENOSPC)
WRAP (int, fallocate, (int fd, int mode, off_t offset, off_t length),
      (fd, mode, offset, length), -1, EOPNOTSUPP, EIO)
WRAP (int, unlink, (const char *path), (path), -1, EACCES)
WRAP (int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)

WRAP (int, access, (const char *path, int mode), (path, mode), -1, EACCES)
WRAP (int, statfs, (const char *path, struct statfs *st), (path, st), -1,
      EACCES)
WRAP_TAKE (DIR *, opendir, (const char *path), (path), NULL, EMFILE)
WRAP_TAKE (DIR *, fdopendir, (int fd), (fd), NULL, ENOMEM)
WRAP (struct dirent *, readdir, (DIR * folder), (folder), NULL, EIO)
WRAP_TAKE (FILE *, fdopen, (int fd, const char *mode), (fd, mode), NULL, ENOMEM)
WRAP_TAKE (FILE *, setmntent, (const char *path, const char *mode),
           (path, mode), NULL, EMFILE)
WRAP (struct mntent *, getmntent, (FILE * file), (file), NULL, EIO)
WRAP_TAKE (FILE *, open_memstream, (char **text, size_t *length),
           (text, length), NULL, ENOMEM)
WRAP_GIVE (int, fclose, (FILE * file), (file), file)
WRAP_GIVE (int, endmntent, (FILE * file), (file), file)
WRAP_GIVE (int, closedir, (DIR * folder), (folder), folder)
WRAP (ssize_t, readlink, (const char *path, char *text, size_t room),
      (path, text, room), -1, EACCES)
WRAP (ssize_t, readlinkat, (int fd, const char *path, char *text, size_t room),
      (fd, path, text, room), -1, EACCES)
WRAP (int, fsync, (int fd), (fd), -1, EIO)
WRAP (int, fchdir, (int fd), (fd), -1, EACCES)
WRAP (int, dup2, (int from, int to), (from, to), -1, EBUSY)
WRAP (int, pipe2, (int ends[2], int flags), (ends, flags), -1, EMFILE)
WRAP (int, inotify_init1, (int flags), (flags), -1, EMFILE)
WRAP (int, inotify_add_watch, (int fd, const char *path, uint32_t events),
      (fd, path, events), -1, ENOSPC)
WRAP (int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags),
      -1, EMFILE)
WRAP (int, umount2, (const char *path, int flags), (path, flags), -1, EPERM,
      EBUSY)
WRAP (int, swapon, (const char *path, int flags), (path, flags), -1, ENOMEM,
      EPERM)
WRAP (int, swapoff, (const char *path), (path), -1, ENOMEM, EINTR, EPERM)
WRAP (ssize_t, getrandom, (void *bytes, size_t count, unsigned flags),
      (bytes, count, flags), -1, ENOSYS)

extern int __real_fcntl (int fd, int call, ...);
extern int __wrap_fcntl (int fd, int call, unsigned long argument);
int
__wrap_fcntl (int fd, int call, unsigned long argument)
{
  static const int errors[] = { EINVAL, 0 };

  if (faults_ask ("fcntl", errors, HERE)) {
    errno = EINVAL;
    return -1;
  }
  return __real_fcntl (fd, call, argument);
}

/* The kernel's module, where there is none, is played: see played-module.h. */
extern int __real_ioctl (int fd, unsigned long call, ...);
extern int __wrap_ioctl (int fd, unsigned long call, void *argument);
int
__wrap_ioctl (int fd, unsigned long call, void *argument)
{
  static const int fails[] = { EIO, 0 },
                   watch[] = { EBUSY, ENOSPC, EINVAL, EIO, 0 };
  int error
      = faults_ask ("ioctl", call == TIERSWAP_IOC_WATCH ? watch : fails, HERE);

  if (error) {
    errno = error;
    return -1;
  }
  return played_module_is (fd) ? played_module_ioctl (call, argument)
                               : __real_ioctl (fd, call, argument);
}

extern int __real_glob (const char *pattern, int flags,
                        int (*on_error) (const char *path, int error),
                        glob_t *found);
extern int __wrap_glob (const char *pattern, int flags,
                        int (*on_error) (const char *path, int error),
                        glob_t *found);
int
__wrap_glob (const char *pattern, int flags,
             int (*on_error) (const char *path, int error), glob_t *found)
{
  static const int errors[] = { ENOMEM, 0 };
  int r;

  if (faults_ask ("glob", errors, HERE))
    return GLOB_NOSPACE;
  r = __real_glob (pattern, flags, on_error, found);
  if (r == 0)
    faults_take (found->gl_pathv, HERE);
  return r;
}
WRAP_GIVE (void, globfree, (glob_t * found), (found), found->gl_pathv)

/* An answer to the kernel's FUSE fails when nobody waits for it any more; here
 * somebody does, and is given it.
 */
static bool
is_fuse (int fd)
{
  struct stat st;

  return __real_fstat (fd, &st) == 0 && S_ISCHR (st.st_mode)
         && st.st_rdev == makedev (10, 229);
}

extern ssize_t __real_writev (int fd, const struct iovec *parts, int count);
extern ssize_t __wrap_writev (int fd, const struct iovec *parts, int count);
ssize_t
__wrap_writev (int fd, const struct iovec *parts, int count)
{
  static const int gone[] = { ENOENT, 0 }, errors[] = { EIO, 0 };
  bool fuse = is_fuse (fd);
  int error = faults_ask ("writev", fuse ? gone : errors, HERE);

  if (error == 0)
    return __real_writev (fd, parts, count);
  if (fuse)
    (void) !__real_writev (fd, parts, count);
  errno = error;
  return -1;
}

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

  if (faults_ask ("eventfd", errors, HERE)) {
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
  static const int errors[] = { EIO, 0 }, full[] = { EAGAIN, 0 },
                   gone[] = { ENOENT, 0 };
  bool event = fd >= 0 && fd < EVENTS && is_event[fd], fuse = is_fuse (fd);
  int error = faults_ask ("write", event ? full : (fuse ? gone : errors), HERE);

  if (error == 0)
    return __real_write (fd, buffer, count);
  if (event || fuse)
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
WRAP (int, getsockname, (int fd, struct sockaddr *address, socklen_t *length),
      (fd, address, length), -1, ENOBUFS)
WRAP (int, getpeername, (int fd, struct sockaddr *address, socklen_t *length),
      (fd, address, length), -1, ENOBUFS)
WRAP (ssize_t, sendto,
      (int fd, const void *buffer, size_t length, int flags,
       const struct sockaddr *address, socklen_t address_length),
      (fd, buffer, length, flags, address, address_length), -1, ECONNREFUSED)
WRAP (int, setsockopt,
      (int fd, int level, int option, const void *value, socklen_t length),
      (fd, level, option, value, length), -1, ENOBUFS)
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
WRAP (int, pthread_setspecific, (pthread_key_t key, const void *value),
      (key, value), error, ENOMEM)
WRAP (int, pthread_key_create,
      (pthread_key_t * key, void (*destructor) (void *)), (key, destructor),
      error, EAGAIN)
WRAP (int, pthread_setschedparam,
      (pthread_t thread, int policy, const struct sched_param *parameters),
      (thread, policy, parameters), error, EPERM)
WRAP (pid_t, fork, (void), (), -1, EAGAIN)
WRAP (pid_t, waitpid, (pid_t process, int *status, int options),
      (process, status, options), -1, EINTR)
WRAP (int, kill, (pid_t process, int signal), (process, signal), -1, EPERM)
WRAP (pid_t, setsid, (void), (), -1, EPERM)
WRAP (int, execvp, (const char *file, char *const words[]), (file, words), -1,
      ENOENT)
WRAP (int, fexecve, (int fd, char *const words[], char *const environment[]),
      (fd, words, environment), -1, EACCES)
WRAP (int, posix_spawnp,
      (pid_t * process, const char *file,
       const posix_spawn_file_actions_t *actions,
       const posix_spawnattr_t *attributes, char *const words[],
       char *const environment[]),
      (process, file, actions, attributes, words, environment), error, EAGAIN)
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

  if (faults_ask ("prctl", errors, HERE)) {
    errno = EPERM;
    return -1;
  }
  return __real_prctl (option, a, b, c, d);
}

/* What is called by number: waking by a futex does not fail, and waiting may
 * end early.
 */
extern long __real_syscall (long number, ...);
extern long __wrap_syscall (long number, uintptr_t a, uintptr_t b, uintptr_t c,
                            uintptr_t d, uintptr_t e, uintptr_t f);
long
__wrap_syscall (long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
                uintptr_t e, uintptr_t f)
{
  static const int waits[] = { EINTR, 0 }, opens[] = { EMFILE, 0 },
                   sends[] = { EPERM, 0 }, barriers[] = { ENOSYS, 0 },
                   none[] = { 0 };
  const int *errors = none;
  int error;

  if (number == SYS_futex && (b & FUTEX_CMD_MASK) == FUTEX_WAIT)
    errors = waits;
  else if (number == SYS_pidfd_open)
    errors = opens;
  else if (number == SYS_pidfd_send_signal)
    errors = sends;
  else if (number == SYS_membarrier)
    errors = barriers;
  error = faults_ask (number == SYS_futex ? "futex" : "syscall", errors, HERE);
  if (error) {
    errno = error;
    return -1;
  }
  return __real_syscall (number, a, b, c, d, e, f);
}
