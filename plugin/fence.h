/* SPDX-License-Identifier: BSD-3-Clause */
/* The fence against late writes.
 *
 * The kernel gives up a connection on which a request was not answered in time,
 * sends that over another one, and takes it for done when it is answered there.
 * The server, if it was only slow, still has the first copy: in the socket, or
 * at work.  Carried out after the second it may undo what was written to the
 * page since.  So a change that came over a connection which the client has
 * given up is dropped, and no change begins while an earlier one of such a
 * connection is at work.
 *
 * Why that is enough: the client hangs up before it sends a request again.  A
 * first copy either saw its connection up after it was counted at its gate:
 * then the second copy, sent after the hang-up, finds it counted and waits.  Or
 * it saw the hang-up, and is dropped.
 *
 * Over a network a hang-up may arrive after what was sent later elsewhere:
 * there the fence makes it unlikely, not impossible.
 */
#ifndef TIERSWAP_FENCE_H
#define TIERSWAP_FENCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Connections at a time. */
#define FENCE_GATES 128

/* What the changes of one connection go through.  Each has a line of the
 * processor's cache for itself.
 */
struct fence_gate {
  _Alignas(64) _Atomic unsigned changing; /* requests at work */
  _Atomic int socket;                     /* -1: not known */
  bool taken;
  ino_t inode; /* of the socket: descriptors are used again */
};

struct fence {
  pthread_mutex_t lock;      /* of taking and leaving gates */
  _Atomic unsigned frontier; /* gates beyond were never taken */
  struct fence_gate gates[FENCE_GATES];
};

#define FENCE_INITIALIZER                                                      \
  {                                                                            \
    .lock = PTHREAD_MUTEX_INITIALIZER                                          \
  }

/* Take a gate for the connection whose peer has the address PEER, of LENGTH
 * bytes; a socket of this process whose own address is the path OTHER is
 * not its (NULL: none is).  The socket is known if just one that no other gate
 * has fits, which is so for peers with an address of their own.  If it is not
 * known nothing of the connection is held back, as without a fence.
 *
 * NULL: all are taken.
 */
extern struct fence_gate *fence_join (struct fence *fence,
                                      const struct sockaddr *peer,
                                      socklen_t length, const char *other);

/* Give the gate back; nothing may be at work there. */
extern void fence_leave (struct fence *fence, struct fence_gate *gate);

/* Before a change.  0: carry it out, and then call fence_exit.
 * -1, errno is ESHUTDOWN: the client has hung up, drop it.
 *
 * It waits while a connection that was given up has changes at work.
 */
extern int fence_enter (struct fence *fence, struct fence_gate *gate);
extern void fence_exit (struct fence_gate *gate);

#endif /* TIERSWAP_FENCE_H */
