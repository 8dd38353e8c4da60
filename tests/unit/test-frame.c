/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames: each is handed out once, the reserve is kept, and memory goes back
 * to the kernel, also when it is locked.
 */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "store/frame.h"

#define FRAMES 64
#define RESERVE 4

/* Memory pages of FRAME that are there. */
static unsigned
resident (struct arena *arena, uint32_t frame)
{
  unsigned char pages[FRAME_BYTES / 4096];
  unsigned n = 0;

  assert_int_equal (mincore (arena_frame (arena, frame), FRAME_BYTES, pages),
                    0);
  for (unsigned i = 0; i < sizeof pages; ++i)
    n += pages[i] & 1;
  return n;
}

static void
test_reserve (void **state)
{
  struct arena arena = { 0 };
  uint32_t taken[FRAMES];

  (void) state;
  assert_int_equal (arena_create (&arena, FRAMES, RESERVE, NULL), 0);
  arena_keep (&arena);
  assert_int_equal (arena_ready_bytes (&arena), RESERVE * FRAME_BYTES);
  for (unsigned i = 0; i < FRAMES; ++i) {
    taken[i] = arena_take (&arena);
    assert_in_range (taken[i], 0, FRAMES - 1);
    for (unsigned j = 0; j < i; ++j)
      assert_int_not_equal (taken[i], taken[j]);
    /* The first ones were made ready, with their memory. */
    if (i < RESERVE)
      assert_int_equal (resident (&arena, taken[i]), FRAME_BYTES / 4096);
    memset (arena_frame (&arena, taken[i]), 1, FRAME_BYTES);
  }
  assert_int_equal (arena_take (&arena), FRAME_NONE);
  arena_keep (&arena);
  assert_int_equal (arena_ready_bytes (&arena), 0);

  for (unsigned i = 0; i < FRAMES; ++i)
    arena_give (&arena, taken[i]);
  arena_keep (&arena);
  assert_int_equal (arena_ready_bytes (&arena), 2 * RESERVE * FRAME_BYTES);
  arena_free (&arena);
}

static void
release (bool locked)
{
  struct arena arena = { 0 };
  uint32_t taken[FRAMES];
  unsigned pages = 0;

  assert_int_equal (arena_create (&arena, FRAMES, 1, NULL), 0);
  if (locked && mlock2 (arena.base, FRAMES * FRAME_BYTES, MLOCK_ONFAULT)) {
    arena_free (&arena);
    print_message ("no memory may be locked here: not tried\n");
    skip ();
  }
  for (unsigned i = 0; i < FRAMES; ++i) {
    taken[i] = arena_take (&arena);
    memset (arena_frame (&arena, taken[i]), 1, FRAME_BYTES);
  }
  for (unsigned i = 0; i < FRAMES; ++i)
    arena_give (&arena, taken[i]);
  arena_keep (&arena);
  for (unsigned i = 0; i < FRAMES; ++i)
    pages += resident (&arena, taken[i]);
  assert_int_equal (pages, 2 * FRAME_BYTES / 4096);
  arena_free (&arena);
}

static void
test_release (void **state)
{
  (void) state;
  release (false);
}

static void
test_release_locked (void **state)
{
  (void) state;
  release (true);
}

/* Threads take and give; nobody ever holds a frame that another holds. */
static struct arena shared;
static _Atomic uint32_t held[FRAMES];

static void *
take_and_give (void *unused)
{
  (void) unused;
  for (unsigned i = 0; i < 20000; ++i) {
    uint32_t a = arena_take (&shared), b = arena_take (&shared);

    if (a != FRAME_NONE && atomic_fetch_add (&held[a], 1) != 0)
      abort ();
    if (b != FRAME_NONE && atomic_fetch_add (&held[b], 1) != 0)
      abort ();
    if (a != FRAME_NONE) {
      atomic_fetch_sub (&held[a], 1);
      arena_give (&shared, a);
    }
    if (b != FRAME_NONE) {
      atomic_fetch_sub (&held[b], 1);
      arena_give (&shared, b);
    }
    if (i % 1000 == 0)
      arena_keep (&shared);
  }
  return NULL;
}

static void
test_threads (void **state)
{
  pthread_t threads[4];

  (void) state;
  assert_int_equal (arena_create (&shared, FRAMES, 2, NULL), 0);
  for (unsigned i = 0; i < 4; ++i)
    assert_int_equal (pthread_create (&threads[i], NULL, take_and_give, NULL),
                      0);
  for (unsigned i = 0; i < 4; ++i)
    pthread_join (threads[i], NULL);
  /* All are there again. */
  for (unsigned i = 0; i < FRAMES; ++i)
    assert_int_not_equal (arena_take (&shared), FRAME_NONE);
  assert_int_equal (arena_take (&shared), FRAME_NONE);
  arena_free (&shared);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_reserve),
    cmocka_unit_test (test_release),
    cmocka_unit_test (test_release_locked),
    cmocka_unit_test (test_threads),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
