/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pages.h"
#include "scenario.h"
#include "store/codec.h"
#include "tierswap.h"
#include "workload.h"

extern char **environ;

char conf[128], control[128], server_socket[128];

static struct tierswap *device;
static send_request sender;

/* What was written last; shared by the processes of a run. */
static struct page {
  enum page_kind kind;
  uint64_t seed;
} * pages;
static uint64_t *last_seed;

void
workload_set_up (void)
{
  size_t bytes = PAGES * sizeof *pages + sizeof *last_seed;

  pages = mmap (NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
  if (pages == MAP_FAILED)
    abort ();
  last_seed = (uint64_t *) (pages + PAGES);
  in_folder ("conf", conf);
  in_folder ("control", control);
  in_folder ("server", server_socket);
}

void
workload_reset (void)
{
  memset (pages, 0, PAGES * sizeof *pages);
  *last_seed = 0;
}

/* ---- requests ---- */

static int
send_to_device (enum request kind, unsigned first, unsigned count, void *buffer)
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

void
workload_use (struct tierswap *used)
{
  device = used;
  sender = send_to_device;
}

void
workload_send_by (send_request send)
{
  sender = send;
}

void
insist (enum request kind, unsigned first, unsigned count, void *buffer)
{
  static const char *const words[]
      = { "read", "write", "trim", "zero", "write of a part" };
  unsigned tries = 0;

  while (sender (kind, first, count, buffer) == -1) {
    if (tries == 0)
      failed (&result->requests, words[kind]);
    if (!worth_another_try (&tries)) {
      bad ("a request fails for ever");
      return;
    }
  }
}

void
write_pages (unsigned first, unsigned count)
{
  static unsigned char buffer[REQUEST * PAGE_BYTES];

  for (; count > 0; first += REQUEST, count -= REQUEST) {
    for (unsigned i = 0; i < REQUEST; ++i) {
      uint64_t seed = ++*last_seed;

      pages[first + i].kind = (enum page_kind) (seed % PAGE_KINDS);
      pages[first + i].seed = seed;
      page_make (buffer + i * PAGE_BYTES, pages[first + i].kind, seed);
    }
    insist (WRITE, first, REQUEST, buffer);
  }
}

void
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

void
forget_pages (unsigned first, unsigned count)
{
  for (unsigned i = first; i < first + count; ++i)
    pages[i].kind = PAGE_ZERO;
}

void
use_pages (void)
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

/* ---- commands ---- */

static bool
run_tierswapctl (char *const words[])
{
  posix_spawn_file_actions_t actions;
  char path[512];
  pid_t pid;
  int status = -1, r;

  snprintf (path, sizeof path, "%s/tierswapctl", build_folder);
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_addopen (&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen (&actions, 2, "/dev/null", O_WRONLY, 0);
  r = posix_spawn (&pid, path, &actions, NULL, words, environ);
  posix_spawn_file_actions_destroy (&actions);
  if (r != 0 || waitpid (pid, &status, 0) != pid)
    return false;
  return status == 0;
}

void
command (bool is_refused, const char *a, const char *b, const char *c,
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
  unsigned tries = 0;

  while (run_tierswapctl (words) == is_refused) {
    errno = 0;
    if (tries == 0)
      failed (&result->commands, a);
    if (!worth_another_try (&tries)) {
      bad ("a command fails for ever");
      return;
    }
  }
}

/* One line is sent, and one is read: it has the key "result", or is an error.
 */
static bool
send_line (const char *line)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char answer[8192] = "";
  size_t length = 0;
  ssize_t n = -1;

  if (fd == -1)
    return false;
  snprintf (address.sun_path, sizeof address.sun_path, "%.100s", control);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) == 0
      && write (fd, line, strlen (line)) == (ssize_t) strlen (line))
    while (length < sizeof answer - 1 && !strchr (answer, '\n')
           && (n = read (fd, answer + length, sizeof answer - 1 - length)) > 0)
      answer[length += (size_t) n] = '\0';
  close (fd);
  return strstr (answer, "\"result\"") != NULL;
}

/* By another process, as no call of it is one of the server. */
void
command_line (bool is_refused, const char *line)
{
  unsigned tries = 0;
  int status = -1;
  pid_t child;

  do {
    child = fork ();
    if (child == 0)
      _exit (send_line (line) ? 0 : 1);
    waitpid (child, &status, 0);
    if (WIFEXITED (status) && (WEXITSTATUS (status) == 1) == is_refused)
      return;
    errno = 0;
    if (tries == 0)
      failed (&result->commands, line);
  } while (worth_another_try (&tries));
  bad ("a command fails for ever");
}

/* ---- the configuration ---- */

void
write_conf (const char *name, unsigned what)
{
  const char *second = what & CONF_OTHER ? "three" : "two";
  char path[128];
  FILE *file = fopen (in_folder (name, path), "w");

  if (!file)
    abort ();
  fprintf (file, "size = \"16M\"\npool { limit = \"%uM\"",
           what & CONF_SMALL ? 4 : (what & CONF_OTHER ? 9 : 8));
  if (what & CONF_STATE)
    fprintf (file, "  state = \"%s/memory/state\"", folder);
  fprintf (file,
           " }\n"
           "tier \"fast\" { prio = 1  codec = \"lz4\"  limit = \"4M\" }\n"
           "tier \"dense\" { prio = 2  codec = \"zstd\" }\n"
           "writeback { high = 90  low = 80%s }\n"
           "cgroup \"/\" { writeback_prio = 1 }\n",
           what & CONF_BPF ? "  limit = \"1G\"" : "");
  if (what & CONF_BPF)
    fprintf (file, "shim = \"bpf\"\n");
  if (what & CONF_REMOTE)
    fprintf (file,
             "backing \"far\" { prio = 1  uri = \"nbd+unix:///?socket=%s\" "
             " size = \"4M\" }\n",
             server_socket);
  else if (what & CONF_BLOCK)
    fprintf (file, "backing \"disk\" { prio = 1  path = \"%s\" }\n",
             BLOCK_DEVICE);
  else if (!(what & CONF_ALONE))
    fprintf (file,
             "backing \"one\" { prio = 1  path = \"%s/%s\"  size = \"%uM\" "
             " encrypt = true }\n",
             folder, what & CONF_MOVED ? "two" : "one",
             what & CONF_SMALL ? 16 : 4);
  if (!(what & (CONF_REMOTE | CONF_ONE_FILE | CONF_BLOCK | CONF_ALONE)))
    fprintf (file,
             "backing \"%s\" { prio = 2  path = \"%s/%s\"  size = \"4M\" }\n",
             second, folder, second);
  if (what & CONF_MISTAKE)
    fprintf (file, "colour = \"red\"\n");
  fclose (file);
}

/* Written before the run listens to what is called. */
void
swap_conf (const char *name)
{
  char path[128];

  if (rename (in_folder (name, path), conf) == -1)
    abort ();
}

/* ---- the device ---- */

void
with_device (void (*prepare) (struct tierswap *device), void (*run) (void))
{
  struct tierswap *made;

  if (tierswap_create (conf, NULL, &made) == -1) {
    refused ("create");
    return;
  }
  workload_use (made);
  if (tierswap_set_control (made, control) == -1)
    refused ("control");
  else {
    if (prepare)
      prepare (made);
    if (!result->refused[0] && tierswap_start (made) == -1)
      refused ("start");
  }
  if (!result->refused[0])
    run ();
  tierswap_free (made);
}
