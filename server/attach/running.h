/* SPDX-License-Identifier: BSD-3-Clause */
/* The server that runs: which process it is, how it was started, and whether
 * the one that is installed now could take its place.
 */
#ifndef TIERSWAP_RUNNING_H
#define TIERSWAP_RUNNING_H

#include <stdbool.h>
#include <sys/types.h>

#include "attach/why.h"

struct running {
  pid_t process;
  int pidfd;
  bool supervised;     /* set by whoever knows: it is started again by itself */
  char *words, **argv; /* its command line, and where each word begins */
  char *variables, **environment;
  int directory;          /* its working directory */
  int program, plugin;    /* open files of both, even if removed; or -1 */
  int messages;           /* where it writes them, or -1 */
  char plugin_path[4096]; /* of it, if the command line names the open file */
  char version[32];       /* of the one that is installed */
};

/* The server behind the CONTROL socket. */
extern int running_find (struct running *running, const char *control,
                         struct why *why);
extern void running_close (struct running *running);

/* Where it listens for NBD clients, into PATH.  False: it is not told. */
extern bool running_socket (const struct running *running, char *path,
                            size_t room);

/* The process that listens at the other end of a CONNECTION to the socket PATH,
 * as a pidfd; -1: it is not told, or it does not look like a server of that.
 */
extern int running_behind (int connection, const char *path);

/* The socket of a server that was killed is in the way of the next: remove what
 * is at PATH, if it is one.
 */
extern void running_remove_socket (const char *path);

/* Whether it stays in the foreground. */
extern bool running_stays (const struct running *running);

/* Ask the installed server, which says whether it could go on with the state of
 * the one that runs and takes its configuration.  Nothing is changed.
 */
extern int running_ask_successor (struct running *running, struct why *why);

/* End it.  What is stored is consistent at any instant, and what was not
 * answered is sent again; so it is not asked, for one with clients stays.
 */
extern int running_end (struct running *running, struct why *why);

/* Start a server with its words, in its place: what is installed, or SAME, the
 * very program and plugin that ran.  A pidfd of it, or -1.
 */
extern int running_start (const struct running *running, bool same,
                          struct why *why);

#endif /* TIERSWAP_RUNNING_H */
