/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "rest.h"
#include "store/cleaner.h"

void
rest_cleaner (struct store *store)
{
  pthread_mutex_lock (&store->cleaner.round);
}

void
resume_cleaner (struct store *store)
{
  pthread_mutex_unlock (&store->cleaner.round);
}

struct store_statistics
statistics_at_rest (struct store *store)
{
  struct store_statistics s;

  rest_cleaner (store);
  store_get_statistics (store, &s);
  resume_cleaner (store);
  return s;
}
