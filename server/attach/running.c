/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attach/orphan.h"
#include "attach/running.h"
#include "control/ask.h"

#define PLUGIN "nbdkit-tierswap-plugin.so"
#define ANSWER_ROOM 8192
#define ANSWER_PATIENCE 60000 /* milliseconds */
#define END_PATIENCE 60000    /* milliseconds: it may have much to unmap */

extern char **environ;

/* ---- what /proc tells ---- */

/* A whole file of strings, each with its NUL.  To free(). */
static char *
read_strings (pid_t process, const char *name, size_t *length)
{
  char path[64], *text = NULL, *more;
  size_t room = 0;
  ssize_t n = 1;
  int fd;

  snprintf (path, sizeof path, "/proc/%d/%s", (int) process, name);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  *length = 0;
  while (fd != -1 && n > 0) {
    more = realloc (text, room += 4096);
    if (!more)
      break;
    text = more;
    n = read (fd, text + *length, room - 1 - *length);
    *length += n > 0 ? (size_t) n : 0;
    text[*length] = '\0';
  }
  if (fd != -1)
    close (fd);
  return text;
}

/* Where each string begins, up to a NULL.  To free(). */
static char **
split_strings (char *text, size_t length)
{
  size_t count = 0;
  char **list;

  for (size_t i = 0; i < length; ++i)
    count += text[i] == '\0';
  list = calloc (count + 2, sizeof *list);
  count = 0;
  for (size_t i = 0; list && i < length; i += strlen (text + i) + 1)
    list[count++] = text + i;
  return list;
}

static int
open_of (pid_t process, const char *name, int flags)
{
  char path[512];

  snprintf (path, sizeof path, "/proc/%d/%s", (int) process, name);
  return open (path, flags | O_CLOEXEC);
}

/* The plugin as it is mapped: its file may be another one by now. */
static int
open_plugin (pid_t process)
{
  char path[64], target[4096];
  const struct dirent *entry;
  DIR *maps;
  int fd = -1;

  snprintf (path, sizeof path, "/proc/%d/map_files", (int) process);
  maps = opendir (path);
  while (maps && fd == -1 && (entry = readdir (maps))) {
    ssize_t n
        = readlinkat (dirfd (maps), entry->d_name, target, sizeof target - 1);

    target[n > 0 ? n : 0] = '\0';
    if (strstr (target, PLUGIN))
      fd = openat (dirfd (maps), entry->d_name, O_RDONLY | O_CLOEXEC);
  }
  if (maps)
    closedir (maps);
  return fd;
}

/* ---- the one that runs ---- */

#define OPEN_FILE "/proc/self/fd/"
#define REMOVED " (deleted)"

/* One that was started again by running_start has its plugin as an open file,
 * which only says something to itself.  Whoever comes next is given its path.
 */
static void
name_plugin (struct running *r)
{
  char link[64];
  size_t tail = sizeof REMOVED - 1;

  for (unsigned i = 1; r->argv && r->argv[0] && r->argv[i]; ++i) {
    ssize_t n;

    if (strncmp (r->argv[i], OPEN_FILE, sizeof OPEN_FILE - 1) != 0)
      continue;
    snprintf (link, sizeof link, "/proc/%d/fd/%.20s", (int) r->process,
              r->argv[i] + sizeof OPEN_FILE - 1);
    n = readlink (link, r->plugin_path, sizeof r->plugin_path - 1);
    if (n <= 0)
      return;
    r->plugin_path[n] = '\0';
    if ((size_t) n > tail && strcmp (r->plugin_path + n - tail, REMOVED) == 0)
      r->plugin_path[(size_t) n - tail] = '\0';
    r->argv[i] = r->plugin_path;
    return;
  }
}

static int
find_process (const char *control, pid_t *process, struct why *why)
{
  struct ucred peer = { .pid = 0 };
  socklen_t length = sizeof peer;
  struct ask server;

  if (ask_open (&server, control, why) == -1)
    return -1;
  getsockopt (server.fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
  ask_close (&server);
  *process = peer.pid;
  return peer.pid > 0 ? 0
                      : why_set (why, ESRCH,
                                 "socket %s: its server is not a process that "
                                 "can be seen from here",
                                 control);
}

int
running_find (struct running *r, const char *control, struct why *why)
{
  size_t length = 0, variables = 0;

  *r = (struct running){
    .pidfd = -1, .directory = -1, .program = -1, .plugin = -1, .messages = -1
  };
  if (find_process (control, &r->process, why) == -1)
    return -1;
  r->pidfd = (int) syscall (SYS_pidfd_open, r->process, 0);
  if (r->pidfd == -1)
    return why_set (why, errno, "process %d: %s", (int) r->process,
                    strerror (errno));
  fcntl (r->pidfd, F_SETFD, FD_CLOEXEC);
  r->words = read_strings (r->process, "cmdline", &length);
  r->variables = read_strings (r->process, "environ", &variables);
  r->argv = r->words ? split_strings (r->words, length) : NULL;
  name_plugin (r);
  r->environment
      = r->variables ? split_strings (r->variables, variables) : NULL;
  r->directory = open_of (r->process, "cwd", O_PATH | O_DIRECTORY);
  r->program = open_of (r->process, "exe", O_RDONLY);
  r->plugin = open_plugin (r->process);
  r->messages = open_of (r->process, "fd/2", O_WRONLY | O_APPEND | O_NOCTTY);
  if (r->argv && r->argv[0] && r->environment && r->directory != -1)
    return 0;
  return why_set (why, EPERM,
                  "process %d: how it was started cannot be read: this needs "
                  "root",
                  (int) r->process);
}

/* Whether a word of the process ends with PATH: "-U PATH", "--unix=PATH". */
static bool
names_socket (pid_t process, const char *path)
{
  size_t length, tail = strlen (path);
  char *text = read_strings (process, "cmdline", &length);
  char **words = text ? split_strings (text, length) : NULL;
  bool named = false;

  for (unsigned i = 1; words && words[i] && !named; ++i) {
    size_t n = strlen (words[i]);

    named = n >= tail && strcmp (words[i] + n - tail, path) == 0;
  }
  free (words);
  free (text);
  return named;
}

int
running_behind (int connection, const char *path)
{
  struct ucred peer = { .pid = 0 };
  socklen_t length = sizeof peer;
  int fd = -1;

  if (getsockopt (connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0
      && peer.pid > 0)
    fd = (int) syscall (SYS_pidfd_open, peer.pid, 0);
  if (fd == -1)
    return -1;
  fcntl (fd, F_SETFD, FD_CLOEXEC);
  /* The one that began to listen may be gone, and its number another's. */
  if (names_socket (peer.pid, path))
    return fd;
  close (fd);
  return -1;
}

void
running_close (struct running *r)
{
  const int fds[]
      = { r->pidfd, r->directory, r->program, r->plugin, r->messages };

  for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; ++i)
    if (fds[i] != -1)
      close (fds[i]);
  free (r->argv);
  free (r->words);
  free (r->environment);
  free (r->variables);
}

bool
running_socket (const struct running *r, char *path, size_t room)
{
  const char *found = NULL;
  char link[64];
  size_t length = 0;
  ssize_t n;

  for (unsigned i = 1; r->argv[i]; ++i) {
    const char *word = r->argv[i];

    if (strcmp (word, "-U") == 0 || strcmp (word, "--unix") == 0)
      found = r->argv[i + 1];
    else if (strncmp (word, "--unix=", 7) == 0)
      found = word + 7;
    else if (strncmp (word, "-U", 2) == 0)
      found = word + 2;
    if (found)
      break;
  }
  if (!found || strcmp (found, "-") == 0)
    return false;
  if (found[0] != '/') {
    snprintf (link, sizeof link, "/proc/%d/cwd", (int) r->process);
    n = readlink (link, path, room - 1);
    if (n <= 0)
      return false;
    length = (size_t) n;
    path[length++] = '/';
  }
  return (size_t) snprintf (path + length, room - length, "%s", found)
         < room - length;
}

bool
running_stays (const struct running *r)
{
  for (unsigned i = 1; r->argv[i]; ++i)
    if (strcmp (r->argv[i], "-f") == 0
        || strcmp (r->argv[i], "--foreground") == 0)
      return true;
  return false;
}

/* ---- the one that comes ---- */

/* In a child: run WORDS as the one that runs was. */
static void __attribute__ ((noreturn))
become (const struct running *r, char *const words[], bool same)
{
  if (fchdir (r->directory) == -1)
    _exit (127);
  environ = r->environment;
  if (same)
    fexecve (r->program, words, environ);
  else
    execvp (words[0], words);
  fprintf (stderr, "tierswapctl: %s: %s\n", words[0], strerror (errno));
  _exit (127);
}

static char **
copy_words (const struct running *r, unsigned room)
{
  unsigned count = 0;
  char **copy;

  while (r->argv[count])
    count++;
  copy = calloc (count + room + 1, sizeof *copy);
  if (copy)
    memcpy (copy, r->argv, count * sizeof *copy);
  return copy;
}

/* Until FD can be read from, or has ended.  An interruption is no answer. */
static bool
wait_for (int fd, int milliseconds)
{
  struct pollfd what = { .fd = fd, .events = POLLIN };
  struct timespec begin, now;
  long left = milliseconds;
  int r;

  clock_gettime (CLOCK_MONOTONIC, &begin);
  while ((r = poll (&what, 1, (int) left)) == -1 && errno == EINTR) {
    clock_gettime (CLOCK_MONOTONIC, &now);
    left = milliseconds - (now.tv_sec - begin.tv_sec) * 1000;
    if (left < 0)
      left = 0;
  }
  return r == 1;
}

/* The answer to --dump-plugin with the same words, into TEXT. */
static int
dump (const struct running *r, char text[ANSWER_ROOM], struct why *why)
{
  char **words = copy_words (r, 1);
  size_t length = 0;
  int ends[2];
  pid_t child;
  ssize_t n;

  if (!words || pipe2 (ends, O_CLOEXEC) == -1) {
    free (words);
    return why_set (why, errno, "pipe: %s", strerror (errno));
  }
  for (unsigned i = 0; r->argv[i]; ++i)
    words[i + 1] = r->argv[i];
  words[1] = (char *) "--dump-plugin";
  child = fork ();
  if (child == 0) {
    dup2 (ends[1], STDOUT_FILENO);
    dup2 (ends[1], STDERR_FILENO);
    become (r, words, false);
  }
  close (ends[1]);
  free (words);
  while (child != -1 && wait_for (ends[0], ANSWER_PATIENCE)
         && (n = read (ends[0], text + length, ANSWER_ROOM - 1 - length)) > 0)
    length += (size_t) n;
  text[length] = '\0';
  close (ends[0]);
  if (child == -1)
    return why_set (why, errno, "fork: %s", strerror (errno));
  kill (child, SIGKILL);
  waitpid (child, NULL, 0);
  return 0;
}

/* The value of KEY in the answer TEXT, up to the end of the line. */
static bool
value_of (const char *text, const char *key, char *value, size_t room)
{
  const char *found = text;

  while ((found = strstr (found, key)) != NULL
         && !(found == text || found[-1] == '\n'))
    found++;
  if (!found)
    return false;
  found += strlen (key);
  snprintf (value, room, "%.*s", (int) strcspn (found, "\n"), found);
  return true;
}

int
running_ask_successor (struct running *r, struct why *why)
{
  char text[ANSWER_ROOM], value[sizeof why->text - 80];

  for (unsigned i = 1; r->argv[i] && !r->supervised; ++i)
    if (strcmp (r->argv[i], "--exit-with-parent") == 0)
      return why_set (why, EINVAL,
                      "process %d ends with its parent, --exit-with-parent, "
                      "which alone can start another one",
                      (int) r->process);
  if (dump (r, text, why) == -1)
    return -1;
  if (!value_of (text, "version=", r->version, sizeof r->version))
    return why_set (why, ENOEXEC,
                    "the installed server does not start with the words of the "
                    "one that runs: %.*s",
                    (int) strcspn (text, "\n"), text);
  if (value_of (text, "tierswap_refuses=", value, sizeof value))
    return why_set (why, EPROTO, "the installed server would not go on: %s",
                    value);
  if (!value_of (text, "tierswap_could_follow=", value, sizeof value))
    return why_set (why, EPROTO,
                    "the installed server, %s, cannot tell whether it could "
                    "go on with these pages; install a newer one, and name a "
                    "configuration with pool.state when it is started",
                    r->version);
  if (strtol (value, NULL, 10) != r->process)
    return why_set (why, ESTALE,
                    "the installed server would not go on: the configuration "
                    "names another pool.state than process %d has; name that "
                    "one again",
                    (int) r->process);
  return 0;
}

int
running_end (struct running *r, struct why *why)
{
  if (syscall (SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0) == -1
      && errno != ESRCH)
    return why_set (why, errno, "process %d: %s", (int) r->process,
                    strerror (errno));
  if (!wait_for (r->pidfd, END_PATIENCE))
    return why_set (why, EBUSY,
                    "process %d was killed and does not end: it waits for a "
                    "device; dmesg may tell more",
                    (int) r->process);
  return 0;
}

/* The plugin in the words of a command, as its name or path. */
static bool
is_plugin (const char *word)
{
  size_t length = strlen (word);

  return strcmp (word, "tierswap") == 0
         || (length >= sizeof PLUGIN - 1
             && strcmp (word + length - (sizeof PLUGIN - 1), PLUGIN) == 0);
}

void
running_remove_socket (const char *path)
{
  struct stat status;

  if (lstat (path, &status) == 0 && S_ISSOCK (status.st_mode))
    unlink (path);
}

struct successor {
  const struct running *old;
  char *const *words;
  bool same;
};

/* In a process of its own. */
static void __attribute__ ((noreturn)) succeed (const void *opaque)
{
  const struct successor *successor = opaque;
  const struct running *r = successor->old;
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  dup2 (null, STDIN_FILENO);
  if (r->messages != -1)
    dup2 (r->messages, STDERR_FILENO);
  dup2 (STDERR_FILENO, STDOUT_FILENO);
  if (successor->same)
    fcntl (r->plugin, F_SETFD, 0);
  become (r, successor->words, successor->same);
}

int
running_start (const struct running *r, bool same, struct why *why)
{
  char **words = copy_words (r, 0), plugin[64];
  int fd;

  if (!words || (same && (r->program == -1 || r->plugin == -1))) {
    free (words);
    return why_set (why, ENOENT,
                    "the program that ran cannot be opened any more");
  }
  snprintf (plugin, sizeof plugin, OPEN_FILE "%d", r->plugin);
  for (unsigned i = 1; same && words[i]; ++i)
    if (is_plugin (words[i])) {
      words[i] = plugin;
      break;
    }
  fd = orphan_start (succeed, &(struct successor){ r, words, same }, why);
  free (words);
  return fd;
}
