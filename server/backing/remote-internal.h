/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of a remote backing share: its requests, its connections, and
 * the loop that is the only one to touch either.
 */
#ifndef TIERSWAP_BACKING_REMOTE_INTERNAL_H
#define TIERSWAP_BACKING_REMOTE_INTERNAL_H

#include <libnbd.h>

#include "backing/internal.h"
#include "backing/remote.h"

/* As many as a server allows that says it can do with several: one connection
 * is one thread's work at the other end, and one stream of TLS.
 */
#define CONNECTIONS 4

#define CONNECT_TIME (10 * SECOND) /* at most the deadline */
#define NEVER UINT64_MAX
#define ATTENDED 32

enum phase { APART, CONNECTING, CONNECTED };

struct connection {
  struct nbd_handle *nbd;
  uint64_t bytes; /* of the requests it has */
};

struct remote {
  struct backing *backing;
  pthread_t loop;
  int wake;              /* an eventfd */
  atomic_bool connected; /* changes with the lock held */

  pthread_mutex_t lock;
  pthread_cond_t tried; /* to connect, for the first time */
  bool has_tried;
  int error;        /* why the last try failed, 0: it did not */
  char reason[256]; /* the same in words */
  bool refused;     /* for what the export is, not for want of a server */
  bool missing;     /* it was opened without a server */
  struct request *submitted, **submitted_end;
  bool sleeping, stop; /* sleeping: WAKE must be written to */
  uint64_t size;       /* of the export, bytes, 0: not known yet */
  uint64_t needed;     /* bytes it must have */
  uint64_t settled_at; /* 0: it is settled, NEVER: not while it is gone */

  /* Of the loop alone: */
  enum phase phase;
  struct connection connections[CONNECTIONS];
  unsigned connections_count;
  uint64_t retry_at;   /* if apart */
  uint64_t give_up_at; /* if connecting */
  bool has_more;       /* if connecting: beside the first were tried */
  uint64_t piece;      /* bytes of the largest read or write it takes */
  bool can_trim;
  struct request *first, *last; /* in flight, the oldest first */
  bool was_lost, told_refused;
  struct backing_queue *attended[ATTENDED]; /* have new answers */
  unsigned attended_count;
};

/* ---- remote-loop.c ---- */

/* The loop's thread. */
extern void *remote_loop (void *remote);

/* ---- remote-requests.c, for the loop ---- */

/* Send a request on one of the connections. */
extern void remote_issue (struct remote *remote, struct request *request);

/* Whether something under way changes the content of the export. */
extern bool remote_has_writes (const struct remote *remote);

/* The request is done with; its queue is woken by remote_leave_queues. */
extern void remote_answer (struct remote *remote, struct request *request,
                           int error);

/* Answer all under way, when no connection is there any more. */
extern void remote_answer_all (struct remote *remote);

/* Queues are woken once for all that they get in one turn of the loop. */
extern void remote_leave_queues (struct remote *remote);

/* ---- remote-connect.c, for the loop ---- */

/* Begin to connect, which ends in the phase CONNECTED or APART. */
extern void remote_begin_connecting (struct remote *remote);

/* Go on, once something has happened. */
extern void remote_go_on_connecting (struct remote *remote);

/* It takes too long. */
extern void remote_stop_connecting (struct remote *remote);

/* Connection I is dead. */
extern void remote_bury_connection (struct remote *remote, unsigned i);

/* The connections are of no use any more.  When this returns nothing touches
 * the memory of any request.
 */
extern void remote_lose (struct remote *remote, const char *reason);

extern void remote_close_connections (struct remote *remote);

#endif /* TIERSWAP_BACKING_REMOTE_INTERNAL_H */
