/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/orphan.h"

/* In a child, whose own child is left alone by its end. */
static void __attribute__ ((noreturn))
leave_alone (void (*become) (const void *opaque), const void *opaque, int tell)
{
  pid_t parent = getpid (), self;

  if (fork () != 0)
    _exit (0);
  while (getppid () == parent)
    usleep (1000);
  self = getpid ();
  if (write (tell, &self, sizeof self) != (ssize_t) sizeof self)
    _exit (127);
  setsid ();
  become (opaque);
  _exit (127);
}

int
orphan_start (void (*become) (const void *opaque), const void *opaque,
              struct why *why)
{
  pid_t child, process = 0;
  int ends[2], fd;

  if (pipe2 (ends, O_CLOEXEC) == -1)
    return why_set (why, errno, "pipe: %s", strerror (errno));
  child = fork ();
  if (child == 0)
    leave_alone (become, opaque, ends[1]);
  close (ends[1]);
  if (child == -1
      || read (ends[0], &process, sizeof process) != (ssize_t) sizeof process)
    process = 0;
  close (ends[0]);
  if (child != -1)
    waitpid (child, NULL, 0);
  if (process == 0)
    return why_set (why, ECHILD, "no process can be started");
  fd = (int) syscall (SYS_pidfd_open, process, 0);
  if (fd == -1) {
    int error = errno;

    if (error == ESRCH)
      return why_set (why, ECHILD, "the server ended at once");
    /* What cannot be looked after is not left running. */
    kill (process, SIGKILL);
    return why_set (why, error, "process %d: %s", (int) process,
                    strerror (error));
  }
  fcntl (fd, F_SETFD, FD_CLOEXEC);
  return fd;
}
