/* SPDX-License-Identifier: BSD-3-Clause */
/* The slot word keeps every field, and any 8-byte pattern comes back. */
#include "test.h"

#include <sys/mman.h>

#include "store/slots.h"

static struct wake keeper;

static void
test_object_words (void **state)
{
  static const uint64_t segments[] = { 0, 1, 12345, (UINT64_C (1) << 31) - 1 };
  static const uint32_t units[] = { 0, 1, 65535 };
  static const uint32_t lengths[] = { 1, 2, 1500, 4095, 4096 };

  (void) state;
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned j = 0; j < 3; ++j)
      for (unsigned k = 0; k < 5; ++k)
        for (unsigned pages = 1; pages <= 4; ++pages) {
          slot_word word
              = slot_member (segments[i], units[j], lengths[k], pages);

          if (pages == 1)
            assert_true (word
                         == slot_object (segments[i], units[j], lengths[k]));
          for (unsigned read = 0; read < 2; ++read) {
            assert_int_equal (slot_kind (word), SLOT_OBJECT);
            assert_int_equal (slot_segment (word), segments[i]);
            assert_int_equal (slot_units (word), units[j]);
            assert_int_equal (slot_length (word), lengths[k]);
            assert_int_equal (slot_pages (word), pages);
            word |= SLOT_REFERENCED;
          }
        }
}

static void
test_patterns (void **state)
{
  static const uint64_t patterns[] = {
    0,
    1,
    UINT64_MAX,
    42,
    UINT64_C (0xaaaaaaaaaaaaaaaa),
    UINT64_C (0xdeadbeefdeadbeef),
    UINT64_C (1) << 45,
    UINT64_C (1) << 44,
    UINT64_C (1) << 63,
    (uint64_t) INT64_MIN >> 20,
  };
  struct slots slots = { 0 };
  unsigned wide = 0;

  (void) state;
  assert_int_equal (slots_create (&slots, 10000, &keeper, NULL), 0);
  for (unsigned i = 0; i < sizeof patterns / sizeof patterns[0]; ++i) {
    slot_word old, word;
    uint64_t pattern;

    slots_touch (&slots, i * 900);
    old = slots_publish_same (&slots, i * 900, patterns[i], 65535);
    assert_int_equal (old, 0);
    word = slots_load (&slots, i * 900);
    assert_true (slot_is_same (word));
    assert_int_equal (slot_cgroup (word), 65535);
    assert_true (slots_read_pattern (&slots, i * 900, word, &pattern));
    assert_true (pattern == patterns[i]);
    wide += slot_kind (word) == SLOT_SAME_WIDE;
  }
  assert_in_range (wide, 1, 9);
  slots_free (&slots);
}

/* Wide patterns whose words are equal are still told apart. */
static void
test_replace_wide (void **state)
{
  uint64_t a = UINT64_C (0x4000000000000007), b = UINT64_C (0x8000000000000007);
  struct slots slots = { 0 };
  slot_word word;
  uint64_t pattern;

  (void) state;
  assert_int_equal (slots_create (&slots, 1000, &keeper, NULL), 0);
  slots_touch (&slots, 5);
  slots_publish_same (&slots, 5, a, 0);
  word = slots_load (&slots, 5);
  assert_true (word == slot_same (b, 0));
  /* Somebody read A, meanwhile it became B: replacing A must fail. */
  slots_publish_same (&slots, 5, b, 0);
  assert_false (slots_replace (&slots, 5, word, a, slot_same (1, 0), 1));
  assert_true (slots_read_pattern (&slots, 5, word, &pattern));
  assert_true (pattern == b);
  assert_true (slots_replace (&slots, 5, word, b, slot_same (a, 0), a));
  assert_true (slots_read_pattern (&slots, 5, word, &pattern));
  assert_true (pattern == a);
  slots_free (&slots);
}

/* Replacing an object ignores whether it was read since. */
static void
test_replace_object (void **state)
{
  slot_word word = slot_object (7, 100, 1000);
  slot_word other = slot_object (8, 100, 1000);
  struct slots slots = { 0 };

  (void) state;
  assert_int_equal (slots_create (&slots, 1000, &keeper, NULL), 0);
  slots_touch (&slots, 5);
  atomic_store (&slots.words[5], word | SLOT_REFERENCED);
  assert_false (slots_replace (&slots, 5, other, 0, word, 0));
  assert_true (slots_replace (&slots, 5, word, 0, other, 0));
  assert_true (slots_load (&slots, 5) == other);
  slots_free (&slots);
}

/* What was never touched costs nothing. */
static void
test_sparse (void **state)
{
  struct slots slots = { 0 };

  (void) state;
  assert_int_equal (slots_create (&slots, UINT64_C (1) << 28, &keeper, NULL),
                    0);
  assert_int_equal (atomic_load (&slots.meta_pages), 0);
  assert_int_equal (slots_load (&slots, 123456789), 0);
  slots_touch (&slots, 123456789);
  slots_touch (&slots, 123456790);
  assert_int_equal (atomic_load (&slots.meta_pages), 1);
  assert_true (slots_touched (&slots, 123456789));
  assert_false (slots_touched (&slots, 1));
  slots_free (&slots);
}

/* Memory pages of the table that are there. */
static unsigned
resident (const struct slots *slots, uint64_t group, unsigned groups)
{
  unsigned char pages[256];
  unsigned n = 0;

  assert_int_equal (mincore ((void *) &slots->words[group * SLOTS_GROUP],
                             groups * 4096, pages),
                    0);
  for (unsigned i = 0; i < groups; ++i)
    n += pages[i] & 1;
  return n;
}

/* Who writes one group after the other finds memory there; who jumps about
 * does not make the table grow.
 */
static void
test_ahead (void **state)
{
  struct slots slots = { 0 };

  (void) state;
  assert_int_equal (slots_create (&slots, 10000 * SLOTS_GROUP, &keeper, NULL),
                    0);
  slots_keep (&slots);
  assert_int_equal (resident (&slots, 0, 200), SLOTS_AHEAD);
  for (unsigned group = 0; group < 100; ++group) {
    slots_touch (&slots, group * SLOTS_GROUP);
    slots_keep (&slots);
    assert_int_equal (resident (&slots, group, 1), 1);
  }
  assert_in_range (resident (&slots, 0, 200), 100 + SLOTS_AHEAD / 2,
                   100 + SLOTS_AHEAD);
  assert_int_equal (atomic_load (&slots.meta_pages), 100);
  slots_touch (&slots, 5000 * SLOTS_GROUP);
  slots_keep (&slots);
  assert_int_equal (resident (&slots, 5000, 200), 0);
  slots_free (&slots);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_object_words),
    cmocka_unit_test (test_patterns),
    cmocka_unit_test (test_replace_wide),
    cmocka_unit_test (test_replace_object),
    cmocka_unit_test (test_sparse),
    cmocka_unit_test (test_ahead),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
