/* SPDX-License-Identifier: BSD-3-Clause */
/* Every call of the server that can fail is made to fail, once, in a run of its
 * own.  What must come of it is a clean error, a retry or a fallback: no crash,
 * nothing that hangs, all that was acknowledged is right, a request that failed
 * works when it is sent again, and what was taken (memory, mappings,
 * descriptors, threads, mounts) is given back.
 *
 * usage: fault-matrix [SCENARIO|guest [SITE]]      SITE such as listener.c:227
 *        fault-matrix sum
 *
 * Each scenario is run first to see which call sites it comes to; a site is
 * tried in the first scenario that does.  The table of sites, faults and
 * outcomes is kept in tests/faults/fault-matrix.txt.
 *
 * What needs the kernel's nbd driver or a block device is left to a guest
 * (test-faults-uml.sh), by "guest".  Both leave notes of what failed; whichever
 * ends last, or "sum", tells of all call sites that the program has: of each
 * layer how many failed, and which never did and why.  One that never did, and
 * for which there is no reason in reasons.h, is a failure of the test.
 */
#include <config.h>

#include <dirent.h>
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
#include "notes.h"
#include "report.h"
#include "scenario.h"
#include "tierswap.h"
#include "workload.h"
#include "wrap.h"

#define HANG 100         /* seconds after which a phase counts as hung */
#define RETRY_SECONDS 40 /* that a request is tried again */
#define RETRY_PAUSE 5    /* milliseconds */
#define DESCRIPTORS 1024
#define TRIES 3 /* to come to a call again */
#define AGAIN                                                                  \
  2 /* times that all is run once more for sites that never failed */

extern char **environ;

struct result *result;
char folder[64] = "/tmp/tierswap-faults-XXXXXX";
bool own_mounts;
const char *build_folder;

/* Those that leave out sites are last: another one might have tried them. */
static const struct scenario *const scenarios[] = {
  &device_life,    &device_threads, &device_commands,     &device_full,
  &device_remote,  &device_changes, &device_cgroups,      &tags_module,
  &tags_bpf,       &state_made,     &state_taken_over,    &state_moved,
  &state_torn,     &fuse_tree,      &fuse_stale,          &plugin_exports,
  &attach_upgrade, &attach_disk,    &attach_reconnect,    &attach_supervise,
  &attach_adopt,   &device_block,   &attach_upgrade_disk,
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

    snprintf (text, sizeof text, "%u things were left", count);
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
  wrap_json_memory ();
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
try_site (const struct scenario *scenario, struct fault_site *site)
{
  const char *name = call_sites_place (site->address);

  if (!report_is_of_layer (name)
      || (wanted_site && !strstr (name, wanted_site)))
    return;
  site->tried = site->errors[0] != 0;
  for (const int *error = site->errors; *error; ++error) {
    /* A thread may have got there too late, or never. */
    for (unsigned i = 0; i < TRIES; ++i)
      if (!run (scenario, site, *error)
          || atomic_load (&faults->armed[0].fired))
        break;
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

/* Is it of one of the FILES? */
static bool
is_of (const struct fault_site *site, const char *const *files)
{
  const char *name = call_sites_place (site->address);

  for (unsigned i = 0; files && files[i]; ++i)
    if (strncmp (name, files[i], strlen (files[i])) == 0)
      return true;
  return false;
}

/* NEW: it was not known before this scenario.  Else it is tried again where it
 * was tried and not come to again.
 */
static bool
is_tried (const struct scenario *scenario, unsigned number,
          const struct fault_site *site, bool new)
{
  if (scenario->only && !is_of (site, scenario->only))
    return false;
  if (new)
    return true;
  return site->scenarios & 1U << number
         && (is_of (site, scenario->again)
             || (site->tried && !atomic_load (&site->failed)));
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
    if (is_tried (scenario, number, &faults->sites[i], i >= first))
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
}

/* All files of the runs; folders of it are empty by now. */
static void
remove_folder (void)
{
  static const char *const folders[] = { "memory", "fuse", "block" };
  DIR *all = opendir (folder);
  const struct dirent *entry;
  char path[128];

  for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; ++i) {
    umount2 (in_folder (folders[i], path), MNT_DETACH);
    rmdir (path);
  }
  while (all && (entry = readdir (all)))
    unlink (in_folder (entry->d_name, path));
  if (all)
    closedir (all);
  rmdir (folder);
}

static void
tear_down (pid_t server)
{
  if (server > 0) {
    kill (server, SIGKILL);
    waitpid (server, NULL, 0);
  }
  if (left_server () > 0)
    kill (left_server (), SIGKILL);
  remove_folder ();
}

static void
run_scenarios (const char *wanted)
{
  for (unsigned i = 0; i < SCENARIOS; ++i)
    if (!wanted || strcmp (wanted, scenarios[i]->name) == 0
        || (scenarios[i]->in_guest && strcmp (wanted, "guest") == 0))
      try_scenario (i);
}

#define NOTES ".notes"
#define GUEST_NOTES "-guest.notes" /* test-faults-uml.sh writes them down */

/* What is known of the rest, and OWN: of what was run on this machine before.
 * LEFT are the scenarios that were not run at all.
 */
static void
read_notes (bool own, char left[256])
{
  char path[512];

  left[0] = '\0';
  if (own && !notes_read (report_path (NOTES, path)))
    printf ("there are no notes of a run on this machine\n");
  if (!notes_read (report_path (GUEST_NOTES, path)))
    printf ("there are no notes of a run in a guest\n");
  for (unsigned i = 0; i < SCENARIOS; ++i)
    if (!notes_have_run (scenarios[i]->name)) {
      size_t length = strlen (left);

      snprintf (left + length, 256 - length, " %s", scenarios[i]->name);
    }
}

/* Sites that are not come to each time, since it takes luck, are looked for
 * again.
 */
static void
run_again (void)
{
  unsigned open;

  for (unsigned i = 0; i < AGAIN && (open = report_count_open ()) > 0; ++i) {
    printf ("%u call sites never failed so far: once more\n", open);
    run_scenarios (NULL);
  }
}

/* A part is not written down. */
static bool
make_matrix (const char *wanted)
{
  char left[256], path[512];
  pid_t server = start_server ();
  bool good;

  run_scenarios (wanted);
  if (!wanted) {
    read_notes (false, left);
    if (!left[0])
      run_again ();
  }
  tear_down (server);
  if (!wanted || strcmp (wanted, "guest") == 0)
    notes_write (report_path (NOTES, path));
  good = wanted || report_coverage (left);
  return report_sums () && good;
}

int
main (int argc, char *argv[])
{
  const char *sanitizer = getenv ("SANITIZER");
  char left[256];
  bool only_sum, good;

  if (sanitizer && strcmp (sanitizer, "thread") == 0) {
    printf ("skipped: with the thread sanitizer the many runs take too long\n");
    return 77;
  }
  if (system ("addr2line --version >/dev/null 2>&1") != 0) {
    printf ("skipped: addr2line is not installed (package binutils)\n");
    return 77;
  }
  setvbuf (stdout, NULL, _IOLBF, BUFSIZ);
  only_sum = argc > 1 && strcmp (argv[1], "sum") == 0;
  wanted_site = argc > 2 ? argv[2] : NULL;
  set_up ();
  if (!call_sites_read ()) {
    printf ("the call sites of this program cannot be read\n");
    remove_folder ();
    return EXIT_FAILURE;
  }
  if (!report_open (only_sum ? "-sum.txt" : ".txt"))
    return EXIT_FAILURE;
  if (only_sum) {
    read_notes (true, left);
    good = report_coverage (left);
    remove_folder ();
  }
  else
    good = make_matrix (argv[1]);
  report_close ();
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
