/* SPDX-License-Identifier: BSD-3-Clause */
/* Captures anonymous pages of running programs, to measure with.
 *
 * usage: capture-pages [-n PAGES] -o FILE LIST
 *
 * LIST holds one workload a line: a name, a tab, and a command for /bin/sh.
 * Each is started in turn with an empty environment, so that nothing of
 * whoever measures gets into the file.  A command does its work and then
 * writes more than a pipe takes.  Nobody reads that: at its first byte the
 * program has what it works on in memory, and is stopped.  Then its private
 * anonymous pages are read in the order of their addresses, and it is killed.
 *
 * Pages of one repeated 8-byte pattern and pages seen before are left out and
 * counted.  Each workload gets an equal share of FILE, in evenly spread runs
 * of its pages; what one does not use goes to those after it.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xxhash.h>

#include "store/codec.h"

#define START_LIMIT (120 * 1000) /* milliseconds until the first output */
#define RUN 32                   /* neighbouring pages taken together */

/* The bits of a /proc/PID/pagemap entry. */
#define PAGEMAP_PRESENT (UINT64_C (1) << 63)
#define PAGEMAP_FILE (UINT64_C (1) << 61) /* or shared memory */

struct counts {
  uint64_t seen, same, duplicates, kept;
};

/* Hashes of all pages seen: open addressing, 0 is empty. */
static struct {
  XXH128_hash_t *hashes;
  size_t size; /* a power of two */
  size_t used;
} known;

static void
fail (const char *what)
{
  fprintf (stderr, "capture-pages: %s: %s\n", what, strerror (errno));
  exit (EXIT_FAILURE);
}

static bool
known_insert (XXH128_hash_t hash)
{
  size_t i = hash.low64 & (known.size - 1);

  while (known.hashes[i].low64 || known.hashes[i].high64) {
    if (XXH128_isEqual (known.hashes[i], hash))
      return false;
    i = (i + 1) & (known.size - 1);
  }
  known.hashes[i] = hash;
  known.used++;
  return true;
}

/* Whether the page is new here; the table grows as needed. */
static bool
is_new (const void *page)
{
  if (known.used * 2 >= known.size) {
    XXH128_hash_t *old = known.hashes;
    const size_t old_size = known.size;

    known.size = old_size ? old_size * 2 : 1 << 16;
    known.used = 0;
    known.hashes = calloc (known.size, sizeof *known.hashes);
    if (known.hashes == NULL)
      fail ("calloc");
    for (size_t i = 0; i < old_size; i++)
      if (old[i].low64 || old[i].high64)
        known_insert (old[i]);
    free (old);
  }
  return known_insert (XXH3_128bits (page, PAGE_BYTES));
}

static bool
is_same_filled (const void *page)
{
  const uint64_t *words = page;

  for (size_t i = 1; i < PAGE_BYTES / sizeof *words; i++)
    if (words[i] != words[0])
      return false;
  return true;
}

static int
open_proc (pid_t pid, const char *name)
{
  char path[64];
  int fd;

  snprintf (path, sizeof path, "/proc/%d/%s", (int) pid, name);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd == -1)
    fail (path);
  return fd;
}

/* Append the new anonymous pages of one mapping to *PAGES. */
static void
read_mapping (int memory, int pagemap, uint64_t start, uint64_t end,
              char **pages, size_t *count, size_t *capacity,
              struct counts *counts)
{
  for (uint64_t address = start; address < end; address += PAGE_BYTES) {
    uint64_t entry;
    char *page;

    if (pread (pagemap, &entry, sizeof entry,
               (off_t) (address / PAGE_BYTES * sizeof entry))
        != sizeof entry)
      return;
    if (!(entry & PAGEMAP_PRESENT) || (entry & PAGEMAP_FILE))
      continue;
    if (*count == *capacity) {
      *capacity = *capacity ? *capacity * 2 : 1024;
      *pages = realloc (*pages, *capacity * PAGE_BYTES);
      if (*pages == NULL)
        fail ("realloc");
    }
    page = *pages + *count * PAGE_BYTES;
    if (pread (memory, page, PAGE_BYTES, (off_t) address) != PAGE_BYTES)
      continue;
    counts->seen++;
    if (is_same_filled (page))
      counts->same++;
    else if (!is_new (page))
      counts->duplicates++;
    else
      ++*count;
  }
}

/* All new anonymous pages of a stopped process, by address. */
static char *
read_process (pid_t pid, size_t *count, struct counts *counts)
{
  const int memory = open_proc (pid, "mem");
  const int pagemap = open_proc (pid, "pagemap");
  FILE *maps = fdopen (open_proc (pid, "maps"), "re");
  char line[PATH_MAX + 128], perms[5];
  char *pages = NULL;
  size_t capacity = 0;
  uint64_t start, end;

  if (maps == NULL)
    fail ("fdopen");
  *count = 0;
  while (fgets (line, sizeof line, maps) != NULL)
    if (sscanf (line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, perms) == 3
        && strcmp (perms, "rw-p") == 0)
      read_mapping (memory, pagemap, start, end, &pages, count, &capacity,
                    counts);
  fclose (maps);
  close (pagemap);
  close (memory);
  return pages;
}

/* Start COMMAND in a process group of its own; *OUTPUT is its output. */
static pid_t
start (const char *command, int *output)
{
  static const char form[] = "exec %s";
  const char *const environment[] = { NULL };
  int fds[2];
  char *text;
  pid_t pid;

  if (asprintf (&text, form, command) == -1)
    fail ("asprintf");
  if (pipe2 (fds, O_CLOEXEC) == -1)
    fail ("pipe");
  fcntl (fds[0], F_SETPIPE_SZ, 4096);
  pid = fork ();
  if (pid == -1)
    fail ("fork");
  if (pid == 0) {
    const int null = open ("/dev/null", O_RDWR);

    setpgid (0, 0);
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    dup2 (null, STDIN_FILENO);
    dup2 (fds[1], STDOUT_FILENO);
    dup2 (null, STDERR_FILENO);
    execle ("/bin/sh", "sh", "-c", text, (char *) NULL, environment);
    _exit (127);
  }
  setpgid (pid, pid);
  free (text);
  close (fds[1]);
  *output = fds[0];
  return pid;
}

/* Capture up to SHARE pages of one workload into OUT. */
static void
capture (const char *name, const char *command, uint64_t share, FILE *out,
         struct counts *total)
{
  struct counts counts = { 0 };
  struct pollfd poller = { .events = POLLIN };
  const pid_t pid = start (command, &poller.fd);
  int status;

  if (poll (&poller, 1, START_LIMIT) == 1 && (poller.revents & POLLIN)) {
    size_t count;
    char *pages;
    uint64_t taken = 0;

    kill (-pid, SIGSTOP);
    if (waitpid (pid, &status, WUNTRACED) != pid)
      fail ("waitpid");
    if (WIFSTOPPED (status)) {
      pages = read_process (pid, &count, &counts);
      for (size_t i = 0; i < count; i += RUN) {
        const size_t runs = (count + RUN - 1) / RUN;
        const size_t run = i / RUN;
        const uint64_t shares = (share + RUN - 1) / RUN;

        /* The runs at which the wanted part steps up are taken. */
        if (runs > shares && (run + 1) * shares / runs == run * shares / runs)
          continue;
        for (size_t j = i; j < count && j < i + RUN && taken < share; j++) {
          if (fwrite (pages + j * PAGE_BYTES, PAGE_BYTES, 1, out) != 1)
            fail ("write");
          taken++;
        }
      }
      counts.kept = taken;
      free (pages);
    }
  }
  kill (-pid, SIGKILL);
  waitpid (pid, &status, 0);
  close (poller.fd);

  if (counts.seen == 0)
    printf ("%-16s not captured: it wrote nothing\n", name);
  else
    printf ("%-16s %8" PRIu64 " pages, %6" PRIu64 " same-filled, %6" PRIu64
            " seen before, %6" PRIu64 " kept\n",
            name, counts.seen, counts.same, counts.duplicates, counts.kept);
  total->seen += counts.seen;
  total->same += counts.same;
  total->duplicates += counts.duplicates;
  total->kept += counts.kept;
}

int
main (int argc, char *argv[])
{
  uint64_t wanted = 49152;
  const char *output = NULL;
  struct counts total = { 0 };
  char *lines[64];
  size_t workloads = 0, capacity = 0;
  char *line = NULL;
  FILE *list, *out;
  int option;

  while ((option = getopt (argc, argv, "n:o:")) != -1)
    switch (option) {
    case 'n':
      wanted = strtoull (optarg, NULL, 0);
      break;
    case 'o':
      output = optarg;
      break;
    default:
      output = NULL;
      optind = argc;
    }
  if (output == NULL || optind + 1 != argc) {
    fputs ("usage: capture-pages [-n PAGES] -o FILE LIST\n", stderr);
    return EXIT_FAILURE;
  }

  list = fopen (argv[optind], "re");
  if (list == NULL)
    fail (argv[optind]);
  while (workloads < sizeof lines / sizeof lines[0]
         && getline (&line, &capacity, list) > 0) {
    line[strcspn (line, "\n")] = 0;
    if (strchr (line, '\t') != NULL)
      lines[workloads++] = strdup (line);
  }
  free (line);
  fclose (list);

  out = fopen (output, "we");
  if (out == NULL)
    fail (output);
  setvbuf (stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; i < workloads; i++) {
    char *command = strchr (lines[i], '\t');

    *command++ = 0;
    capture (lines[i], command, (wanted - total.kept) / (workloads - i), out,
             &total);
    free (lines[i]);
  }
  if (fclose (out) != 0)
    fail (output);
  printf ("%-16s %8" PRIu64 " pages, %6" PRIu64 " same-filled, %6" PRIu64
          " seen before, %6" PRIu64 " kept\n",
          "all", total.seen, total.same, total.duplicates, total.kept);
  free (known.hashes);
  return EXIT_SUCCESS;
}
