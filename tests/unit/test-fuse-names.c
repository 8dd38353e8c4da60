/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of objects are kept for as long as the kernel knows one of their nodes,
 * and by threads that hold and release at once.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/fuse-names.h"

#define THREADS 4
#define ROUNDS 20000
#define NAMES 64

static struct names *names;

static void
expect_name (const char *name, bool there)
{
  char *found;

  errno = 0;
  found = names_find (names, names_hash (name));
  if (there)
    assert_string_equal (found, name);
  else {
    assert_null (found);
    assert_int_equal (errno, ENOENT);
  }
  free (found);
}

static void
test_counts (void **state)
{
  (void) state;
  expect_name ("/db", false);
  assert_int_equal (names_hold (names, "/db"), 0);
  assert_int_equal (names_hold (names, "/db"), 0);
  assert_int_equal (names_hold (names, "/db/inner"), 0);
  names_release (names, names_hash ("/db"), 1);
  expect_name ("/db", true);
  names_release (names, names_hash ("/db"), 1);
  expect_name ("/db", false);
  expect_name ("/db/inner", true);
  /* More than were held, and what is not there. */
  names_release (names, names_hash ("/db/inner"), 1000);
  names_release (names, names_hash ("/db"), 1);
  expect_name ("/db/inner", false);
  assert_int_equal (names_hold (names, "/db"), 0);
  expect_name ("/db", true);
  names_release (names, names_hash ("/db"), 1);
}

static void
test_hash (void **state)
{
  (void) state;
  for (unsigned i = 0; i < 10000; ++i) {
    char name[32];

    snprintf (name, sizeof name, "/cgroup-%u", i);
    assert_true (names_hash (name) != 0);
    assert_true (names_hash (name) >> 48 == 0);
    assert_int_equal (names_hold (names, name), 0);
  }
  expect_name ("/cgroup-1234", true);
}

static void *
hold_and_release (void *data)
{
  unsigned number = (unsigned) (uintptr_t) data;

  for (unsigned i = 0; i < ROUNDS; ++i) {
    char name[32], *found;

    snprintf (name, sizeof name, "/shared-%u", (i + number) % NAMES);
    if (names_hold (names, name) == -1)
      return (void *) "it cannot be held";
    found = names_find (names, names_hash (name));
    if (!found)
      return (void *) "it is not there while it is held";
    free (found);
    names_release (names, names_hash (name), 1);
  }
  return NULL;
}

static void
test_threads (void **state)
{
  pthread_t threads[THREADS];

  (void) state;
  for (uintptr_t i = 0; i < THREADS; ++i)
    assert_int_equal (
        pthread_create (&threads[i], NULL, hold_and_release, (void *) i), 0);
  for (unsigned i = 0; i < THREADS; ++i) {
    void *wrong;

    assert_int_equal (pthread_join (threads[i], &wrong), 0);
    if (wrong)
      print_error ("%s\n", (const char *) wrong);
    assert_null (wrong);
  }
  for (unsigned i = 0; i < NAMES; ++i) {
    char name[32];

    snprintf (name, sizeof name, "/shared-%u", i);
    expect_name (name, false);
  }
}

static int
setup (void **state)
{
  (void) state;
  names = names_create ();
  return names ? 0 : -1;
}

static int
teardown (void **state)
{
  (void) state;
  names_free (names);
  return 0;
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (test_counts, setup, teardown),
    cmocka_unit_test_setup_teardown (test_hash, setup, teardown),
    cmocka_unit_test_setup_teardown (test_threads, setup, teardown),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
