/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "far.h"

static char socket_path[128], errors_path[128];
static pid_t nbdkit;

static void
start (struct rig *rig, const char *write_delay)
{
  char errors_file[160];
  struct stat st;

  snprintf (socket_path, sizeof socket_path, "%s/socket", rig->folder);
  snprintf (errors_path, sizeof errors_path, "%s/errors", rig->folder);
  snprintf (errors_file, sizeof errors_file, "error-pread-file=%s",
            errors_path);
  nbdkit = fork ();
  if (nbdkit == 0) {
    /* One thread a connection: with more, nbdkit 1.32 may fail an assertion
     * when a client leaves before it is answered.
     */
    execlp ("nbdkit", "nbdkit", "-f", "--exit-with-parent", "--threads=1", "-U",
            socket_path, "--filter=delay", "--filter=error", "memory", "16M",
            write_delay, "error-pread-rate=100%", errors_file, NULL);
    _exit (127);
  }
  rig_wait (stat (socket_path, &st) == 0);
}

void
far_start (struct rig *rig)
{
  start (rig, "wdelay=0");
}

void
far_start_stuck (struct rig *rig)
{
  start (rig, "wdelay=100000");
}

void
far_stop (void)
{
  kill (nbdkit, SIGKILL);
  waitpid (nbdkit, NULL, 0);
  unlink (socket_path);
}

void
far_fail_reads (bool fail)
{
  if (fail)
    assert_int_equal (mknod (errors_path, S_IFREG | 0600, 0), 0);
  else
    assert_int_equal (unlink (errors_path), 0);
}

void
far_hang (struct rig *rig)
{
  int status;

  store_set_patience (rig->store, 0, FAR_LATE_SOON);
  kill (nbdkit, SIGSTOP);
  /* All its threads have stopped then. */
  assert_int_equal (waitpid (nbdkit, &status, WUNTRACED), nbdkit);
  assert_true (WIFSTOPPED (status));
}

void
far_resume (void)
{
  kill (nbdkit, SIGCONT);
}

unsigned
far_add (struct rig *rig, unsigned prio, unsigned deadline)
{
  struct tier_backing *b = &rig->backings.list[0];
  struct backing *backing;
  char uri[160], *error = NULL;
  struct backing_options options
      = { .name = "far", .uri = uri, .size = FAR_BYTES, .deadline = deadline };

  snprintf (uri, sizeof uri, "nbd+unix:///?socket=%s", socket_path);
  if (backing_open (&options, &backing, &error) == -1)
    fail_msg ("%s", error);
  snprintf (b->name, sizeof b->name, "far");
  b->prio = prio;
  store_set_backing (rig->store, 0, backing);
  store_set_patience (rig->store, 0, PAGES_PATIENCE);
  b->backing = backing;
  rig_wait (backing_state (backing) == BACKING_ONLINE);
  return 0;
}
