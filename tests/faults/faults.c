/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <time.h>

#include "faults.h"

struct faults *faults;

/* ---- what is held ---- */

#define HELD 65536

static struct {
  void *pointer;
  uintptr_t address;
} held[HELD];
static atomic_flag held_lock = ATOMIC_FLAG_INIT;

static void
lock (atomic_flag *flag)
{
  /* Who has it may be of a lower priority, and need a CPU. */
  for (unsigned i = 0; atomic_flag_test_and_set (flag); ++i)
    if (i > 1000)
      nanosleep (&(struct timespec){ 0, 100000 }, NULL);
}

static void
hold (void *pointer, void *address)
{
  lock (&held_lock);
  for (unsigned i = (unsigned) ((uintptr_t) pointer >> 4) % HELD;;
       i = (i + 1) % HELD)
    if (!held[i].pointer || held[i].pointer == (void *) -1) {
      held[i].pointer = pointer;
      held[i].address = (uintptr_t) address;
      break;
    }
  atomic_flag_clear (&held_lock);
}

void
faults_give (void *pointer)
{
  unsigned i = (unsigned) ((uintptr_t) pointer >> 4) % HELD;

  if (!pointer)
    return;
  lock (&held_lock);
  while (held[i].pointer && held[i].pointer != pointer)
    i = (i + 1) % HELD;
  if (held[i].pointer)
    held[i].pointer = (void *) -1;
  atomic_flag_clear (&held_lock);
}

unsigned
faults_held (uintptr_t *address)
{
  unsigned count = 0;

  lock (&held_lock);
  for (unsigned i = 0; i < HELD; ++i)
    if (held[i].pointer && held[i].pointer != (void *) -1) {
      count++;
      *address = held[i].address;
    }
  atomic_flag_clear (&held_lock);
  return count;
}

void *
faults_take (void *pointer, void *address)
{
  if (pointer && faults && atomic_load (&faults->listening))
    hold (pointer, address);
  return pointer;
}

/* ---- sites ---- */

static struct fault_site *
find_site (const char *function, const int *errors, uintptr_t address)
{
  for (unsigned i = 0; i < faults->count; ++i)
    if (faults->sites[i].address == address)
      return &faults->sites[i];
  if (faults->count == FAULT_SITES)
    abort ();
  faults->sites[faults->count] = (struct fault_site){ .address = address,
                                                      .function = function,
                                                      .errors = errors };
  for (unsigned i = 0; i < 2; ++i)
    if (atomic_load (&faults->armed[i].fired)) {
      faults->sites[faults->count].after = faults->armed[i].address;
      faults->sites[faults->count].after_error = faults->armed[i].error;
    }
  return &faults->sites[faults->count++];
}

int
faults_ask (const char *function, const int *errors, void *address)
{
  struct fault_site *site;
  int error = 0;

  if (!faults || !atomic_load (&faults->listening))
    return 0;
  lock (&faults->lock);
  site = find_site (function, errors, (uintptr_t) address);
  if (atomic_load (&faults->scenario)) {
    site->scenarios |= atomic_load (&faults->scenario);
    site->after = 0; /* no failure leads to it */
  }
  for (unsigned i = 0; i < 2; ++i)
    if (faults->armed[i].address == (uintptr_t) address
        && !atomic_exchange (&faults->armed[i].fired, true))
      error = faults->armed[i].error;
  if (error)
    atomic_store (&site->failed, true);
  atomic_flag_clear (&faults->lock);
  return error;
}
