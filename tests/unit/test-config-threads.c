/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that read configurations at once each get their own, or their own
 * mistake.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"

#define THREADS 4
#define ROUNDS 500

static bool
read_one (unsigned thread, unsigned round)
{
  char name[32], text[256], expected[128], *error = NULL;
  bool mistaken = (thread + round) % 2 == 1;
  unsigned lines = round % 7;
  uint64_t size = UINT64_C (4096) * (1 + thread + THREADS * round);
  struct config *config;
  bool right;

  snprintf (name, sizeof name, "thread-%u", thread);
  snprintf (text, sizeof text,
            "# a comment\n%.*ssize = %" PRIu64 "\ntier \"t%u\" { codec = zstd "
            "prio = %u }\n",
            (int) lines, "\n\n\n\n\n\n\n", size, thread, mistaken ? 5 : 4);
  config = config_parse (name, text, &error);
  if (mistaken) {
    snprintf (expected, sizeof expected, "%s:%u: prio is \"5\";", name,
              lines + 3);
    right = config == NULL && errno == EINVAL && error != NULL
            && strncmp (error, expected, strlen (expected)) == 0;
  }
  else {
    snprintf (expected, sizeof expected, "t%u", thread);
    right = config != NULL && config->size == size && config->tiers_count == 1
            && strcmp (config->tiers[0].name, expected) == 0
            && strcmp (config->file, name) == 0;
  }
  if (!right)
    fprintf (stderr, "%s, round %u: %s\n", name, round,
             error ? error : "wrong");
  free (error);
  config_free (config);
  return right;
}

static void *
read_many (void *opaque)
{
  unsigned *thread = opaque;

  for (unsigned round = 0; round < ROUNDS; round++)
    if (!read_one (*thread, round))
      return thread;
  return NULL;
}

int
main (void)
{
  unsigned numbers[THREADS];
  pthread_t threads[THREADS];
  int result = EXIT_SUCCESS;

  for (unsigned i = 0; i < THREADS; i++) {
    numbers[i] = i;
    if (pthread_create (&threads[i], NULL, read_many, &numbers[i]) != 0)
      abort ();
  }
  for (unsigned i = 0; i < THREADS; i++) {
    void *wrong;

    pthread_join (threads[i], &wrong);
    if (wrong != NULL)
      result = EXIT_FAILURE;
  }
  return result;
}
