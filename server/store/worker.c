/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/group.h"

static struct worker *
worker_create (struct store *store)
{
  struct codec codecs[STORE_TIERS] = { { CODEC_NONE, 0 } };
  struct worker *worker = aligned_alloc (64, (sizeof *worker + 63) / 64 * 64);

  if (!worker)
    return NULL;
  *worker = (struct worker){ .store = store };
  for (unsigned i = 0; i < STORE_TIERS; ++i)
    if (tier_present (store, i))
      codecs[i] = (struct codec){ store->tiers[i].kind,
                                  atomic_load (&store->tiers[i].level) };
  worker->codec = codec_context_create (codecs, STORE_TIERS);
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

  worker->groups = false;
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
    backed_free (&worker->backed);
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

void
worker_make_object (struct worker *worker, unsigned number, uint64_t slot,
                    const void *page, unsigned char *room)
{
  const struct tier *tier = &worker->store->tiers[number];
  struct codec codec
      = { tier->kind,
          atomic_load_explicit (&tier->level, memory_order_relaxed) };
  struct object *object = (struct object *) room;
  size_t length = codec_compress (worker->codec, number, codec, page,
                                  object->bytes, PAGE_BYTES - LEAST_SAVING);

  if (length == 0) {
    length = PAGE_BYTES;
    memcpy (object->bytes, page, PAGE_BYTES);
  }
  object->slot = (uint32_t) slot;
  object->size = object_size ((uint32_t) length, 1);
  object->checksum
      = object_checksum (object->slot, object->bytes, (uint32_t) length);
}

bool
worker_may_remake (const struct worker *worker, const struct append *old)
{
  return !atomic_load_explicit (&worker->store->verify, memory_order_relaxed)
         || (word_is_of (old->expected, old->slot, old->object)
             && object_unharmed (old->object));
}

int
worker_unpack (struct worker *worker, enum codec_kind kind,
               const struct object *object, uint64_t slot, slot_word word,
               void *page)
{
  const void *member;

  if (slot_pages (word) > 1) {
    member = group_page (worker, kind, object, slot, word);
    if (!member)
      return -1;
    memcpy (page, member, PAGE_BYTES);
    return 0;
  }
  if (slot_is_lost (word)) {
    errno = EIO;
    return -1;
  }
  if (slot_length (word) == PAGE_BYTES) {
    memcpy (page, object->bytes, PAGE_BYTES);
    return 0;
  }
  return codec_decompress (worker->codec, kind, object->bytes,
                           slot_length (word), page);
}
