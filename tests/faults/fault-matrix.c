/* SPDX-License-Identifier: BSD-3-Clause */
/* Every call of the server that can fail is made to fail, once, in a run of its
 * own.  What must come of it is a clean error, a retry or a fallback: no crash,
 * nothing that hangs, all that was acknowledged is right, a request that failed
 * works when it is sent again, and what was taken (memory, mappings,
 * descriptors, threads) is given back.
 *
 * usage: fault-matrix [SCENARIO [SITE]]      SITE such as listener.c:227
 *
 * Each scenario is run first to see which call sites it comes to; a site is
 * tried in the first scenario that does.  The table of sites, faults and
 * outcomes is printed and kept in tests/faults/fault-matrix.txt.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"
#include "pages.h"
#include "store/codec.h"
#include "tierswap.h"

#define PAGES 320
#define REQUEST 16       /* pages */
#define HANG 100         /* seconds after which a run counts as hung */
#define RETRY_SECONDS 40 /* that a request is tried again */
#define RETRY_PAUSE 20   /* milliseconds */
#define DESCRIPTORS 1024

extern char **environ;

/* What came of a run; shared with its process. */
struct result {
  bool ended;        /* it came to its end */
  char refused[16];  /* what of making or starting the device was */
  int error;         /* of the first thing that failed */
  unsigned requests; /* that failed once */
  unsigned commands; /* likewise */
  char what[64];     /* the first that did */
  uintptr_t held_at; /* the site whose memory was not given back */
  char bad[160];     /* what must not be */
  char message[200]; /* the last one said */
};

static struct result *result;
static char folder[] = "/tmp/tierswap-faults-XXXXXX";
static char conf[64], control[64], server_socket[64], tierswapctl[512];
static struct tierswap *device;
static bool remote;

static void
bad (const char *what)
{
  if (!result->bad[0])
    snprintf (result->bad, sizeof result->bad, "%s", what);
}

static void
note_message (enum tierswap_message_kind kind, const char *text)
{
  (void) kind;
  snprintf (result->message, sizeof result->message, "%s", text);
}

static void
pause_a_moment (void)
{
  nanosleep (&(struct timespec){ 0, RETRY_PAUSE * 1000000 }, NULL);
}

/* ---- the workload ---- */

static struct {
  enum page_kind kind;
  uint64_t seed;
} pages[PAGES];

enum kind { READ, WRITE, TRIM, ZERO, PATCH };

static int
request (enum kind kind, unsigned first, unsigned count, void *buffer)
{
  uint64_t offset = (uint64_t) first * PAGE_BYTES;
  size_t bytes = (size_t) count * PAGE_BYTES;

  switch (kind) {
  case READ:
    return tierswap_read (device, buffer, bytes, offset);
  case WRITE:
    return tierswap_write (device, buffer, bytes, offset);
  case TRIM:
    return tierswap_trim (device, bytes, offset);
  case ZERO:
    return tierswap_zero (device, bytes, offset, false);
  case PATCH:
    return tierswap_write (device, buffer, 8, offset);
  }
  return -1;
}

static void
failed (unsigned *counter, const char *what)
{
  if (!result->what[0]) {
    result->error = errno;
    snprintf (result->what, sizeof result->what, "%s", what);
  }
  ++*counter;
}

/* Send it, again if it fails: it must work in the end. */
static void
insist (enum kind kind, unsigned first, unsigned count, void *buffer)
{
  static const char *const words[]
      = { "read", "write", "trim", "zero", "write of a part" };

  for (unsigned tries = 0; request (kind, first, count, buffer) == -1;
       ++tries) {
    if (tries == 0)
      failed (&result->requests, words[kind]);
    if (tries == RETRY_SECONDS * 1000 / RETRY_PAUSE) {
      bad ("a request fails for ever");
      return;
    }
    pause_a_moment ();
  }
}

static void
write_pages (unsigned first, unsigned count)
{
  static unsigned char buffer[REQUEST * PAGE_BYTES];
  static uint64_t seed;

  for (; count > 0; first += REQUEST, count -= REQUEST) {
    for (unsigned i = 0; i < REQUEST; ++i) {
      pages[first + i].kind = (enum page_kind) (++seed % PAGE_KINDS);
      pages[first + i].seed = seed;
      page_make (buffer + i * PAGE_BYTES, pages[first + i].kind, seed);
    }
    insist (WRITE, first, REQUEST, buffer);
  }
}

static void
check_pages (void)
{
  static unsigned char buffer[REQUEST * PAGE_BYTES], expected[PAGE_BYTES];

  for (unsigned first = 0; first < PAGES; first += REQUEST) {
    insist (READ, first, REQUEST, buffer);
    for (unsigned i = 0; i < REQUEST; ++i) {
      page_make (expected, pages[first + i].kind, pages[first + i].seed);
      if (memcmp (expected, buffer + i * PAGE_BYTES, PAGE_BYTES) != 0)
        bad ("a page is wrong");
    }
  }
}

static void
forget_pages (unsigned first, unsigned count)
{
  for (unsigned i = first; i < first + count; ++i)
    pages[i].kind = PAGE_ZERO;
}

static bool
run_tierswapctl (char *const words[])
{
  posix_spawn_file_actions_t actions;
  pid_t pid;
  int status = -1, r;

  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_addopen (&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen (&actions, 2, "/dev/null", O_WRONLY, 0);
  r = posix_spawn (&pid, tierswapctl, &actions, NULL, words, environ);
  posix_spawn_file_actions_destroy (&actions);
  if (r != 0 || waitpid (pid, &status, 0) != pid)
    return false;
  return status == 0;
}

/* A command of up to four words; it must work in the end, or, if REFUSED, be
 * refused.
 */
static void
command (bool refused, const char *a, const char *b, const char *c,
         const char *d)
{
  char *words[] = { (char *) "tierswapctl",
                    (char *) "-s",
                    control,
                    (char *) a,
                    (char *) b,
                    (char *) c,
                    (char *) d,
                    NULL };

  for (unsigned tries = 0; run_tierswapctl (words) == refused; ++tries) {
    errno = 0;
    if (tries == 0)
      failed (&result->commands, a);
    else if (tries == 20)
      fprintf (stderr, "still %s %s\n", a, b ? b : "");
    if (tries == RETRY_SECONDS * 1000 / RETRY_PAUSE) {
      bad ("a command fails for ever");
      return;
    }
    pause_a_moment ();
  }
}

static void
write_conf (unsigned which)
{
  FILE *file = fopen (conf, "w");

  if (!file)
    abort ();
  fprintf (file,
           "size = \"16M\"\npool { limit = \"%uM\" }\n"
           "tier \"fast\" { prio = 1  codec = \"lz4\"  limit = \"4M\" }\n"
           "tier \"dense\" { prio = 2  codec = \"zstd\" }\n"
           "writeback { high = 90  low = 80 }\n"
           "cgroup \"/\" { writeback_prio = 1 }\n",
           which == 1 ? 9 : 8);
  if (remote)
    fprintf (file,
             "backing \"far\" { prio = 1  uri = \"nbd+unix:///?socket=%s\" "
             " size = \"4M\" }\n",
             server_socket);
  else {
    fprintf (file,
             "backing \"one\" { prio = 1  path = \"%s/one\"  size = \"4M\" "
             " encrypt = true }\n",
             folder);
    fprintf (
        file, "backing \"%s\" { prio = 2  path = \"%s/%s\"  size = \"4M\" }\n",
        which == 1 ? "three" : "two", folder, which == 1 ? "three" : "two");
  }
  if (which == 2)
    fprintf (file, "colour = \"red\"\n");
  fclose (file);
}

/* Written before the run listens to what is called. */
static void
swap_conf (const char *name)
{
  char path[96];

  snprintf (path, sizeof path, "%s/%s", folder, name);
  if (rename (path, conf) == -1)
    abort ();
}

static int
look (void *opaque, uint64_t offset, uint64_t length, enum tierswap_extent kind)
{
  (void) opaque;
  (void) offset;
  (void) length;
  (void) kind;
  return 0;
}

static void
look_at_all (void)
{
  char *name, *text;

  if (tierswap_extents (device, tierswap_size (device), 0, look, NULL) != 0)
    bad ("no extents");
  for (unsigned i = 0; (name = tierswap_export_name (device, i)); ++i) {
    text = tierswap_stats (device, name);
    if (!text)
      failed (&result->requests, "statistics");
    free (text);
    text = tierswap_describe (device, name);
    if (!text)
      failed (&result->requests, "description");
    free (text);
    free (name);
  }
}

static void
requests (void)
{
  static unsigned char word[8] = "patched";

  write_pages (0, PAGES);
  insist (TRIM, 32, 16, NULL);
  forget_pages (32, 16);
  insist (ZERO, 48, 16, NULL);
  forget_pages (48, 16);
  insist (PATCH, 64, 1, word);
  write_pages (64, 16);
  check_pages ();
}

static void
life (void)
{
  requests ();
  look_at_all ();
  command (false, "writeback", NULL, NULL, NULL);
  check_pages ();
  write_pages (0, 128);
  insist (PATCH, 200, 1, pages);
  write_pages (192, 16);
  check_pages ();
}

static void
commands (void)
{
  write_pages (0, PAGES);
  command (false, "status", NULL, NULL, NULL);
  command (false, "get", NULL, NULL, NULL);
  command (false, "get", "pool.limit", NULL, NULL);
  command (true, "get", "pool.colour", NULL, NULL);
  command (false, "set", "writeback.high", "95", NULL);
  command (true, "set", "writeback.high", "seventy", NULL);
  command (false, "cgroup", "/", "prio=1", "writeback_prio=1");
  command (true, "cgroup", "/", "prio=1", "colour=2");
  command (false, "writeback", "max=1M", NULL, NULL);
  command (false, "compact", NULL, NULL, NULL);
  command (false, "check", NULL, NULL, NULL);
  command (true, "nonsense", NULL, NULL, NULL);
  swap_conf ("conf-mistake");
  command (true, "reload", NULL, NULL, NULL);
  check_pages ();
  swap_conf ("conf-other");
  command (false, "reload", NULL, NULL, NULL);
  check_pages ();
  command (false, "drain", "one", NULL, NULL);
  check_pages ();
}

static void
far (void)
{
  write_pages (0, PAGES);
  command (false, "writeback", NULL, NULL, NULL);
  check_pages ();
  write_pages (0, 128);
  command (false, "writeback", NULL, NULL, NULL);
  insist (TRIM, 128, 128, NULL);
  forget_pages (128, 128);
  check_pages ();
}

static const struct scenario {
  const char *name;
  void (*run) (void);
  bool remote;
  const char *io; /* TIERSWAP_IO */
} scenarios[] = {
  { "life", life, false, "" },
  { "threads", life, false, "threads" },
  { "commands", commands, false, "" },
  { "remote", far, true, "" },
};
#define SCENARIOS (sizeof scenarios / sizeof scenarios[0])

/* ---- one run, in a process of its own ---- */

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
refused (const char *what)
{
  snprintf (result->refused, sizeof result->refused, "%s", what);
  result->error = errno;
  if (!result->message[0] && errno != ENOMEM)
    bad ("refused without a word");
}

static void
use_device (const struct scenario *scenario)
{
  if (tierswap_create (conf, NULL, &device) == -1) {
    refused ("create");
    return;
  }
  if (tierswap_set_control (device, control) == -1)
    refused ("control");
  else if (tierswap_start (device) == -1)
    refused ("start");
  else
    scenario->run ();
  tierswap_free (device);
}

static void
run_process (const struct scenario *scenario)
{
  unsigned descriptors_before = descriptors (), count;
  unsigned threads_before = threads ();
  uintptr_t address = 0;

  alarm (HANG);
  setenv ("TIERSWAP_IO", scenario->io, 1);
  tierswap_set_message_sink (note_message);
  atomic_store (&faults->listening, true);
  use_device (scenario);
  atomic_store (&faults->listening, false);

  /* A thread that was joined is still a moment in the list. */
  for (unsigned i = 0; i < 500 && threads () > threads_before; ++i)
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
  result->ended = true;
  /* Leaks that only the sanitizer sees are told by exit. */
  exit (EXIT_SUCCESS);
}

static void
clean_folder (void)
{
  static const char *const files[] = { "one", "two", "three", "control" };
  char path[96];

  for (unsigned i = 0; i < sizeof files / sizeof files[0]; ++i) {
    snprintf (path, sizeof path, "%s/%s", folder, files[i]);
    unlink (path);
  }
}

/* Write FILE of the folder as the configuration WHICH. */
static void
prepare_conf (const char *name, unsigned which)
{
  char path[96];

  write_conf (which);
  snprintf (path, sizeof path, "%s/%s", folder, name);
  rename (conf, path);
}

/* False: it crashed, hung or did what must not be; result->bad says what. */
static bool
run (const struct scenario *scenario, const struct fault_site *site, int error)
{
  pid_t pid;
  int status;

  clean_folder ();
  remote = scenario->remote;
  prepare_conf ("conf-other", 1);
  prepare_conf ("conf-mistake", 2);
  write_conf (0);
  memset (result, 0, sizeof *result);
  memset (faults->armed, 0, sizeof faults->armed);
  if (site) {
    faults->armed[0].address = site->address;
    faults->armed[0].error = error;
    faults->armed[1].address = site->after;
    faults->armed[1].error = site->after_error;
  }
  atomic_flag_clear (&faults->lock);
  fflush (NULL);
  pid = fork ();
  if (pid == 0)
    run_process (scenario);
  if (pid == -1 || waitpid (pid, &status, 0) != pid)
    bad ("there is no process");
  else if (WIFSIGNALED (status))
    bad (WTERMSIG (status) == SIGALRM ? "it hangs" : "it crashed");
  else if (!result->ended || WEXITSTATUS (status) != 0)
    bad ("it ended early");
  atomic_store (&faults->listening, false);
  return !result->bad[0];
}

/* ---- names of sites ---- */

static uintptr_t base;

static int
find_base (struct dl_phdr_info *info, size_t size, void *data)
{
  (void) size;
  (void) data;
  base = info->dlpi_addr;
  return 1; /* the first is the program */
}

static char names[FAULT_SITES][96];
static unsigned named;

/* Name those sites that have no name yet, "folder/file.c:LINE" or "?".  All at
 * once: reading what the compiler noted of the program takes its time.
 */
static void
name_sites (void)
{
  static char line[512 + FAULT_SITES * 20];
  char exe[256] = "";
  FILE *pipe;
  size_t length;

  if (named == faults->count
      || readlink ("/proc/self/exe", exe, sizeof exe - 1) == -1)
    return;
  length = (size_t) snprintf (line, sizeof line, "addr2line -e '%s'", exe);
  for (unsigned i = named; i < faults->count; ++i)
    length += (size_t) snprintf (
        line + length, sizeof line - length, " 0x%lx",
        (unsigned long) (faults->sites[i].address - base - 1));
  pipe = popen (line, "r");
  for (; named < faults->count; ++named) {
    char *start;

    if (!pipe || !fgets (line, sizeof line, pipe))
      strcpy (line, "?");
    line[strcspn (line, " \n")] = '\0';
    start = strstr (line, "/server/");
    if (!start)
      start = strstr (line, "/tests/");
    snprintf (names[named], sizeof names[named], "%.95s",
              start ? start + 1 : line);
  }
  if (pipe)
    pclose (pipe);
}

static const char *
name_of (uintptr_t address)
{
  name_sites ();
  for (unsigned i = 0; i < faults->count; ++i)
    if (faults->sites[i].address == address)
      return names[i];
  return "?";
}

static bool
is_of_server (const char *name)
{
  return strncmp (name, "server/", 7) == 0;
}

/* ---- the matrix ---- */

static struct {
  unsigned sites, runs, refused, failed, hidden, unreached, wrong;
} sum;

static FILE *table;
static const char *wanted_site; /* a part of its name; NULL: all */

static void
tell_row (const char *name, const char *function, int error)
{
  char outcome[512];

  if (result->bad[0]) {
    const char *held_by = "";

    if (strstr (result->bad, "memory"))
      held_by = name_of (result->held_at);
    sum.wrong++;
    snprintf (outcome, sizeof outcome, "WRONG: %s %s (%.150s)", result->bad,
              held_by, result->message);
  }
  else if (!atomic_load (&faults->armed[0].fired)) {
    sum.unreached++;
    snprintf (outcome, sizeof outcome, "not reached this time");
  }
  else if (result->refused[0]) {
    sum.refused++;
    snprintf (outcome, sizeof outcome, "%s refused: %.120s", result->refused,
              result->message[0] ? result->message : strerror (result->error));
  }
  else if (result->requests || result->commands) {
    sum.failed++;
    snprintf (outcome, sizeof outcome, "%s failed (%s), then worked",
              result->what,
              result->error ? strerror (result->error) : "exit status 1");
  }
  else {
    sum.hidden++;
    snprintf (outcome, sizeof outcome, "retried or done otherwise%s%.120s",
              result->message[0] ? ": " : "", result->message);
  }
  fprintf (table, "%-38s %-26s %-12s %s\n", name, function,
           strerrorname_np (error), outcome);
  if (result->bad[0])
    printf ("%-38s %-26s %-12s %s\n", name, function, strerrorname_np (error),
            outcome);
}

static void
try_site (const struct scenario *scenario, const struct fault_site *site)
{
  const char *name = name_of (site->address);

  if (!is_of_server (name) || (wanted_site && !strstr (name, wanted_site)))
    return;
  sum.sites++;
  for (const int *error = site->errors; *error; ++error) {
    sum.runs++;
    run (scenario, site, *error);
    tell_row (name, site->function, *error);
  }
}

static void
try_scenario (const struct scenario *scenario)
{
  unsigned first = faults->count;

  if (!run (scenario, NULL, 0)) {
    printf ("%s does not even work without a fault: %s (%s)\n", scenario->name,
            result->bad, result->message);
    sum.wrong++;
    return;
  }
  if (result->refused[0] || result->requests || result->commands) {
    printf ("%s: %s %s failed without a fault: %s\n", scenario->name,
            result->refused, result->what, result->message);
    sum.wrong++;
    return;
  }
  /* Those that only a failure leads to are found on the way, and then tried
   * together with it.
   */
  for (unsigned i = first; i < faults->count; ++i)
    try_site (scenario, &faults->sites[i]);
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
  for (unsigned i = 0; i < 3000 && stat (server_socket, &st) == -1; ++i)
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

static void
set_up (void)
{
  const char *build = getenv ("builddir");
  char path[1024];

  faults = share (sizeof *faults);
  result = share (sizeof *result);
  dl_iterate_phdr (find_base, NULL);
  if (!mkdtemp (folder)) {
    perror (folder);
    exit (EXIT_FAILURE);
  }
  snprintf (conf, sizeof conf, "%s/conf", folder);
  snprintf (control, sizeof control, "%s/control", folder);
  snprintf (server_socket, sizeof server_socket, "%s/server", folder);
  snprintf (tierswapctl, sizeof tierswapctl, "%s/tierswapctl",
            build ? build : ".");
  snprintf (path, sizeof path, "%s/tests/faults/fault-matrix.txt",
            build ? build : ".");
  table = fopen (path, "w");
  if (!table) {
    perror (path);
    exit (EXIT_FAILURE);
  }
  setvbuf (table, NULL, _IOLBF, BUFSIZ);
  fprintf (table, "%-38s %-26s %-12s %s\n", "call site", "call", "fault",
           "outcome");
}

static void
tear_down (pid_t server)
{
  static const char *const files[]
      = { "conf", "conf-other", "conf-mistake", "server" };
  char path[96];

  if (server > 0) {
    kill (server, SIGKILL);
    waitpid (server, NULL, 0);
  }
  clean_folder ();
  for (unsigned i = 0; i < sizeof files / sizeof files[0]; ++i) {
    snprintf (path, sizeof path, "%s/%s", folder, files[i]);
    unlink (path);
  }
  rmdir (folder);
  fclose (table);
}

int
main (int argc, char *argv[])
{
  const char *sanitizer = getenv ("SANITIZER");
  pid_t server;

  if (sanitizer && strcmp (sanitizer, "thread") == 0) {
    printf ("skipped: with the thread sanitizer the many runs take too long\n");
    return 77;
  }
  if (system ("addr2line --version >/dev/null 2>&1") != 0) {
    printf ("skipped: addr2line is not installed (package binutils)\n");
    return 77;
  }
  if (argc > 2)
    wanted_site = argv[2];
  set_up ();
  server = start_server ();
  for (unsigned i = 0; i < SCENARIOS; ++i) {
    if (argc < 2 || strcmp (argv[1], scenarios[i].name) == 0)
      try_scenario (&scenarios[i]);
  }
  tear_down (server);
  printf ("%u call sites, %u faults: %u refused with a reason, %u failed and "
          "then worked, %u retried or done otherwise, %u not reached again, "
          "%u wrong (see tests/faults/fault-matrix.txt)\n",
          sum.sites, sum.runs, sum.refused, sum.failed, sum.hidden,
          sum.unreached, sum.wrong);
  if (sum.sites == 0 && argc < 2) {
    printf ("no call site was found: is the program built with -g?\n");
    return EXIT_FAILURE;
  }
  return sum.wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
