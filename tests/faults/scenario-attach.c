/* SPDX-License-Identifier: BSD-3-Clause */
/* tierswapctl's part that deals with the kernel and with the server's process:
 * the same functions, in a process of this test.  What a disk of the nbd driver
 * takes part in is run in a guest (test-faults-uml.sh); the upgrade anywhere.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/commands.h"
#include "scenario.h"
#include "workload.h"

#define DISK "/dev/nbd0"
#define SECOND 200 /* times that a moment is */

static char nbd_socket[128], pid_file[128], disk_file[128];

/* ---- the server ---- */

/* Gone, or nothing but a zombie of whoever is its parent. */
static bool
has_ended (pid_t process)
{
  char path[64], state = 'X';
  FILE *file;

  snprintf (path, sizeof path, "/proc/%d/stat", (int) process);
  file = fopen (path, "r");
  if (file) {
    if (fscanf (file, "%*d (%*[^)]) %c", &state) != 1)
      state = 'X';
    fclose (file);
  }
  return state == 'X' || state == 'Z';
}

/* The process that the server wrote down, 0: none, or it has ended. */
static pid_t
server_process (void)
{
  FILE *file = fopen (pid_file, "r");
  int process = 0;

  if (file) {
    if (fscanf (file, "%d", &process) != 1)
      process = 0;
    fclose (file);
  }
  return process > 0 && !has_ended (process) ? process : 0;
}

static void
kill_server (void)
{
  pid_t process = server_process ();

  if (process == 0)
    return;
  kill (process, SIGKILL);
  for (unsigned tries = 0; !has_ended (process) && worth_another_try (&tries);)
    ;
  unlink (pid_file);
  unlink (nbd_socket);
}

/* nbdkit ends with its parent, so it must be an orphan before it begins. */
static void __attribute__ ((noreturn)) be_server (char *const words[])
{
  pid_t parent = getpid ();
  int null;

  if (fork () != 0)
    _exit (0);
  while (getppid () == parent)
    pause_a_moment ();
  null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; ++fd)
    dup2 (null, fd);
  execvp (words[0], words);
  _exit (127);
}

/* Until it has written down its process and there is its SOCKET. */
static void
start (char *const words[], const char *socket)
{
  unsigned tries = 0;
  pid_t child;

  unlink (socket);
  unlink (nbd_socket);
  unlink (pid_file);
  fflush (NULL);
  child = fork ();
  if (child == 0)
    be_server (words);
  waitpid (child, NULL, 0);
  while ((access (socket, F_OK) == -1 || server_process () == 0)
         && worth_another_try (&tries))
    ;
}

/* One with a control socket, whose pages outlive it. */
static void
start_tierswap (void)
{
  char plugin[512], control_word[160];
  char *words[] = { (char *) "nbdkit", (char *) "-f", (char *) "--threads=1",
                    (char *) "-U",     nbd_socket,    (char *) "-P",
                    pid_file,          plugin,        conf,
                    control_word,      NULL };

  snprintf (plugin, sizeof plugin, "%s/.libs/nbdkit-tierswap-plugin.so",
            build_folder);
  snprintf (control_word, sizeof control_word, "control=%s", control);
  start (words, control);
}

/* One of a file. */
static char *file_words[] = { (char *) "nbdkit",
                              (char *) "-f",
                              (char *) "--threads=1",
                              (char *) "-U",
                              nbd_socket,
                              (char *) "-P",
                              pid_file,
                              (char *) "file",
                              disk_file,
                              NULL };

static void
start_file (void)
{
  start (file_words, nbd_socket);
}

/* ---- commands ---- */

typedef int (*attach_function) (const char *control, char *const arguments[],
                                struct why *why);

/* Run it with arguments up to a NULL: -1 if it failed, and it must say why. */
static int
once (attach_function function, const char *name, char *const arguments[])
{
  struct why why = { "" };

  errno = 0;
  if (function (control, arguments, &why) == 0)
    return 0;
  failed (&result->commands, name);
  note_message (why.text);
  if (!why.text[0])
    bad ("refused without a word");
  return -1;
}

static void
until_it_works (attach_function function, const char *name,
                char *const arguments[])
{
  unsigned tries = 0;

  while (once (function, name, arguments) == -1)
    if (!worth_another_try (&tries)) {
      bad ("it fails for ever");
      return;
    }
}

static bool
is_swapped_on (void)
{
  FILE *swaps = fopen ("/proc/swaps", "r");
  char line[512];
  bool found = false;

  while (swaps && fgets (line, sizeof line, swaps))
    found |= strncmp (line, DISK " ", sizeof DISK) == 0;
  if (swaps)
    fclose (swaps);
  return found;
}

static bool
is_connected (void)
{
  return access ("/sys/block/nbd0/pid", F_OK) == 0;
}

static void
attach (void)
{
  char socket[160];
  char *const arguments[] = { (char *) DISK, socket, (char *) "connections=2",
                              (char *) "timeout=300", NULL };

  snprintf (socket, sizeof socket, "socket=%s", nbd_socket);
  until_it_works (attach_command, "attach", arguments);
  if (!is_swapped_on () || !is_connected ())
    bad ("it is attached, and not swapped on");
}

static void
detach (void)
{
  char *const arguments[] = { (char *) DISK, NULL };

  until_it_works (detach_command, "detach", arguments);
  if (is_swapped_on () || is_connected ())
    bad ("it is detached, and still there");
}

static void
quietly (void)
{
  int null = open ("/dev/null", O_WRONLY | O_CLOEXEC);

  fflush (NULL);
  dup2 (null, STDOUT_FILENO);
  dup2 (null, STDERR_FILENO);
  close (null);
}

/* There is nothing that could: that is what the server says. */
static void
watch_in_vain (void)
{
  static char *const arguments[] = { (char *) DISK, NULL };
  struct why why = { "" };

  if (watch_command (control, arguments, &why) == 0 || !why.text[0])
    bad ("it is watched, or it is not told why it is not");
}

static void
attach_and_detach (void)
{
  quietly ();
  attach ();
  watch_in_vain ();
  detach ();
}

/* ---- reconnect ---- */

static void
attach_only (void)
{
  quietly ();
  attach ();
}

static void
reconnect (void)
{
  char socket[160];
  char *const arguments[]
      = { (char *) DISK, socket, (char *) "timeout=300", NULL };

  quietly ();
  snprintf (socket, sizeof socket, "socket=%s", nbd_socket);
  until_it_works (reconnect_command, "reconnect", arguments);
}

/* The first page of it, from the server. */
static bool
can_be_read (void)
{
  int fd = open (DISK, O_RDONLY | O_DIRECT | O_CLOEXEC);
  static char page[4096] __attribute__ ((aligned (4096)));
  bool can = fd != -1 && pread (fd, page, sizeof page, 0) == sizeof page;

  if (fd != -1)
    close (fd);
  return can;
}

static void
detach_only (void)
{
  quietly ();
  if (!can_be_read ())
    bad ("the disk cannot be read");
  detach ();
}

static void
prepare_server (void)
{
  in_folder ("nbd.sock", nbd_socket);
  in_folder ("server.pid", pid_file);
  in_folder ("memory/disk", disk_file);
}

static void
prepare_file (void)
{
  int fd;

  prepare_server ();
  kill_server ();
  fd = open (disk_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || ftruncate (fd, 32 << 20) == -1)
    abort ();
  close (fd);
}

static void
lose_server (void)
{
  kill_server ();
  start_file ();
}

static void
attach_and_lose (void)
{
  attach_only ();
  lose_server ();
}

/* ---- supervise ---- */

/* What happens to a supervisor that is SUPERVISOR: its server is killed, then
 * it is told to end.
 */
static void __attribute__ ((noreturn)) disturb (pid_t supervisor)
{
  unsigned tries = 0;
  pid_t first;

  alarm (90);
  while (!is_swapped_on ())
    pause_a_moment ();
  first = server_process ();
  kill (first, SIGKILL);
  while (server_process () == first || server_process () == 0)
    pause_a_moment ();
  while (!can_be_read ())
    pause_a_moment ();
  for (;; ++tries) {
    if (tries % SECOND == 0)
      kill (supervisor, SIGTERM);
    pause_a_moment ();
  }
}

static void
supervise (void)
{
  char socket[160], notify[128];
  char *arguments[20]
      = { (char *) DISK, socket, (char *) "timeout=10", (char *) "--" };
  pid_t self = getpid (), child;

  quietly ();
  snprintf (socket, sizeof socket, "socket=%s", nbd_socket);
  for (unsigned i = 0; file_words[i]; ++i)
    arguments[4 + i] = file_words[i];
  setenv ("NOTIFY_SOCKET", in_folder ("systemd", notify), 1);
  child = fork ();
  if (child == 0)
    disturb (self);
  if (once (supervise_command, "supervise", arguments) == -1)
    snprintf (result->refused, sizeof result->refused, "supervise");
  kill (child, SIGKILL);
  waitpid (child, NULL, 0);
  if (is_swapped_on () || is_connected ())
    bad ("it ended, and the disk is still there");
}

/* Once it was refused: without faults. */
static void
supervise_well (void)
{
  struct result before = *result;

  if (!before.refused[0])
    return;
  result->refused[0] = '\0';
  result->commands = 0;
  supervise ();
  if (result->commands)
    bad ("it cannot be supervised any more");
  if (!result->bad[0])
    *result = before;
}

static void
clean_up (void)
{
  kill_server ();
}

/* Its first server is one that another supervisor has left. */
static void
prepare_orphan (void)
{
  prepare_file ();
  start_file ();
}

static const char *
no_driver (void)
{
  if (!own_mounts)
    return "no mounts of its own";
  return access (DISK, F_OK) == 0
             ? NULL
             : "there is no nbd driver: see tests/faults/test-faults-uml.sh";
}

static void
prepare_disk (void)
{
  char path[128];

  prepare_server ();
  if (server_process () != 0)
    return;
  unlink (in_folder ("memory/state", path));
  write_conf ("conf", CONF_STATE | CONF_ONE_FILE);
  start_tierswap ();
}

const struct scenario attach_disk = {
  .name = "attach",
  .phases = { { attach_and_detach, true, false } },
  .prepare = prepare_disk,
  .keeps_server = true,
  .missing = no_driver,
  .in_guest = true,
};
const struct scenario attach_reconnect = {
  .name = "reconnect",
  .phases = { { attach_and_lose, false, true },
              { reconnect, true, false },
              { detach_only, false, false } },
  .prepare = prepare_orphan,
  .clean_up = clean_up,
  .missing = no_driver,
  .in_guest = true,
};
const struct scenario attach_supervise = {
  .name = "supervise",
  .phases = { { supervise, true, false }, { supervise_well, false, true } },
  .prepare = prepare_file,
  .clean_up = clean_up,
  .missing = no_driver,
  .in_guest = true,
};

const struct scenario attach_adopt = {
  .name = "adopt",
  .phases = { { supervise, true, false }, { supervise_well, false, true } },
  .prepare = prepare_orphan,
  .clean_up = clean_up,
  .missing = no_driver,
  .in_guest = true,
};

/* ---- upgrade ---- */

/* It says which disks there are, or that there is no driver. */
static void
attach_in_vain (void)
{
  static char *const arguments[] = { (char *) "/dev/nbd-none", NULL };
  struct why why = { "" };

  if (attach_command (control, arguments, &why) == 0 || !why.text[0])
    bad ("it is attached, or it is not told why it is not");
}

static void
upgrade (void)
{
  char *const arguments[] = { NULL };
  unsigned tries = 0;

  quietly ();
  attach_in_vain ();
  while (once (upgrade_command, "upgrade", arguments) == -1
         && worth_another_try (&tries)) {
    /* It says that one must be started by hand. */
    if (server_process () == 0) {
      if (!strstr (result->message, "pool.state"))
        bad ("the server was ended, and it is not told");
      start_tierswap ();
    }
  }
  command (false, "status", NULL, NULL, NULL);
  command (false, "check", NULL, NULL, NULL);
}

/* One goes on from run to run. */
static void
prepare_upgrade (void)
{
  char path[128];

  prepare_server ();
  if (server_process () != 0 && access (control, F_OK) == 0)
    return;
  kill_server ();
  unlink (in_folder ("memory/state", path));
  write_conf ("conf", CONF_STATE | CONF_ONE_FILE);
  start_tierswap ();
}

static const char *
no_upgrade (void)
{
  const char *sanitizer = getenv ("SANITIZER");

  if (sanitizer && strcmp (sanitizer, "no") != 0)
    return "with a sanitizer nbdkit needs another start";
  return own_mounts ? NULL : "no ramfs can be mounted here";
}

const struct scenario attach_upgrade = {
  .name = "upgrade",
  .phases = { { upgrade, true, false } },
  .prepare = prepare_upgrade,
  .keeps_server = true,
  .missing = no_upgrade,
};

/* The requests of a disk are sent again. */
static void
upgrade_under_disk (void)
{
  char *const arguments[] = { NULL };

  quietly ();
  until_it_works (upgrade_command, "upgrade", arguments);
}

static const char *const of_driver[] = { "server/attach/driver.c", NULL };

const struct scenario attach_upgrade_disk = {
  .name = "under",
  .phases = { { attach_only, false, true },
              { upgrade_under_disk, true, false },
              { detach_only, false, false } },
  .prepare = prepare_disk,
  .only = of_driver,
  .keeps_server = true,
  .missing = no_driver,
  .in_guest = true,
};
