/* SPDX-License-Identifier: BSD-3-Clause */
/* A write takes the newest tag of its pages or none, however it is split. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "policy/tags.h"
#include "store/codec.h"

#define PAGE UINT64_C (4096)
#define REGION (64 * PAGE)

static int
setup (void **state)
{
  *state = tags_create ();
  return *state ? 0 : -1;
}

static int
teardown (void **state)
{
  tags_free (*state);
  return 0;
}

static void
put (struct tags *tags, uint64_t offset, uint64_t length, uint64_t cgroup)
{
  struct tierswap_tag tag
      = { .offset = offset, .length = (uint32_t) length, .cgroup = cgroup };

  assert_int_equal (tags_put (tags, &tag), 0);
}

static void
check_take (struct tags *tags, uint64_t offset, uint64_t count, uint64_t cgroup,
            uint64_t covered)
{
  uint64_t got, length;

  tags_take (tags, offset, count, &got, &length);
  assert_int_equal (got, cgroup);
  assert_int_equal (length, covered);
}

static void
test_one (void **state)
{
  struct tags *tags = *state;

  check_take (tags, 7 * PAGE, PAGE, 0, PAGE);
  put (tags, 7 * PAGE, PAGE, 42);
  check_take (tags, 6 * PAGE, PAGE, 0, PAGE);
  check_take (tags, 8 * PAGE, PAGE, 0, PAGE);
  check_take (tags, 7 * PAGE, PAGE, 42, PAGE);
  check_take (tags, 7 * PAGE, PAGE, 0, PAGE);
}

static void
test_refused (void **state)
{
  static const struct tierswap_tag wrong[] = {
    { .offset = 0, .length = 0, .cgroup = 1 },
    { .offset = 512, .length = 4096, .cgroup = 1 },
    { .offset = 0, .length = 4095, .cgroup = 1 },
    { .offset = 0, .length = 4096, .cgroup = 0 },
    { .offset = 0, .length = 4096, .cgroup = 1, .reserved = 1 },
    { .offset = 0, .length = TIERSWAP_TAG_LENGTH_MAX + 4096, .cgroup = 1 },
    { .offset = UINT64_MAX - 4095, .length = 4096, .cgroup = 1 },
  };
  struct tags *tags = *state;
  struct tags_counts counts;

  for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    errno = 0;
    assert_int_equal (tags_put (tags, &wrong[i]), -1);
    assert_int_equal (errno, EINVAL);
  }
  tags_count (tags, &counts);
  assert_int_equal (counts.waiting, 0);
  put (tags, UINT64_MAX - 8191, PAGE, 7);
  check_take (tags, UINT64_MAX - 8191, PAGE, 7, PAGE);
}

/* A request issued again replaces its tag, and both are gone with the write. */
static void
test_newest (void **state)
{
  struct tags *tags = *state;
  struct tags_counts counts;

  put (tags, 0, 4 * PAGE, 1);
  put (tags, 0, 4 * PAGE, 1);
  check_take (tags, 0, 4 * PAGE, 1, 4 * PAGE);
  check_take (tags, 0, 4 * PAGE, 0, 4 * PAGE);

  put (tags, 0, 4 * PAGE, 1);
  put (tags, PAGE, PAGE, 2);
  check_take (tags, 0, 4 * PAGE, 1, PAGE);
  check_take (tags, PAGE, 3 * PAGE, 2, PAGE);
  check_take (tags, 2 * PAGE, 2 * PAGE, 1, 2 * PAGE);
  check_take (tags, 0, 4 * PAGE, 0, 4 * PAGE);

  put (tags, 0, 4 * PAGE, 1);
  put (tags, PAGE, PAGE, 2);
  put (tags, 0, 4 * PAGE, 3);
  check_take (tags, 0, 4 * PAGE, 3, 4 * PAGE);
  check_take (tags, 0, 4 * PAGE, 0, 4 * PAGE);

  tags_count (tags, &counts);
  assert_int_equal (counts.taken, 12);
  assert_int_equal (counts.replaced, 10);
  assert_int_equal (counts.lost, 0);
  assert_int_equal (counts.waiting, 0);
  assert_int_equal (counts.untagged, 12);
}

/* Every write of every part of a request, across two regions. */
static void
test_split (void **state)
{
  const uint64_t start = 37 * PAGE, length = 64 * PAGE;
  struct tags *tags = *state;

  for (uint64_t piece = PAGE; piece <= length; piece += PAGE) {
    put (tags, start, length, piece);
    for (uint64_t at = 0; at < length;) {
      uint64_t count = piece < length - at ? piece : length - at;
      uint64_t cgroup, covered;

      tags_take (tags, start + at, count, &cgroup, &covered);
      assert_int_equal (cgroup, piece);
      assert_in_range (covered, 1, count);
      at += covered;
    }
    check_take (tags, start, 27 * PAGE, 0, 27 * PAGE);
    check_take (tags, REGION, 37 * PAGE, 0, 37 * PAGE);
  }
}

/* A page in parts: the last of them takes the tag. */
static void
test_parts (void **state)
{
  struct tags *tags = *state;

  put (tags, 0, 2 * PAGE, 5);
  check_take (tags, 0, 512, 5, 512);
  check_take (tags, 512, 1024, 5, 1024);
  check_take (tags, 1536, PAGE, 5, PAGE);
  check_take (tags, 0, PAGE, 0, PAGE);
  check_take (tags, PAGE + 1536, 2560, 5, 2560);
  check_take (tags, PAGE, PAGE, 0, PAGE);

  /* From the middle of a page on, and up to that of another. */
  put (tags, PAGE, PAGE, 6);
  check_take (tags, 1, 3 * PAGE, 0, PAGE - 1);
  check_take (tags, PAGE, 2 * PAGE + 1, 6, PAGE);
  check_take (tags, 2 * PAGE, PAGE + 1, 0, PAGE + 1);
  check_take (tags, 63 * PAGE + 4095, PAGE, 0, 1);
}

static void
test_forget (void **state)
{
  struct tags *tags = *state;
  struct tags_counts counts;

  put (tags, 0, 8 * PAGE, 5);
  put (tags, 100 * REGION, 8 * PAGE, 5);
  tags_forget (tags);
  check_take (tags, 0, 8 * PAGE, 0, 8 * PAGE);
  put (tags, 100 * REGION, PAGE, 6);
  check_take (tags, 100 * REGION, 8 * PAGE, 6, PAGE);
  check_take (tags, 100 * REGION + PAGE, PAGE, 0, PAGE);
  tags_count (tags, &counts);
  assert_int_equal (counts.lost, 16);
}

/* Beside a model of what each page's newest tag is: whatever overflows, a
 * page is of that one or of none, and each page is accounted for.
 */
static void
test_model (void **state)
{
  enum { PAGES = 64 * 512, STEPS = 200000 };
  uint64_t *newest = calloc (PAGES, sizeof *newest);
  struct tags *tags = *state;
  struct tags_counts counts;
  uint64_t puts = 0, takes = 0, missing = 0, id = 0;
  unsigned random = 12345;

  assert_non_null (newest);
  for (unsigned step = 0; step < STEPS; step++) {
    unsigned page = (unsigned) rand_r (&random) % PAGES;
    unsigned count = 1 + (unsigned) rand_r (&random) % 100;

    if (count > PAGES - page)
      count = PAGES - page;
    if (rand_r (&random) % 3 != 0) {
      /* Few cgroups for a while, then as many as tags. */
      id = step % 20000 < 10000 ? 1 + (unsigned) rand_r (&random) % 3
                                : 10 + step;
      put (tags, page * PAGE, count * PAGE, id);
      puts += count;
      for (unsigned i = 0; i < count; i++)
        newest[page + i] = id;
    }
    else {
      uint64_t at = page * PAGE, end = (page + count) * PAGE;

      while (at < end) {
        uint64_t cgroup, covered;

        tags_take (tags, at, end - at, &cgroup, &covered);
        assert_in_range (covered, 1, end - at);
        assert_int_equal (covered % PAGE, 0);
        for (; covered > 0; covered -= PAGE, at += PAGE) {
          if (cgroup != 0)
            assert_int_equal (cgroup, newest[at / PAGE]);
          takes += cgroup != 0;
          missing += cgroup == 0;
          newest[at / PAGE] = 0;
        }
      }
    }
    if (step % 50000 == 49999) {
      tags_forget (tags);
      memset (newest, 0, PAGES * sizeof *newest);
    }
  }
  tags_count (tags, &counts);
  assert_int_equal (counts.taken, takes);
  assert_int_equal (counts.untagged, missing);
  assert_int_equal (
      counts.taken + counts.replaced + counts.lost + counts.waiting, puts);
  assert_true (counts.lost > 0);
  assert_true (counts.taken > puts / 10);
  free (newest);
}

/* Threads whose pages lie between each other's, so that they meet in all
 * buckets, while tags are forgotten now and then: what a thread takes is what
 * it put last.  Without the forgetting every tag is there.
 */
enum { THREADS = 4, ROUNDS = 20000 };

struct thread {
  struct tags *tags;
  unsigned number;
  _Atomic bool *forgetting;
  uint64_t wrong, taken;
};

static void *
thread_main (void *argument)
{
  struct thread *thread = argument;
  unsigned random = thread->number + 1;

  for (uint64_t round = 1; round <= ROUNDS; round++) {
    uint64_t page
        = (uint64_t) rand_r (&random) % 1000 * THREADS + thread->number;
    struct tierswap_tag tag = { .offset = page * PAGE,
                                .length = (uint32_t) PAGE,
                                .cgroup = round * THREADS + thread->number };
    uint64_t cgroup, covered;

    /* The first one is stale when the second is there. */
    tags_put (thread->tags, &tag);
    tag.cgroup += ROUNDS * THREADS;
    tags_put (thread->tags, &tag);
    tags_take (thread->tags, tag.offset, PAGE, &cgroup, &covered);
    thread->wrong += cgroup != 0 && cgroup != tag.cgroup;
    thread->taken += cgroup == tag.cgroup;
    tags_take (thread->tags, tag.offset, PAGE, &cgroup, &covered);
    thread->wrong += cgroup != 0;
    if (*thread->forgetting && round % 100 == 0) {
      /* Nor is one taken that was forgotten since. */
      tags_put (thread->tags, &tag);
      tags_forget (thread->tags);
      tags_take (thread->tags, tag.offset, PAGE, &cgroup, &covered);
      thread->wrong += cgroup != 0;
    }
  }
  return NULL;
}

static void
run_threads (struct tags *tags, bool with_forgetting)
{
  struct thread threads[THREADS] = { 0 };
  pthread_t ids[THREADS];
  _Atomic bool forgetting = with_forgetting;

  for (unsigned i = 0; i < THREADS; i++) {
    threads[i] = (struct thread){ .tags = tags,
                                  .number = i,
                                  .forgetting = &forgetting };
    assert_int_equal (pthread_create (&ids[i], NULL, thread_main, &threads[i]),
                      0);
  }
  for (unsigned i = 0; i < THREADS; i++)
    assert_int_equal (pthread_join (ids[i], NULL), 0);
  for (unsigned i = 0; i < THREADS; i++) {
    assert_int_equal (threads[i].wrong, 0);
    if (with_forgetting)
      assert_true (threads[i].taken > 0);
    else
      assert_int_equal (threads[i].taken, ROUNDS);
  }
}

static void
test_threads (void **state)
{
  struct tags_counts counts;

  run_threads (*state, false);
  tags_count (*state, &counts);
  assert_int_equal (counts.lost, 0);
  assert_int_equal (counts.taken, THREADS * ROUNDS);
  assert_int_equal (counts.replaced, THREADS * ROUNDS);
  run_threads (*state, true);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (test_one, setup, teardown),
    cmocka_unit_test_setup_teardown (test_refused, setup, teardown),
    cmocka_unit_test_setup_teardown (test_newest, setup, teardown),
    cmocka_unit_test_setup_teardown (test_split, setup, teardown),
    cmocka_unit_test_setup_teardown (test_parts, setup, teardown),
    cmocka_unit_test_setup_teardown (test_forget, setup, teardown),
    cmocka_unit_test_setup_teardown (test_model, setup, teardown),
    cmocka_unit_test_setup_teardown (test_threads, setup, teardown),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
