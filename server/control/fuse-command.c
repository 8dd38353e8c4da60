/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "control/command.h"
#include "control/fuse-command.h"

struct tree_command {
  struct tree_command *next;
  struct tree *tree;
  fuse_req_t fuse_request;
  uint64_t unique;
  size_t size;
  pthread_t thread;
  bool started; /* its thread */
  _Atomic bool done;
  struct command command;
  struct request request;
  char text[]; /* the words */
};

/* Tell how it ended. */
static void
finish (struct tree_command *c)
{
  int code = c->command.code ? c->command.code : ENOMEM;
  bool well = c->command.result && !c->command.error;

  if (!well)
    message (MESSAGE_ERROR, "%s: %s", c->request.words[0],
             c->command.error ? c->command.error : strerror (code));
  json_decref (c->command.result);
  free (c->command.error);
  c->command.result = NULL;
  c->command.error = NULL;
  if (atomic_load (&c->command.cancel))
    fuse_reply_err (c->fuse_request, EINTR);
  else if (well)
    fuse_reply_write (c->fuse_request, c->size);
  else
    fuse_reply_err (c->fuse_request, code);
}

static void *
run (void *argument)
{
  struct tree_command *c = argument;

  command_run (&c->command);
  finish (c);
  atomic_store (&c->done, true);
  return NULL;
}

static bool
take_words (struct tree_command *c, const char *name)
{
  char *rest = c->text, *word;

  c->request.words[c->request.count++] = name;
  while ((word = strtok_r (NULL, " \t\n", &rest))) {
    if (c->request.count == PROTOCOL_WORDS)
      return false;
    c->request.words[c->request.count++] = word;
  }
  return true;
}

/* Free those that are done, count the others. */
static unsigned
reap (struct tree *tree)
{
  struct tree_command **place = &tree->commands, *c;
  unsigned busy = 0;

  while ((c = *place)) {
    if (!atomic_load (&c->done)) {
      ++busy;
      place = &c->next;
      continue;
    }
    *place = c->next;
    if (c->started)
      pthread_join (c->thread, NULL);
    free (c);
  }
  return busy;
}

static int
start (struct tree *tree, struct tree_command *c)
{
  sigset_t all, before;
  int r;

  pthread_mutex_lock (&tree->commands_lock);
  if (reap (tree) >= TREE_COMMANDS) {
    pthread_mutex_unlock (&tree->commands_lock);
    message (MESSAGE_ERROR,
             "%s: %d commands that were written into files of %s are at work; "
             "wait for one of them",
             c->request.words[0], TREE_COMMANDS, tree->directory);
    return EBUSY;
  }
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  r = pthread_create (&c->thread, NULL, run, c);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (r == 0) {
    c->started = true;
    c->next = tree->commands;
    tree->commands = c;
  }
  pthread_mutex_unlock (&tree->commands_lock);
  return r;
}

void
tree_command_begin (struct tree *tree, fuse_req_t request, const char *name,
                    const char *text, size_t size)
{
  size_t length = strlen (text) + 1;
  struct tree_command *c = calloc (1, sizeof *c + length);
  int r;

  if (!c) {
    fuse_reply_err (request, ENOMEM);
    return;
  }
  c->tree = tree;
  c->fuse_request = request;
  c->unique = tree->unique;
  c->size = size;
  memcpy (c->text, text, length);
  if (!take_words (c, name)) {
    message (MESSAGE_ERROR, "%s: too many words", name);
    r = EINVAL;
  }
  else if (command_begin (&c->command, tree->device, &c->request)) {
    finish (c);
    free (c);
    return;
  }
  else
    r = start (tree, c);
  if (r) {
    fuse_reply_err (request, r);
    free (c);
  }
}

void
tree_command_interrupt (struct tree *tree, uint64_t unique)
{
  pthread_mutex_lock (&tree->commands_lock);
  for (struct tree_command *c = tree->commands; c; c = c->next)
    if (c->unique == unique)
      atomic_store (&c->command.cancel, true);
  pthread_mutex_unlock (&tree->commands_lock);
}

void
tree_commands_end (struct tree *tree)
{
  struct tree_command *c, *next;

  pthread_mutex_lock (&tree->commands_lock);
  for (c = tree->commands; c; c = c->next)
    atomic_store (&c->command.cancel, true);
  c = tree->commands;
  tree->commands = NULL;
  pthread_mutex_unlock (&tree->commands_lock);
  for (; c; c = next) {
    next = c->next;
    pthread_join (c->thread, NULL);
    free (c);
  }
}
