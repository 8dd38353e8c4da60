/* SPDX-License-Identifier: BSD-3-Clause */
/* The model test in memory: limits and levels change, and the cleaner runs,
 * until thousands of segments were cleaned (MODEL_SEGMENTS changes how many).
 */
#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "model.h"
#include "pages.h"
#include "rest.h"
#include "store/internal.h"

#define MIB (UINT64_C (1) << 20)

static void
test_model (void **state)
{
  struct store_options options = {
    .size = MODEL_SIZE,
    .pool_limit = 32 * MIB,
    .tiers = { { 1, { CODEC_LZ4, 0 }, 0 },
               { 2, { CODEC_ZSTD, 1 }, 0 },
               { 4, { CODEC_NONE, 0 }, 0 } },
    .tiers_count = 3,
  };
  const char *most = getenv ("MODEL_SEGMENTS");
  uint64_t segments = most ? strtoull (most, NULL, 10) : 3000, seed = 77;
  struct store_statistics s;
  struct store *store;
  int64_t demoted = 0;

  (void) state;
  assert_int_equal (store_create (&options, &store), 0);
  assert_int_equal (store_start (store), 0);
  model_start (store, NULL);
  do {
    /* Limits from far too little to more than enough. */
    store_set_pool_limit (store, (4 + random_next (&seed) % 10) * MIB);
    store_set_tier_limit (store, 0, random_next (&seed) % 6 * MIB);
    store_set_tier_level (store, 1, 1 + (int) (random_next (&seed) % 3));
    if (random_next (&seed) % 2)
      demoted += model_demote (store, (unsigned) (random_next (&seed) % 2),
                               (unsigned) (random_next (&seed) % 5));
    if (random_next (&seed) % 16 == 0)
      store_compact (store);
    nanosleep (&(struct timespec){ 0, 5000000 }, NULL);
    store_get_statistics (store, &s);
  } while (s.segments_cleaned < segments && model_wrong () == 0);
  model_stop ();

  print_message ("%lld pages demoted\n", (long long) demoted);
  assert_true (demoted > 0);
  assert_true (atomic_load (&store->tiers[1].grouped));
  assert_int_equal (store_check (store), 0);
  assert_int_equal (store_trim (store, MODEL_SIZE, 0), 0);
  assert_int_equal (store_check (store), 0);
  assert_int_equal (statistics_at_rest (store).pages_stored, 0);
  store_free (store);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_model),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
