/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults: the calls that the server makes to the system and to libraries, and
 * that can fail, go through here (by the linker's --wrap), so that any one of
 * them can be made to fail.
 *
 * A call site is the address that a call returns to.  What is taken by the
 * calls of the server is remembered until it is given back.
 */
#ifndef TIERSWAP_TEST_FAULTS_H
#define TIERSWAP_TEST_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FAULT_SITES 2048

/* No error: half of it is done.  Others are those of errno. */
#define FAULT_HALF 4096

/* Shared by the processes of the test. */
struct fault_site {
  uintptr_t address; /* of this program as it is loaded */
  const char *function;
  const int *errors;   /* ends with 0: what it may fail with */
  uint32_t scenarios;  /* a bit for each that came to it while it was noted */
  _Atomic bool failed; /* it did, once */
  bool tried;          /* it was to, whether or not it was come to again */
  /* The fault that led to it, if it was not come to without one. */
  uintptr_t after;
  int after_error;
};

/* A call that fails, once. */
struct fault_armed {
  uintptr_t address; /* 0: none */
  int error;
  _Atomic bool fired;
};

struct faults {
  atomic_flag lock;
  _Atomic bool listening;    /* calls are noted, and can fail */
  _Atomic uint32_t scenario; /* the bit that is noted with sites, or 0 */
  unsigned count;
  struct fault_site sites[FAULT_SITES];

  struct fault_armed armed[2];
};
extern struct faults *faults;

/* The error of ERRORS that this call of FUNCTION shall fail with, or 0. */
extern int faults_ask (const char *function, const int *errors, void *address);

/* What a call at ADDRESS took (memory, a mapping, a stream, a thing of a
 * library; NULL: nothing) is to be given back; and it is.
 */
extern void *faults_take (void *pointer, void *address);
extern void faults_give (void *pointer);

/* What was taken and not given back: how much; *ADDRESS is the site of one. */
extern unsigned faults_held (uintptr_t *address);

#endif /* TIERSWAP_TEST_FAULTS_H */
