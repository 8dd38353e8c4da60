/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the backings share: a folder of their own, I/O in one
 * line, patterns, conditions to wait for, and an NBD server as a child.
 *
 * Each program includes it once; what it does not use costs nothing.
 */
#ifndef TIERSWAP_TEST_BACKING_H
#define TIERSWAP_TEST_BACKING_H

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backing/backing.h"
#include "common/message.h"

#define UNUSED __attribute__ ((unused))
#define KIB UINT64_C (1024)
#define MIB (KIB * 1024)

/* Far more than anything here takes, even on a busy machine. */
#define PATIENCE 300 /* seconds */

/* ---- the folder ---- */

/* In the current folder, which is on a real file system. */
static char folder[] = "backing-XXXXXX";

static int
remove_one (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove (path);
}

static UNUSED int
make_folder (void **state)
{
  (void) state;
  strcpy (folder, "backing-XXXXXX");
  return mkdtemp (folder) ? 0 : -1;
}

/* A path in it; good until eight more were asked for. */
static UNUSED const char *
in_folder (const char *name)
{
  static char paths[8][256];
  static unsigned turn;
  char *path = paths[turn++ % 8];

  snprintf (path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static UNUSED int
remove_folder (void **state)
{
  static const char *const mounts[] = { "mount", "full", "ram", "fuse" };
  unsigned i;

  (void) state;
  /* Of a test that failed. */
  for (i = 0; i < sizeof mounts / sizeof mounts[0]; ++i)
    umount2 (in_folder (mounts[i]), MNT_DETACH);
  return nftw (folder, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* ---- waiting ---- */

static inline double
seconds_now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static inline void
pause_briefly (void)
{
  nanosleep (&(struct timespec){ .tv_nsec = 5 * 1000 * 1000 }, NULL);
}

/* Wait until CONDITION holds, or fail. */
#define wait_until(condition)                                                  \
  do {                                                                         \
    double end_ = seconds_now () + PATIENCE;                                   \
    while (!(condition)) {                                                     \
      if (seconds_now () > end_)                                               \
        fail_msg ("this did not come about: %s", #condition);                  \
      pause_briefly ();                                                        \
    }                                                                          \
  } while (0)

/* ---- messages ---- */

/* The last ones, so that a test can look for one. */
static char messages[16][1024];
static unsigned messages_count;
static pthread_mutex_t messages_lock = PTHREAD_MUTEX_INITIALIZER;

static UNUSED void
keep_message (enum message_kind kind, const char *text)
{
  (void) kind;
  if (getenv ("TEST_VERBOSE"))
    print_message ("%s\n", text);
  pthread_mutex_lock (&messages_lock);
  snprintf (messages[messages_count++ % 16], sizeof messages[0], "%s", text);
  pthread_mutex_unlock (&messages_lock);
}

static UNUSED unsigned
messages_with (const char *part)
{
  unsigned i, found = 0;

  pthread_mutex_lock (&messages_lock);
  for (i = 0; i < 16; ++i)
    found += strstr (messages[i], part) != NULL;
  pthread_mutex_unlock (&messages_lock);
  return found;
}

static UNUSED void
forget_messages (void)
{
  pthread_mutex_lock (&messages_lock);
  memset (messages, 0, sizeof messages);
  pthread_mutex_unlock (&messages_lock);
}

/* ---- I/O ---- */

static UNUSED void *
get_buffer (size_t bytes)
{
  void *p = mmap (NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  assert_ptr_not_equal (p, MAP_FAILED);
  return p;
}

/* Fill with what can be recognised as SEED's; every word differs. */
static UNUSED void
fill (void *buffer, size_t bytes, uint64_t seed)
{
  uint64_t *words = buffer;
  size_t i;

  for (i = 0; i < bytes / 8; ++i)
    words[i] = (seed + 1) * UINT64_C (0x9e3779b97f4a7c15)
               + i * UINT64_C (0xd1342543de82ef95);
}

/* Whether it is what fill made, from byte SKIP of it on. */
static UNUSED bool
is_filled (const void *buffer, size_t bytes, uint64_t seed, size_t skip)
{
  const uint64_t *words = buffer;
  size_t i;

  for (i = 0; i < bytes / 8; ++i)
    if (words[i]
        != (seed + 1) * UINT64_C (0x9e3779b97f4a7c15)
               + (i + skip / 8) * UINT64_C (0xd1342543de82ef95))
      return false;
  return true;
}

/* One request alone; its errno. */
static UNUSED int
do_io (struct backing_queue *queue, struct backing *backing, enum backing_op op,
       void *buffer, size_t length, uint64_t offset)
{
  struct backing_io io = { .backing = backing,
                           .op = op,
                           .buffer = buffer,
                           .length = length,
                           .offset = offset,
                           .user = &io,
                           .error = -1 };

  assert_int_equal (backing_queue_submit (queue, &io), 0);
  assert_ptr_equal (backing_queue_wait (queue), &io);
  assert_ptr_equal (io.user, &io);
  return io.error;
}

static UNUSED struct backing *
open_backing (const struct backing_options *options)
{
  struct backing *backing = NULL;
  char *error = NULL;

  if (backing_open (options, &backing, &error) == -1)
    fail_msg ("backing_open: %s (%s)", error, strerror (errno));
  assert_null (error);
  return backing;
}

/* Opening fails so, with a sentence that has PART in it. */
static UNUSED void
expect_no_open (const struct backing_options *options, int expected_errno,
                const char *part)
{
  struct backing *backing = NULL;
  char *error = NULL;

  errno = 0;
  assert_int_equal (backing_open (options, &backing, &error), -1);
  if (errno != expected_errno)
    fail_msg ("%s, not %s: %s", strerror (errno), strerror (expected_errno),
              error);
  assert_non_null (error);
  assert_non_null (strstr (error, options->name));
  if (strstr (error, part) == NULL)
    fail_msg ("\"%s\" does not say \"%s\"", error, part);
  free (error);
}

/* ---- both engines ---- */

static UNUSED int
use_uring (void **state)
{
  unsetenv ("TIERSWAP_IO");
  return make_folder (state);
}

static UNUSED int
use_threads (void **state)
{
  setenv ("TIERSWAP_IO", "threads", 1);
  return make_folder (state);
}

/* Run the tests once with each; TEST_FILTER in the environment is a pattern
 * that says which.
 */
#define run_with_both_engines(tests)                                           \
  (cmocka_set_test_filter (getenv ("TEST_FILTER")),                            \
   cmocka_run_group_tests_name ("io_uring", tests, use_uring, remove_folder)   \
       + cmocka_run_group_tests_name ("threads", tests, use_threads,           \
                                      remove_folder))

/* ---- children ---- */

/* Run a program that ends when this one does.  Its output is dropped. */
static UNUSED pid_t
spawn (const char *const *arguments)
{
  pid_t pid = fork ();

  assert_int_not_equal (pid, -1);
  if (pid == 0) {
    sigset_t none;

    prctl (PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset (&none);
    sigprocmask (SIG_SETMASK, &none, NULL);
    if (getenv ("TEST_VERBOSE") == NULL
        && (freopen ("/dev/null", "w", stdout) == NULL
            || freopen ("/dev/null", "w", stderr) == NULL))
      _exit (126);
    execvp (arguments[0], (char *const *) arguments);
    _exit (127);
  }
  return pid;
}

/* Its exit status, 128 + the signal that killed it. */
static UNUSED int
reap (pid_t pid)
{
  int status;

  while (waitpid (pid, &status, 0) == -1)
    assert_int_equal (errno, EINTR);
  return WIFEXITED (status) ? WEXITSTATUS (status) : 128 + WTERMSIG (status);
}

static UNUSED int
run_program (const char *const *arguments)
{
  return reap (spawn (arguments));
}

static UNUSED bool
have_program (const char *name)
{
  char command[128];

  snprintf (command, sizeof command, "command -v %s >/dev/null 2>&1", name);
  return system (command) == 0;
}

/* Start nbdkit on the socket SOCKET of the folder; it takes requests when
 * this returns.
 */
static UNUSED pid_t
start_nbdkit (const char *socket, const char *const *more)
{
  const char *arguments[32] = { "nbdkit", "-f", "--exit-with-parent" };
  char path[256], pid_file[300];
  unsigned n = 3;
  pid_t pid;

  snprintf (path, sizeof path, "%s", in_folder (socket));
  snprintf (pid_file, sizeof pid_file, "%s.pid", path);
  unlink (path);
  unlink (pid_file);
  arguments[n++] = "-U";
  arguments[n++] = path;
  arguments[n++] = "-P";
  arguments[n++] = pid_file;
  while (*more)
    arguments[n++] = *more++;
  arguments[n] = NULL;
  pid = spawn (arguments);
  wait_until (access (pid_file, F_OK) == 0);
  return pid;
}

#define NBDKIT(socket, ...)                                                    \
  start_nbdkit (socket, (const char *const[]){ __VA_ARGS__, NULL })

static UNUSED void
kill_child (pid_t pid)
{
  kill (pid, SIGKILL);
  reap (pid);
}

/* Stop it (SIGCONT lets it go on); all its threads have when this returns. */
static UNUSED void
stop_child (pid_t pid)
{
  int status;

  kill (pid, SIGSTOP);
  assert_int_equal (waitpid (pid, &status, WUNTRACED), pid);
  assert_true (WIFSTOPPED (status));
}

/* The URI of that server. */
static UNUSED const char *
uri_of (const char *socket)
{
  static char uri[512];

  snprintf (uri, sizeof uri, "nbd+unix:///?socket=%s", in_folder (socket));
  return uri;
}

#endif /* TIERSWAP_TEST_BACKING_H */
