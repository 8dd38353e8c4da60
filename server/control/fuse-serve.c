/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads that take requests from the kernel, and the clerk. */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/message.h"
#include "common/refuse.h"
#include "control/fuse-command.h"
#include "control/fuse-internal.h"
#include "control/fuse-node.h"
#include "policy/change.h"

/* A thread waits for one backing at most, so there are more than CPUs. */
#define THREADS_LEAST 8
#define THREADS_MOST 32
#define STACK_BYTES (256 << 10)
#define STACK_TOUCHED (64 << 10)

/* Where a request is read to, so that what it writes begins at a page. */
#define HEADERS (sizeof (struct fuse_in_header) + sizeof (struct fuse_write_in))

void
tree_answer_bytes (struct tree *tree, uint64_t unique, const void *bytes,
                   size_t length)
{
  struct fuse_out_header out = {
    .len = (uint32_t) (sizeof out + length),
    .unique = unique,
  };
  struct iovec parts[] = {
    { &out, sizeof out },
    { (void *) (uintptr_t) bytes, length },
  };

  /* ENOENT: nobody waits for it any more. */
  (void) !writev (tree->fd, parts, length > 0 ? 2 : 1);
}

void
tree_answer (struct tree *tree, uint64_t unique, int error)
{
  const struct fuse_out_header out = {
    .len = sizeof out,
    .error = -error,
    .unique = unique,
  };

  (void) !write (tree->fd, &out, sizeof out);
}

/* Hand a request to the clerk.  Never waits: with so many before it that there
 * is no place, it fails.
 */
static void
hand_over (struct tree *tree, const struct fuse_in_header *header,
           size_t length)
{
  struct tree_message *message = NULL;

  if (length > TREE_MESSAGE) {
    tree_answer (tree, header->unique, EINVAL);
    return;
  }
  pthread_mutex_lock (&tree->queue_lock);
  message = tree->free_messages;
  if (message)
    tree->free_messages = message->next;
  pthread_mutex_unlock (&tree->queue_lock);
  if (!message) {
    tree_answer (tree, header->unique, EAGAIN);
    return;
  }
  memcpy (message->bytes, header, length);
  message->length = length;
  message->next = NULL;
  pthread_mutex_lock (&tree->queue_lock);
  *tree->queue_tail = message;
  tree->queue_tail = &message->next;
  pthread_cond_signal (&tree->queue_filled);
  pthread_mutex_unlock (&tree->queue_lock);
}

static void
forget (struct tree *tree, uint64_t id, uint64_t times)
{
  uint64_t hash;

  if (node_hash (id, &hash))
    names_release (tree->names, hash, times);
}

static void
forget_batch (struct tree *tree, const struct fuse_batch_forget_in *batch)
{
  const struct fuse_forget_one *one
      = (const struct fuse_forget_one *) (batch + 1);

  for (uint32_t i = 0; i < batch->count; ++i)
    forget (tree, one[i].nodeid, one[i].nlookup);
}

static void
take_request (struct tree *tree, const struct fuse_in_header *header,
              size_t length, void *data)
{
  switch (header->opcode) {
  case FUSE_FORGET:
    forget (tree, header->nodeid,
            ((const struct fuse_forget_in *) (header + 1))->nlookup);
    return;
  case FUSE_BATCH_FORGET:
    forget_batch (tree, (const struct fuse_batch_forget_in *) (header + 1));
    return;
  case FUSE_INTERRUPT:
    tree_command_interrupt (
        tree, ((const struct fuse_interrupt_in *) (header + 1))->unique);
    return;
  default:
    if (!tree_disk_request (tree, header, length, data))
      hand_over (tree, header, length);
  }
}

/* Touch the stack and have the store make ready what it has for a thread. */
static void
warm_up (struct tree *tree, void *data)
{
  char stack[STACK_TOUCHED];

  memset (stack, 1, sizeof stack);
  __asm__ volatile("" : : "r"(stack) : "memory");
  (void) store_read (tree->device->store, data, PAGE_BYTES, 0);
}

static void *
serve (void *argument)
{
  struct tree *tree = ((struct tree_thread *) argument)->tree;
  char *data = ((struct tree_thread *) argument)->memory + PAGE_BYTES;
  char *request = data - HEADERS;

  pthread_setcancelstate (PTHREAD_CANCEL_DISABLE, NULL);
  warm_up (tree, data);
  for (;;) {
    ssize_t n;

    /* Only who waits for a request is ever ended. */
    pthread_setcancelstate (PTHREAD_CANCEL_ENABLE, NULL);
    n = read (tree->fd, request, HEADERS + TREE_DATA);
    pthread_setcancelstate (PTHREAD_CANCEL_DISABLE, NULL);
    if (n >= (ssize_t) sizeof (struct fuse_in_header))
      take_request (tree, (const struct fuse_in_header *) request, (size_t) n,
                    data);
    else if (n != -1 || (errno != EINTR && errno != EAGAIN && errno != ENOENT))
      break;
  }
  /* It was unmounted, or else somebody shall know. */
  if (errno != ENODEV)
    message (MESSAGE_ERROR, "the FUSE tree at %s is not served any more: %m",
             tree->directory);
  return NULL;
}

static void *
work (void *argument)
{
  struct tree *tree = argument;
  struct tree_message *message;

  for (;;) {
    pthread_mutex_lock (&tree->queue_lock);
    while (!tree->queue && !tree->queue_ends)
      pthread_cond_wait (&tree->queue_filled, &tree->queue_lock);
    message = tree->queue;
    if (message) {
      tree->queue = message->next;
      if (!tree->queue)
        tree->queue_tail = &tree->queue;
    }
    pthread_mutex_unlock (&tree->queue_lock);
    if (!message)
      return NULL;
    tree->unique = ((const struct fuse_in_header *) message->bytes)->unique;
    fuse_session_process_buf (
        tree->session,
        &(struct fuse_buf){ .size = message->length, .mem = message->bytes });
    pthread_mutex_lock (&tree->queue_lock);
    message->next = tree->free_messages;
    tree->free_messages = message;
    pthread_mutex_unlock (&tree->queue_lock);
  }
}

static unsigned
count_threads (void)
{
  long cpus = sysconf (_SC_NPROCESSORS_ONLN);

  if (cpus * 2 < THREADS_LEAST)
    return THREADS_LEAST;
  return cpus * 2 > THREADS_MOST ? THREADS_MOST : (unsigned) cpus * 2;
}

static int
start_thread (struct tree *tree, const pthread_attr_t *attributes)
{
  struct tree_thread *thread = &tree->threads[tree->threads_count];
  int r;

  thread->tree = tree;
  thread->memory = mmap (NULL, PAGE_BYTES + TREE_DATA, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (thread->memory == MAP_FAILED)
    return ENOMEM;
  r = pthread_create (&thread->thread, attributes, serve, thread);
  if (r)
    munmap (thread->memory, PAGE_BYTES + TREE_DATA);
  else
    ++tree->threads_count;
  return r;
}

static int
start_threads (struct tree *tree)
{
  unsigned count = count_threads ();
  pthread_attr_t attributes;
  sigset_t all, before;
  int r;

  tree->threads = calloc (count, sizeof *tree->threads);
  tree->messages = malloc (TREE_MESSAGES * sizeof *tree->messages);
  if (!tree->threads || !tree->messages)
    return ENOMEM;
  for (unsigned i = 0; i < TREE_MESSAGES; ++i) {
    memset (&tree->messages[i], 0, sizeof tree->messages[i]);
    tree->messages[i].next = tree->free_messages;
    tree->free_messages = &tree->messages[i];
  }
  tree->queue_tail = &tree->queue;
  pthread_attr_init (&attributes);
  pthread_attr_setstacksize (&attributes, STACK_BYTES);
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  r = pthread_create (&tree->clerk, NULL, work, tree);
  tree->clerk_runs = r == 0;
  for (unsigned i = 0; r == 0 && i < count; ++i)
    r = start_thread (tree, &attributes);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  pthread_attr_destroy (&attributes);
  return r;
}

int
tree_serve (struct tree *tree, char **error)
{
  int r = start_threads (tree);

  return r ? refuse (error, r, "the threads of the FUSE tree did not start: %s",
                     strerror (r))
           : 0;
}

void
tree_serve_no_more (struct tree *tree)
{
  tree_commands_end (tree);
  for (unsigned i = 0; i < tree->threads_count; ++i)
    pthread_cancel (tree->threads[i].thread);
  for (unsigned i = 0; i < tree->threads_count; ++i) {
    pthread_join (tree->threads[i].thread, NULL);
    munmap (tree->threads[i].memory, PAGE_BYTES + TREE_DATA);
  }
  if (tree->clerk_runs) {
    pthread_mutex_lock (&tree->queue_lock);
    tree->queue_ends = true;
    pthread_cond_signal (&tree->queue_filled);
    pthread_mutex_unlock (&tree->queue_lock);
    pthread_join (tree->clerk, NULL);
  }
  tree_commands_end (tree);
  free (tree->threads);
  free (tree->messages);
}
