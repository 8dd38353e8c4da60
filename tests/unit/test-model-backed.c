/* SPDX-License-Identifier: BSD-3-Clause */
/* The model test with backings: two files and an NBD export under the store,
 * and writeback, cleaning, draining, adding, removing and resizing at random.
 */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model.h"
#include "pages.h"
#include "policy/writeback.h"
#include "rest.h"

#define MIB (UINT64_C (1) << 20)
#define BACKINGS 3

static char folder[] = "/tmp/tierswap-test-XXXXXX";
static char socket_path[64], paths[2][64], uri[96];
static pid_t nbdkit;

/* Where threads still find them after a failed assertion. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct backings backings = { .lock = &lock };

static void
pause_a_moment (void)
{
  nanosleep (&(struct timespec){ 0, 10000000 }, NULL);
}

static int
setup (void **state)
{
  struct stat st;

  (void) state;
  assert_non_null (mkdtemp (folder));
  snprintf (socket_path, sizeof socket_path, "%s/socket", folder);
  snprintf (uri, sizeof uri, "nbd+unix:///?socket=%s", socket_path);
  for (unsigned i = 0; i < 2; ++i)
    snprintf (paths[i], sizeof paths[i], "%s/file%u", folder, i);
  nbdkit = fork ();
  if (nbdkit == 0) {
    execlp ("nbdkit", "nbdkit", "-f", "--exit-with-parent", "-U", socket_path,
            "memory", "16M", NULL);
    _exit (127);
  }
  for (unsigned i = 0; i < 30000 && stat (socket_path, &st) == -1; ++i)
    pause_a_moment ();
  return stat (socket_path, &st);
}

static int
teardown (void **state)
{
  (void) state;
  kill (nbdkit, SIGTERM);
  waitpid (nbdkit, NULL, 0);
  unlink (socket_path);
  for (unsigned i = 0; i < 2; ++i)
    unlink (paths[i]);
  return rmdir (folder);
}

static struct config_backing
configured (unsigned i)
{
  static char *names[] = { "one", "two", "far" };
  struct config_backing config = { .name = names[i], .prio = i + 1 };

  config.size = 16 * MIB;
  if (i < 2)
    config.path = paths[i];
  else
    config.uri = uri;
  config.encrypt = i == 1;
  config.promote = i == 0;
  return config;
}

static void
add (unsigned i)
{
  struct config_backing config = configured (i);
  struct backing *backing;
  char *error = NULL;

  if (backings_open (&config, &backing, &error) == -1
      || backings_add (&backings, &config, backing, true, &error) == -1) {
    print_message ("%s\n", error);
    free (error);
    fail ();
  }
}

/* Do something at random to the backings and writeback. */
static void
operate (struct store *store, struct writeback *writeback, uint64_t *seed)
{
  struct config_writeback config = { .high = 60 + random_next (seed) % 30,
                                     .low = 20 + random_next (seed) % 40,
                                     .age = random_next (seed) % 3 };
  struct writeback_command command = { .cgroup = -1, .tier = -1 };
  struct writeback_counters done;
  unsigned i = random_next (seed) % BACKINGS;
  const struct config_backing backing = configured (i);
  int index;
  char *error = NULL;

  switch (random_next (seed) % 8) {
  case 0:
    store_set_pool_limit (store, (4 + random_next (seed) % 10) * MIB);
    break;
  case 1:
    writeback_configure (writeback, &config);
    writeback_set_demote_age (writeback, 0, random_next (seed) % 2);
    store_set_tier_group (store, 1, 1 + random_next (seed) % 4);
    break;
  case 2:
    command.max = random_next (seed) % (4 * MIB);
    command.least = random_next (seed) % 2 * 1000;
    if (random_next (seed) % 2)
      command.cgroup = 1;
    if (writeback_run (writeback, &command, &done) == -1)
      assert_true (errno == ENOSPC || errno == EDQUOT);
    break;
  case 3:
  case 4:
    /* Drain it and close it, then it comes back as new. */
    pthread_mutex_lock (&lock);
    index = backings_find (&backings, backing.name);
    if (index != -1)
      backings_drain (&backings, (unsigned) index, true, true);
    else if (!backings_closing (&backings, &backing))
      add (i);
    pthread_mutex_unlock (&lock);
    writeback_kick (writeback);
    break;
  case 5:
    pthread_mutex_lock (&lock);
    index = backings_find (&backings, backing.name);
    if (index != -1)
      backings_drain (&backings, (unsigned) index, false, false);
    pthread_mutex_unlock (&lock);
    break;
  case 6:
    pthread_mutex_lock (&lock);
    index = backings_find (&backings, backing.name);
    if (index != -1
        && backing_resize (backings.list[index].backing,
                           (8 + random_next (seed) % 9) * MIB, &error)
               == -1)
      assert_non_null (error);
    free (error);
    pthread_mutex_unlock (&lock);
    break;
  default:
    store_compact (store);
  }
}

/* Fewer where each of them takes ten times as long. */
static uint64_t
segments_wanted (const char *most, const char *sanitizer)
{
  if (most)
    return strtoull (most, NULL, 10);
  return sanitizer && strcmp (sanitizer, "thread") == 0 ? 300 : 1000;
}

static void
test_model (void **state)
{
  struct store_options options = {
    .size = MODEL_SIZE,
    .pool_limit = 8 * MIB,
    .tiers = { { 1, { CODEC_LZ4, 0 }, 0 }, { 2, { CODEC_ZSTD, 1 }, 0 } },
    .tiers_count = 2,
  };
  const char *most = getenv ("MODEL_SEGMENTS");
  const char *sanitizer = getenv ("SANITIZER");
  uint64_t segments = segments_wanted (most, sanitizer), seed = 3;
  /* A slow machine does fewer; how many is told. */
  time_t enough = time (NULL) + 180;
  struct config_writeback config = { .high = 80, .low = 60 };
  struct writeback *writeback;
  struct writeback_counters counters;
  struct backing_counters io;
  struct store *store;
  uint64_t reads = 0;

  (void) state;
  assert_int_equal (store_create (&options, &store), 0);
  assert_int_equal (store_start (store), 0);
  store_set_tier_group (store, 1, 4);
  backings.store = store;
  for (unsigned i = 0; i < BACKINGS; ++i)
    add (i);
  writeback = writeback_start (store, &backings);
  assert_non_null (writeback);
  writeback_configure (writeback, &config);

  model_start (store, NULL);
  do {
    operate (store, writeback, &seed);
    pause_a_moment ();
    writeback_get_counters (writeback, &counters);
  } while (counters.segments < segments && model_wrong () == 0
           && time (NULL) < enough);
  model_stop ();

  for (unsigned i = 0; i < STORE_BACKINGS; ++i) {
    pthread_mutex_lock (&lock);
    if (backings.list[i].backing) {
      backing_get_counters (backings.list[i].backing, &io);
      reads += io.read_ios;
      assert_int_equal (io.io_errors, 0);
    }
    pthread_mutex_unlock (&lock);
  }
  print_message ("%llu segments written back, %llu pages demoted, %llu reads\n",
                 (unsigned long long) counters.segments,
                 (unsigned long long) counters.pages_demoted,
                 (unsigned long long) reads);
  assert_true (counters.segments > 0);
  writeback_stop (writeback);
  assert_int_equal (store_check (store), 0);
  assert_int_equal (store_trim (store, MODEL_SIZE, 0), 0);
  assert_int_equal (store_check (store), 0);
  assert_int_equal (statistics_at_rest (store).pages_stored, 0);
  for (unsigned i = 0; i < STORE_BACKINGS; ++i)
    if (backings.list[i].backing)
      assert_int_equal (backing_extents_used (backings.list[i].backing), 0);
  store_free (store);
  backings_close (&backings);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_model),
  };

  return cmocka_run_group_tests (tests, setup, teardown);
}
