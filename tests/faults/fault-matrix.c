/* SPDX-License-Identifier: BSD-3-Clause */
/* Every call of the server that can fail is made to fail, once, in a run of its
 * own.  What must come of it is a clean error, a retry or a fallback: no crash,
 * nothing that hangs, all that was acknowledged is right, a request that failed
 * works when it is sent again, and what was taken (memory, mappings,
 * descriptors, threads, mounts) is given back.
 *
 * usage: fault-matrix [SCENARIO|guest [SITE]]      SITE such as listener.c:227
 *
 * Each scenario is run first to see which call sites it comes to; a site is
 * tried in the first scenario that does.  The table of sites, faults and
 * outcomes is printed and kept in tests/faults/fault-matrix.txt, with the call
 * sites that the program has and that never failed.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "call-sites.h"
#include "faults.h"
#include "report.h"
#include "scenario.h"
#include "tierswap.h"
#include "workload.h"

#define HANG 100         /* seconds after which a phase counts as hung */
#define RETRY_SECONDS 40 /* that a request is tried again */
#define RETRY_PAUSE 5    /* milliseconds */
#define DESCRIPTORS 1024

extern char **environ;

struct result *result;
char folder[64] = "/tmp/tierswap-faults-XXXXXX";
bool own_mounts;
const char *build_folder;

static const struct scenario *const scenarios[] = {
  &device_life,    &device_threads,   &device_commands,  &device_remote,
  &device_changes, &device_cgroups,   &state_made,       &state_taken_over,
  &fuse_tree,      &fuse_stale,       &plugin_exports,   &attach_upgrade,
  &attach_disk,    &attach_reconnect, &attach_supervise,
};
#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

/* ---- what scenarios are given ---- */

const char *
in_folder (const char *name, char path[128])
{
  snprintf (path, 128, "%s/%.40s", folder, name);
  return path;
}

void
bad (const char *what)
{
  if (!result->bad[0])
    snprintf (result->bad, sizeof result->bad, "%s", what);
}

void
note_message (const char *text)
{
  snprintf (result->message, sizeof result->message, "%s", text);
}

static void
take_message (enum tierswap_message_kind kind, const char *text)
{
  (void) kind;
  note_message (text);
}

void
refused (const char *what)
{
  snprintf (result->refused, sizeof result->refused, "%s", what);
  result->error = errno;
  if (!result->message[0] && errno != ENOMEM)
    bad ("refused without a word");
}

void
failed (unsigned *counter, const char *what)
{
  if (!result->what[0]) {
    result->error = errno;
    snprintf (result->what, sizeof result->what, "%s", what);
  }
  ++*counter;
}

void
pause_a_moment (void)
{
  nanosleep (&(struct timespec){ 0, RETRY_PAUSE * 1000000 }, NULL);
}

bool
worth_another_try (unsigned *tries)
{
  pause_a_moment ();
  return ++*tries < RETRY_SECONDS * 1000 / RETRY_PAUSE;
}

void
settled (void)
{
  if (atomic_load (&faults->listening))
    atomic_store (&faults->scenario, 0);
}

void
end_as_killed (void)
{
  result->killed = true;
  _exit (EXIT_SUCCESS);
}

/* ---- one phase, in a process of its own ---- */

static unsigned
descriptors (void)
{
  unsigned count = 0;

  for (int fd = 0; fd < DESCRIPTORS; ++fd)
    count += fcntl (fd, F_GETFD) != -1;
  return count;
}

static unsigned
threads (void)
{
  struct stat st;

  return stat ("/proc/self/task", &st) == -1 ? 0 : (unsigned) st.st_nlink - 2;
}

static void
look_for_left_overs (unsigned descriptors_before, unsigned threads_before)
{
  uintptr_t address = 0;
  unsigned count;

  /* A thread that was joined is still a moment in the list. */
  for (unsigned i = 0; i < 2000 && threads () > threads_before; ++i)
    pause_a_moment ();
  if (threads () > threads_before)
    bad ("a thread was left");
  if (descriptors () != descriptors_before)
    bad ("a descriptor was left, or closed twice");
  count = faults_held (&address);
  if (count > 0) {
    char text[96];

    snprintf (text, sizeof text, "%u pieces of memory were left", count);
    bad (text);
    result->held_at = address;
  }
}

static void
run_process (const struct scenario *scenario, const struct phase *phase)
{
  unsigned descriptors_before = descriptors (), threads_before = threads ();

  alarm (HANG);
  signal (SIGTERM, SIG_DFL);
  signal (SIGINT, SIG_DFL);
  if (scenario->io)
    setenv ("TIERSWAP_IO", scenario->io, 1);
  tierswap_set_message_sink (take_message);
  atomic_store (&faults->listening, phase->faults);
  phase->run ();
  atomic_store (&faults->listening, false);
  if (!phase->untidy)
    look_for_left_overs (descriptors_before, threads_before);
  result->ended = true;
  /* Leaks that only the sanitizer sees are told by exit. */
  exit (EXIT_SUCCESS);
}

static void
run_phase (const struct scenario *scenario, const struct phase *phase)
{
  pid_t pid;
  int status;

  result->ended = result->killed = false;
  atomic_flag_clear (&faults->lock);
  fflush (NULL);
  pid = fork ();
  if (pid == 0)
    run_process (scenario, phase);
  if (pid == -1 || waitpid (pid, &status, 0) != pid)
    bad ("there is no process");
  else if (WIFSIGNALED (status))
    bad (WTERMSIG (status) == SIGALRM ? "it hangs" : "it crashed");
  else if ((!result->ended && !result->killed) || WEXITSTATUS (status) != 0)
    bad ("it ended early");
  atomic_store (&faults->listening, false);
}

/* The process of the server that a scenario started and wrote down, or 0. */
static pid_t
left_server (void)
{
  char path[128];
  FILE *file = fopen (in_folder ("server.pid", path), "r");
  int process = 0;

  if (file) {
    if (fscanf (file, "%d", &process) != 1)
      process = 0;
    fclose (file);
  }
  return process;
}

static void
clean_folder (void)
{
  static const char *const files[] = { "one", "two", "three", "control" };
  char path[128];

  for (unsigned i = 0; i < sizeof files / sizeof files[0]; ++i)
    unlink (in_folder (files[i], path));
}

/* False: it crashed, hung or did what must not be; result->bad says what. */
static bool
run (const struct scenario *scenario, const struct fault_site *site, int error)
{
  if (!scenario->keeps_server)
    clean_folder ();
  workload_reset ();
  if (scenario->prepare)
    scenario->prepare ();
  memset (result, 0, sizeof *result);
  memset (faults->armed, 0, sizeof faults->armed);
  if (site) {
    faults->armed[0].address = site->address;
    faults->armed[0].error = error;
    faults->armed[1].address = site->after;
    faults->armed[1].error = site->after_error;
  }
  for (unsigned i = 0; i < PHASES && scenario->phases[i].run; ++i)
    if (!result->bad[0])
      run_phase (scenario, &scenario->phases[i]);
  if (scenario->clean_up)
    scenario->clean_up ();
  return !result->bad[0];
}

/* ---- the matrix ---- */

static const char *wanted_site; /* a part of its name; NULL: all */

static void
try_site (const struct scenario *scenario, const struct fault_site *site)
{
  const char *name = call_sites_place (site->address);

  if ((strncmp (name, "server/", 7) != 0 && strncmp (name, "plugin/", 7) != 0)
      || (wanted_site && !strstr (name, wanted_site)))
    return;
  for (const int *error = site->errors; *error; ++error) {
    run (scenario, site, *error);
    report_row (scenario->name, site, *error);
  }
}

static double
now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);
  return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static bool
is_tried_again (const struct scenario *scenario, const struct fault_site *site)
{
  const char *name = call_sites_place (site->address);

  for (unsigned i = 0; scenario->again && scenario->again[i]; ++i)
    if (strncmp (name, scenario->again[i], strlen (scenario->again[i])) == 0)
      return true;
  return false;
}

static void
try_scenario (unsigned number)
{
  const struct scenario *scenario = scenarios[number];
  unsigned first = faults->count;
  const char *why = scenario->missing ? scenario->missing () : NULL;
  double began = now ();
  bool good;

  if (why) {
    report_left_out (scenario->name, why);
    return;
  }
  atomic_store (&faults->scenario, 1U << number);
  good = run (scenario, NULL, 0);
  atomic_store (&faults->scenario, 0);
  if (!good || result->refused[0] || result->requests || result->commands) {
    report_wrong (scenario->name);
    return;
  }
  report_usual ();
  /* Those that only a failure leads to are found on the way, and then tried
   * together with it.
   */
  for (unsigned i = 0; i < faults->count; ++i)
    if (i >= first
        || (faults->sites[i].scenarios & 1U << number
            && is_tried_again (scenario, &faults->sites[i])))
      try_site (scenario, &faults->sites[i]);
  report_scenario (scenario->name, now () - began);
}

static pid_t
start_server (void)
{
  char *words[]
      = { (char *) "nbdkit",      (char *) "-f", (char *) "--exit-with-parent",
          (char *) "--threads=1", (char *) "-U", server_socket,
          (char *) "memory",      (char *) "8M", NULL };
  struct stat st;
  pid_t pid;

  if (posix_spawnp (&pid, words[0], NULL, NULL, words, environ) != 0)
    return -1;
  for (unsigned i = 0; i < 12000 && stat (server_socket, &st) == -1; ++i)
    pause_a_moment ();
  return pid;
}

static void *
share (size_t size)
{
  void *memory = mmap (NULL, size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  if (memory == MAP_FAILED) {
    perror ("mmap");
    exit (EXIT_FAILURE);
  }
  return memory;
}

/* What is mounted goes away with the last process of this test. */
static bool
take_own_mounts (void)
{
  char path[128];

  if (unshare (CLONE_NEWNS) == -1
      || mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
    return false;
  return mkdir (in_folder ("memory", path), 0700) == 0
         && (mount ("none", path, "tmpfs", 0, "noswap,mode=0700") == 0
             || mount ("none", path, "ramfs", 0, "mode=0700") == 0)
         && mkdir (in_folder ("fuse", path), 0700) == 0;
}

/* Ended early: a server that outlives the process that started it does not. */
static void
end_server (int number)
{
  char path[128], text[16] = "";
  int fd = open (in_folder ("server.pid", path), O_RDONLY);

  if (fd != -1 && read (fd, text, sizeof text - 1) > 0 && atoi (text) > 1)
    kill (atoi (text), SIGKILL);
  signal (number, SIG_DFL);
  raise (number);
}

static void
set_up (void)
{
  faults = share (sizeof *faults);
  result = share (sizeof *result);
  build_folder = getenv ("builddir");
  if (!build_folder)
    build_folder = ".";
  if (!mkdtemp (folder)) {
    perror (folder);
    exit (EXIT_FAILURE);
  }
  signal (SIGTERM, end_server);
  signal (SIGINT, end_server);
  own_mounts = take_own_mounts ();
  workload_set_up ();
  if (!report_open ())
    exit (EXIT_FAILURE);
}

static void
tear_down (pid_t server)
{
  static const char *const files[] = { "conf",   "conf-other", "conf-mistake",
                                       "server", "nbd.sock",   "server.pid" };
  char path[128];

  if (server > 0) {
    kill (server, SIGKILL);
    waitpid (server, NULL, 0);
  }
  if (left_server () > 0)
    kill (left_server (), SIGKILL);
  clean_folder ();
  for (unsigned i = 0; i < sizeof files / sizeof files[0]; ++i)
    unlink (in_folder (files[i], path));
  umount2 (in_folder ("memory", path), MNT_DETACH);
  rmdir (path);
  umount2 (in_folder ("fuse", path), MNT_DETACH);
  rmdir (path);
  rmdir (folder);
}

int
main (int argc, char *argv[])
{
  const char *sanitizer = getenv ("SANITIZER");
  pid_t server;
  bool good;

  if (sanitizer && strcmp (sanitizer, "thread") == 0) {
    printf ("skipped: with the thread sanitizer the many runs take too long\n");
    return 77;
  }
  if (system ("addr2line --version >/dev/null 2>&1") != 0) {
    printf ("skipped: addr2line is not installed (package binutils)\n");
    return 77;
  }
  setvbuf (stdout, NULL, _IOLBF, BUFSIZ);
  if (argc > 2)
    wanted_site = argv[2];
  set_up ();
  if (!call_sites_read ()) {
    printf ("the call sites of this program cannot be read\n");
    return EXIT_FAILURE;
  }
  server = start_server ();
  for (unsigned i = 0; i < SCENARIOS; ++i)
    if (argc < 2 || strcmp (argv[1], scenarios[i]->name) == 0
        || (scenarios[i]->in_guest && strcmp (argv[1], "guest") == 0))
      try_scenario (i);
  tear_down (server);
  good = report_sums (argc < 3);
  report_close ();
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
