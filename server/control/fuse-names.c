/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "control/fuse-names.h"

#define CHAINS 1024

struct name {
  struct name *next;
  uint64_t hash, count;
  char text[];
};

struct names {
  pthread_mutex_t lock;
  struct name *chains[CHAINS];
  struct name *unused; /* to be freed by the next one to hold a name */
};

struct names *
names_create (void)
{
  struct names *names = calloc (1, sizeof *names);

  if (names)
    pthread_mutex_init (&names->lock, NULL);
  return names;
}

static void
free_list (struct name *name)
{
  struct name *next;

  for (; name; name = next) {
    next = name->next;
    free (name);
  }
}

void
names_free (struct names *names)
{
  if (!names)
    return;
  for (unsigned i = 0; i < CHAINS; ++i)
    free_list (names->chains[i]);
  free_list (names->unused);
  pthread_mutex_destroy (&names->lock);
  free (names);
}

/* FNV-1a, folded to 48 bits. */
uint64_t
names_hash (const char *name)
{
  uint64_t hash = UINT64_C (0xcbf29ce484222325);

  for (; *name; ++name)
    hash = (hash ^ (unsigned char) *name) * UINT64_C (0x100000001b3);
  return (hash ^ hash >> 48) & ((UINT64_C (1) << 48) - 1);
}

/* Where it is, or where it would be; under the lock. */
static struct name **
place_of (struct names *names, uint64_t hash)
{
  struct name **place = &names->chains[hash % CHAINS];

  while (*place && (*place)->hash != hash)
    place = &(*place)->next;
  return place;
}

int
names_hold (struct names *names, const char *text)
{
  uint64_t hash = names_hash (text);
  size_t length = strlen (text) + 1;
  struct name *fresh = malloc (sizeof *fresh + length), *unused, **place;
  int r = 0;

  if (!fresh)
    return -1;
  *fresh = (struct name){ .hash = hash };
  memcpy (fresh->text, text, length);
  pthread_mutex_lock (&names->lock);
  unused = names->unused;
  names->unused = NULL;
  place = place_of (names, hash);
  if (!*place) {
    *place = fresh;
    fresh = NULL;
  }
  if (strcmp ((*place)->text, text) == 0)
    ++(*place)->count;
  else
    r = EBUSY;
  pthread_mutex_unlock (&names->lock);
  free_list (unused);
  free (fresh);
  errno = r ? r : errno;
  return r ? -1 : 0;
}

void
names_release (struct names *names, uint64_t hash, uint64_t times)
{
  struct name **place, *name;

  pthread_mutex_lock (&names->lock);
  place = place_of (names, hash);
  name = *place;
  if (name) {
    name->count -= times < name->count ? times : name->count;
    if (name->count == 0) {
      *place = name->next;
      name->next = names->unused;
      names->unused = name;
    }
  }
  pthread_mutex_unlock (&names->lock);
}

char *
names_find (struct names *names, uint64_t hash)
{
  struct name *name;
  char *copy = NULL;

  errno = ENOENT;
  pthread_mutex_lock (&names->lock);
  name = *place_of (names, hash);
  if (name)
    copy = strdup (name->text);
  pthread_mutex_unlock (&names->lock);
  return copy;
}
