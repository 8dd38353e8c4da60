/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "store/worker.h"

static struct worker *
worker_create (struct store *store)
{
  struct codec codecs[STORE_TIERS];
  struct worker *worker =
      aligned_alloc (64, (sizeof *worker + 63) / 64 * 64);

  if (!worker)
    return NULL;
  *worker = (struct worker){ .store = store };
  for (unsigned i = 0; i < store->tiers_count; ++i)
    codecs[i] = (struct codec){ store->tiers[i].kind,
                                atomic_load (&store->tiers[i].level) };
  worker->codec = codec_context_create (codecs, store->tiers_count);
  if (!worker->codec) {
    free (worker);
    return NULL;
  }
  return worker;
}

/* Its thread has ended: the next new one takes it over. */
static void
worker_idle (void *data)
{
  struct worker *worker = data;
  struct store *store = worker->store;

  pthread_mutex_lock (&store->workers_lock);
  worker->next_idle = store->idle_workers;
  store->idle_workers = worker;
  pthread_mutex_unlock (&store->workers_lock);
}

static void
worker_add (struct store *store, struct worker *worker)
{
  pthread_mutex_lock (&store->workers_lock);
  worker->next = store->workers;
  store->workers = worker;
  pthread_mutex_unlock (&store->workers_lock);
}

static struct worker *
worker_take (struct store *store)
{
  struct worker *worker;

  pthread_mutex_lock (&store->workers_lock);
  worker = store->idle_workers;
  if (worker)
    store->idle_workers = worker->next_idle;
  pthread_mutex_unlock (&store->workers_lock);
  if (!worker) {
    worker = worker_create (store);
    if (!worker)
      return NULL;
    worker_add (store, worker);
  }
  if ((errno = pthread_setspecific (store->worker_key, worker)) != 0) {
    worker_idle (worker);
    return NULL;
  }
  return worker;
}

struct worker *
worker_get (struct store *store)
{
  struct worker *worker = pthread_getspecific (store->worker_key);

  return worker ? worker : worker_take (store);
}

int
worker_prepare (struct store *store)
{
  struct worker *worker = worker_create (store);

  if (!worker)
    return -1;
  worker_add (store, worker);
  worker_idle (worker);
  return 0;
}

void
workers_free (struct store *store)
{
  struct worker *next;

  for (struct worker *worker = store->workers; worker; worker = next) {
    next = worker->next;
    codec_context_free (worker->codec);
    free (worker);
  }
  store->workers = store->idle_workers = NULL;
}

int
workers_create (struct store *store)
{
  int error = pthread_key_create (&store->worker_key, worker_idle);

  if (error) {
    errno = error;
    return -1;
  }
  return 0;
}
