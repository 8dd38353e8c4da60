/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/shim.h"

/* No source of tags is known yet. */
struct shim {
  struct tags *tags;
};

static int
no_source (char **error)
{
  if (asprintf (error, "no source of tags is built in") == -1)
    *error = NULL;
  errno = EOPNOTSUPP;
  return -1;
}

struct shim *
shim_create (struct tags *tags, const char *source)
{
  struct shim *shim = calloc (1, sizeof *shim);

  (void) source;
  if (shim)
    shim->tags = tags;
  return shim;
}

void
shim_free (struct shim *shim)
{
  free (shim);
}

int
shim_check (struct shim *shim, char **error)
{
  (void) shim;
  return no_source (error);
}

int
shim_watch (struct shim *shim, dev_t disk, char **error)
{
  (void) shim;
  (void) disk;
  return no_source (error);
}

int
shim_unwatch (struct shim *shim, dev_t disk, char **error)
{
  (void) shim;
  (void) disk;
  return no_source (error);
}

void
shim_drain (struct shim *shim)
{
  (void) shim;
}

void
shim_count (struct shim *shim, struct shim_counts *counts)
{
  (void) shim;
  *counts = (struct shim_counts){ 0 };
}
