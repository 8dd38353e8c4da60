/* SPDX-License-Identifier: BSD-3-Clause */
/* The extent allocator: order, limits, live resizing, holds, and a model of
 * it under many threads.
 */
#include <config.h>

#include <pthread.h>
#include <stdatomic.h>

#include "test-backing.h"
#include "backing/extents.h"

static void
test_order (void **state)
{
  struct extents *extents = extents_create (4);
  uint32_t batch[4];

  (void) state;
  assert_int_equal (extents_allocate (extents), 0);
  assert_int_equal (extents_allocate (extents), 1);
  assert_int_equal (extents_allocate (extents), 2);
  assert_int_equal (extents_used (extents), 3);
  assert_int_equal (extents_fresh (extents), 3);

  /* What was freed last comes first, not yet emptied. */
  extents_free (extents, 0);
  extents_free (extents, 1);
  assert_true (extents_have_freed (extents));
  assert_int_equal (extents_allocate (extents), 1);

  /* Emptied ones come before fresh ones. */
  assert_int_equal (extents_take_freed (extents, batch, 4), 1);
  assert_int_equal (batch[0], 0);
  assert_false (extents_have_freed (extents));
  extents_put_clean (extents, batch, 1);
  assert_int_equal (extents_allocate (extents), 0);
  assert_int_equal (extents_allocate (extents), 3);

  errno = 0;
  assert_int_equal (extents_allocate (extents), -1);
  assert_int_equal (errno, ENOSPC);
  assert_int_equal (extents_used (extents), 4);
  extents_destroy (extents);
}

/* What is being emptied is not handed out. */
static void
test_trimming (void **state)
{
  struct extents *extents = extents_create (2);
  uint32_t batch[2];
  int64_t extent;

  (void) state;
  extents_allocate (extents);
  /* What was never used only if that is allowed. */
  assert_int_equal (extents_take_spare (extents, false), -1);
  assert_int_equal (extents_fresh (extents), 1);
  extents_allocate (extents);
  extents_free (extents, 1);
  assert_int_equal (extents_take_freed (extents, batch, 2), 1);
  assert_int_equal (extents_allocate (extents), -1);
  extents_put_clean (extents, batch, 1);
  assert_int_equal (extents_take_spare (extents, false), 1);
  extents_put_freed (extents, batch, 1);
  assert_int_equal (extents_allocate (extents), 1);
  extents_free (extents, 1);

  /* The same for what is probed. */
  extent = extents_take_spare (extents, true);
  assert_int_equal (extent, 1);
  assert_int_equal (extents_used (extents), 1);
  assert_int_equal (extents_allocate (extents), -1);
  assert_int_equal (extents_take_spare (extents, true), -1);
  batch[0] = extent;
  extents_put_freed (extents, batch, 1);
  assert_int_equal (extents_allocate (extents), 1);
  extents_destroy (extents);
}

static void
test_resize (void **state)
{
  struct extents *extents = extents_create (8);
  uint64_t busy = 99;
  bool seen[16] = { false };
  unsigned i;

  (void) state;
  for (i = 0; i < 8; ++i)
    extents_allocate (extents);
  for (i = 0; i < 6; ++i)
    extents_free (extents, i);

  errno = 0;
  assert_int_equal (extents_resize (extents, 4, &busy), -1);
  assert_int_equal (errno, EBUSY);
  assert_int_equal (busy, 2);
  assert_int_equal (extents_capacity (extents), 8);

  extents_free (extents, 6);
  extents_free (extents, 7);
  assert_int_equal (extents_resize (extents, 4, &busy), 0);
  assert_int_equal (extents_capacity (extents), 4);
  for (i = 0; i < 4; ++i)
    assert_in_range (extents_allocate (extents), 0, 3);
  assert_int_equal (extents_allocate (extents), -1);

  /* Grown again, what was dropped is fresh, and all are there once. */
  assert_int_equal (extents_resize (extents, 16, &busy), 0);
  for (i = 4; i < 16; ++i) {
    int64_t extent = extents_allocate (extents);

    assert_in_range (extent, 4, 15);
    assert_false (seen[extent]);
    seen[extent] = true;
  }
  assert_int_equal (extents_allocate (extents), -1);
  assert_int_equal (extents_used (extents), 16);

  errno = 0;
  assert_int_equal (extents_resize (extents, (uint64_t) EXTENTS_MAX + 1, &busy),
                    -1);
  assert_int_equal (errno, EFBIG);
  extents_destroy (extents);
}

static void
test_holds (void **state)
{
  struct extents *extents = extents_create (2);
  struct extents_hold first = { .extent = 0 }, second = { .extent = 0 };
  uint32_t batch[2];
  uint64_t busy;

  (void) state;
  extents_allocate (extents);
  extents_hold (extents, &first);
  extents_hold (extents, &second);
  extents_free (extents, 0);
  assert_int_equal (extents_used (extents), 0);
  assert_false (extents_have_freed (extents));
  assert_int_equal (extents_take_freed (extents, batch, 2), 0);
  assert_int_equal (extents_allocate (extents), 1);
  assert_int_equal (extents_allocate (extents), -1);
  extents_free (extents, 1);
  assert_int_equal (extents_resize (extents, 1, &busy), 0);

  extents_release (extents, &first);
  assert_int_equal (extents_allocate (extents), -1);
  extents_release (extents, &second);
  assert_int_equal (extents_allocate (extents), 0);

  /* A hold that ends before the extent is freed leaves no trace. */
  extents_hold (extents, &first);
  extents_release (extents, &first);
  extents_free (extents, 0);
  assert_int_equal (extents_allocate (extents), 0);
  extents_destroy (extents);
}

static void
test_pause (void **state)
{
  struct extents *extents = extents_create (2);
  uint32_t batch[2];

  (void) state;
  extents_allocate (extents);
  extents_free (extents, 0);
  extents_pause (extents, true);
  assert_false (extents_have_freed (extents));
  assert_int_equal (extents_take_freed (extents, batch, 2), 0);
  assert_int_equal (extents_allocate (extents), 1);
  assert_int_equal (extents_allocate (extents), -1);
  extents_pause (extents, false);
  assert_int_equal (extents_allocate (extents), 0);
  extents_destroy (extents);
}

static uint64_t
resident_bytes (void)
{
  FILE *f = fopen ("/proc/self/statm", "r");
  unsigned long long size, resident;

  assert_non_null (f);
  assert_int_equal (fscanf (f, "%llu %llu", &size, &resident), 2);
  fclose (f);
  return resident * sysconf (_SC_PAGESIZE);
}

/* A large backing costs no memory until it is used. */
static void
test_memory (void **state)
{
  uint64_t before = resident_bytes ();
  struct extents *extents = extents_create (UINT64_C (1) << 28); /* 64 TiB */
  unsigned i;

  (void) state;
  assert_non_null (extents);
  for (i = 0; i < 1000; ++i)
    assert_int_equal (extents_allocate (extents), i);
  assert_in_range (resident_bytes () - before, 0, 4 * MIB);
  extents_destroy (extents);
}

/* ---- the model ---- */

#define MODEL_MAX 4096
#define MODEL_MIN 1024
#define MODEL_HELD 256 /* a thread owns at most so many */
#define MODEL_STEPS 100000

static struct {
  struct extents *extents;
  atomic_int owner[MODEL_MAX]; /* 0: nobody's */
  atomic_int running;
  atomic_ullong failures;
} model;

static void
claim (uint64_t extent, int who)
{
  if (extent >= MODEL_MAX || atomic_exchange (&model.owner[extent], who) != 0)
    model.failures++;
}

static void
disclaim (uint64_t extent, int who)
{
  if (atomic_exchange (&model.owner[extent], 0) != who)
    model.failures++;
}

static void *
use_extents (void *opaque)
{
  int who = (intptr_t) opaque;
  unsigned random = who * 7919;
  int64_t held[MODEL_HELD];
  unsigned count = 0, step;
  struct extents_hold hold;

  for (step = 0; step < MODEL_STEPS; ++step) {
    random = random * 1664525 + 1013904223;
    if (count < MODEL_HELD && (random >> 16) % 2 == 0) {
      int64_t extent = extents_allocate (model.extents);

      if (extent != -1) {
        claim (extent, who);
        held[count++] = extent;
      }
    }
    else if (count > 0) {
      unsigned i = (random >> 17) % count;
      int64_t extent = held[i];

      held[i] = held[--count];
      if (random % 64 == 0) {
        /* It is still ours while the hold stands. */
        hold.extent = extent;
        extents_hold (model.extents, &hold);
        extents_free (model.extents, extent);
        disclaim (extent, who);
        extents_release (model.extents, &hold);
      }
      else {
        disclaim (extent, who);
        extents_free (model.extents, extent);
      }
    }
  }
  while (count > 0) {
    disclaim (held[--count], who);
    extents_free (model.extents, held[count]);
  }
  model.running--;
  return NULL;
}

static void *
empty_extents (void *opaque)
{
  uint32_t batch[16];
  size_t i, count;
  int64_t spare;

  (void) opaque;
  while (model.running > 0) {
    count = extents_take_freed (model.extents, batch, 16);
    for (i = 0; i < count; ++i)
      claim (batch[i], -1);
    for (i = 0; i < count; ++i)
      disclaim (batch[i], -1);
    extents_put_clean (model.extents, batch, count);

    spare = extents_take_spare (model.extents, true);
    if (spare != -1) {
      claim (spare, -2);
      disclaim (spare, -2);
      batch[0] = spare;
      extents_put_freed (model.extents, batch, 1);
    }
  }
  return NULL;
}

static void *
resize_extents (void *opaque)
{
  unsigned random = 1;
  uint64_t busy;

  (void) opaque;
  while (model.running > 0) {
    random = random * 1664525 + 1013904223;
    if (extents_resize (model.extents,
                        MODEL_MIN + (random >> 8) % (MODEL_MAX - MODEL_MIN + 1),
                        &busy)
            == -1
        && errno != EBUSY)
      model.failures++;
    pause_briefly ();
  }
  return NULL;
}

static void
test_model (void **state)
{
  pthread_t users[4], janitor, resizer;
  bool seen[MODEL_MAX] = { false };
  uint64_t busy, i;

  (void) state;
  model.extents = extents_create (MODEL_MIN);
  assert_non_null (model.extents);
  model.running = 4;
  for (i = 0; i < 4; ++i)
    assert_int_equal (pthread_create (&users[i], NULL, use_extents,
                                      (void *) (intptr_t) (i + 1)),
                      0);
  assert_int_equal (pthread_create (&janitor, NULL, empty_extents, NULL), 0);
  assert_int_equal (pthread_create (&resizer, NULL, resize_extents, NULL), 0);
  for (i = 0; i < 4; ++i)
    pthread_join (users[i], NULL);
  pthread_join (janitor, NULL);
  pthread_join (resizer, NULL);
  assert_int_equal (model.failures, 0);

  /* All are back, each once. */
  assert_int_equal (extents_used (model.extents), 0);
  assert_int_equal (extents_resize (model.extents, MODEL_MAX, &busy), 0);
  for (i = 0; i < MODEL_MAX; ++i) {
    int64_t extent = extents_allocate (model.extents);

    assert_in_range (extent, 0, MODEL_MAX - 1);
    assert_false (seen[extent]);
    seen[extent] = true;
  }
  assert_int_equal (extents_allocate (model.extents), -1);
  extents_destroy (model.extents);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_order),  cmocka_unit_test (test_trimming),
    cmocka_unit_test (test_resize), cmocka_unit_test (test_holds),
    cmocka_unit_test (test_pause),  cmocka_unit_test (test_memory),
    cmocka_unit_test (test_model),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
