/* SPDX-License-Identifier: BSD-3-Clause */
/* The check of the live state: clean while pages are written, read, trimmed,
 * cleaned, demoted, written back and drained; and every kind of damage is
 * found.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "store/check.h"

#define THREADS 3
#define CHECKS 12
#define RANGE (RIG_PAGES / THREADS)

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };

static struct rig *rig;
static _Atomic bool stop;
static _Atomic unsigned errors, done;

/* Requests of one thread in its own part of the device. */
static void *
load (void *argument)
{
  unsigned me = (unsigned) (uintptr_t) argument;
  uint64_t seed = me;
  unsigned char pages[4 * PAGE_BYTES];

  while (!atomic_load (&stop)) {
    uint64_t page = me * RANGE + random_next (&seed) % (RANGE - 4);
    unsigned count = 1 + random_next (&seed) % 4;
    size_t bytes = count * PAGE_BYTES;
    struct store_placement placement = usual;
    int r;

    placement.cgroup = (uint32_t) (random_next (&seed) % 3);
    switch (random_next (&seed) % 8) {
    case 0:
      r = store_trim (rig->store, bytes, page * PAGE_BYTES);
      break;
    case 1:
    case 2:
      r = store_read (rig->store, pages, bytes, page * PAGE_BYTES);
      break;
    case 3:
      r = store_write (rig->store, &seed, sizeof seed, page * PAGE_BYTES + 100,
                       &placement);
      break;
    default:
      for (unsigned i = 0; i < count; ++i)
        page_make (pages + i * PAGE_BYTES,
                   (enum page_kind) (random_next (&seed) % PAGE_KINDS),
                   random_next (&seed) % 1000);
      r = store_write (rig->store, pages, bytes, page * PAGE_BYTES, &placement);
    }
    if (r == -1 && errno != ENOSPC)
      errors++;
    done++;
  }
  return NULL;
}

static void
drain_in_turn (unsigned round)
{
  pthread_mutex_lock (&rig->lock);
  for (unsigned i = 0; i < 2; ++i)
    backings_drain (&rig->backings, i, round % 3 == i, false);
  pthread_mutex_unlock (&rig->lock);
  writeback_kick (rig->writeback);
}

static void
test_under_load (void **state)
{
  struct config_writeback config = { .high = 60, .low = 40 };
  struct store_check check = { .patience = CHECK_PATIENCE };
  pthread_t threads[THREADS];
  uint64_t unsettled = 0, segments = 0;

  (void) state;
  rig = rig_start (12 * MIB);
  rig_add (rig, "one", 1, 400);
  rig_add (rig, "two", 2, 400);
  writeback_configure (rig->writeback, &config);
  store_set_tier_group (rig->store, 1, 4);
  writeback_set_demote_age (rig->writeback, 0, 1);
  stop = false;
  for (uintptr_t i = 0; i < THREADS; ++i)
    assert_int_equal (pthread_create (&threads[i], NULL, load, (void *) i), 0);
  for (unsigned i = 0; i < CHECKS; ++i) {
    unsigned before = done;

    drain_in_turn (i);
    rig_wait (done >= before + 2000);
    if (i == 0) {
      rig_age (rig, 0, RIG_PAGES, 100);
      writeback_kick (rig->writeback);
      rig_wait (atomic_load (&rig->store->tiers[1].grouped));
    }
    if (store_check_live (rig->store, &check) == -1)
      fail_msg ("%s", check.wrong);
    assert_int_equal (check.looked, check.slots);
    segments += check.segments;
    unsettled += check.unsettled;
  }
  stop = true;
  for (unsigned i = 0; i < THREADS; ++i)
    pthread_join (threads[i], NULL);
  print_message ("%u requests meanwhile, the counts of %llu segments added up, "
                 "%llu always changed\n",
                 done, (unsigned long long) segments,
                 (unsigned long long) unsettled);
  assert_true (segments > 0);
  assert_int_equal (errors, 0);
  for (unsigned i = 0; i < 2; ++i)
    backings_drain (&rig->backings, i, false, false);
  rig_settle (rig);
  rig_stop (rig);
}

/* The slot and the segment of some page that is an object. */
static uint64_t
some_slot (bool backed)
{
  for (uint64_t slot = 0; slot < RIG_PAGES; ++slot)
    if (rig_where (rig, (unsigned) slot) == (backed ? 0 : RIG_MEMORY))
      return slot;
  fail_msg ("there is no such page");
  return 0;
}

static _Atomic slot_word *
word_at (uint64_t slot)
{
  return &rig->store->slots.words[slot];
}

static struct segment *
segment_of (uint64_t slot)
{
  return store_segment (rig->store,
                        (uint32_t) slot_segment (atomic_load (word_at (slot))));
}

/* The check says WHAT, both at rest and live. */
static void
expect_wrong (const char *what)
{
  struct store_check check = { .patience = 1 };

  errno = 0;
  assert_int_equal (store_check_live (rig->store, &check), -1);
  assert_int_equal (errno, EUCLEAN);
  if (!strstr (check.wrong, what))
    fail_msg ("it says \"%s\", not \"%s\"", check.wrong, what);
  assert_int_equal (store_check (rig->store), -1);
}

static void
expect_right (void)
{
  struct store_check check = { .patience = 1 };

  assert_int_equal (store_check_live (rig->store, &check), 0);
  assert_int_equal (check.unsettled, 0);
  assert_int_equal (store_check (rig->store), 0);
}

/* With another word in a slot. */
static void
with_word (uint64_t slot, slot_word word, const char *what)
{
  slot_word before = atomic_exchange (word_at (slot), word);

  expect_wrong (what);
  atomic_store (word_at (slot), before);
}

static void
test_words (void **state)
{
  uint64_t slot, backed, other;
  slot_word word;
  struct segment *segment;

  (void) state;
  slot = some_slot (false);
  backed = some_slot (true);
  word = atomic_load (word_at (slot));
  for (other = slot + 1;
       rig_where (rig, (unsigned) other) != RIG_MEMORY || other == slot;
       ++other)
    ;
  expect_right ();
  with_word (slot, slot_object (1u << 24, 0, 100), "never was, in slot");
  with_word (slot, word + (UINT64_C (1) << SLOT_UNITS_SHIFT),
             "another slot's object, in slot");
  with_word (slot, atomic_load (word_at (other)),
             "another slot's object, in slot");
  with_word (slot, slot_object (slot_segment (word), 65530, 4096),
             "past the tail, in slot");
  with_word (slot, 0, "live counts do not add up in segment");
  with_word (backed, 0, "live counts do not add up in segment");
  with_word (backed, atomic_load (word_at (slot)),
             "another slot's object, in slot");
  with_word (slot, slot_same ((UINT64_C (1) << 50) + 5, 0),
             "a pattern that is not its word's");

  segment = segment_of (slot);
  for (uint32_t number = 0;; ++number) {
    struct segment *free = store_segment (rig->store, number);

    if (number == segments_high_water (&rig->store->segments))
      break; /* none is free */
    if (control_state (atomic_load (&free->control)) == SEGMENT_FREE) {
      with_word (slot, slot_object (number, 0, 100), "free segment, in slot");
      break;
    }
  }
  atomic_fetch_add (&segment->contents, 1);
  expect_wrong ("live counts do not add up in segment");
  atomic_fetch_sub (&segment->contents, 1);
  expect_right ();
}

static void
test_segments (void **state)
{
  uint64_t slot = some_slot (false), backed = some_slot (true), place;
  struct segment *segment = segment_of (slot), *there = segment_of (backed);
  unsigned char *byte;

  (void) state;
  /* A unit too much, on either side. */
  atomic_fetch_add (&segment->control, UINT64_C (1) << CONTROL_LIVE_SHIFT);
  expect_wrong ("live counts do not add up in segment");
  atomic_fetch_sub (&segment->control, UINT64_C (1) << CONTROL_LIVE_SHIFT);
  atomic_fetch_sub (&there->control, UINT64_C (1) << CONTROL_LIVE_SHIFT);
  expect_wrong ("live counts do not add up in segment");
  atomic_fetch_add (&there->control, UINT64_C (1) << CONTROL_LIVE_SHIFT);
  atomic_fetch_add (&segment->control, CONTROL_HOLD);
  expect_wrong ("a hold was left on segment");
  atomic_fetch_sub (&segment->control, CONTROL_HOLD);

  /* A bit of a page, and of a header. */
  place = atomic_load (&segment->place);
  byte = arena_frame (&rig->store->arena, (uint32_t) place_number (place))
         + slot_units (atomic_load (word_at (slot))) * OBJECT_UNIT;
  byte[OBJECT_HEADER] ^= 1;
  expect_wrong ("wrong checksum, in slot");
  byte[OBJECT_HEADER] ^= 1;
  byte[0] ^= 1;
  expect_wrong ("another slot's object, in slot");
  byte[0] ^= 1;

  /* The same frame, or extent, twice. */
  atomic_fetch_add (&rig->store->arena.segments[place_number (place)], 1);
  expect_wrong ("a frame with another owner, of segment");
  atomic_fetch_sub (&rig->store->arena.segments[place_number (place)], 1);
  place = atomic_load (&there->place);
  for (uint32_t i = 0; i < segments_high_water (&rig->store->segments); ++i) {
    struct segment *second = store_segment (rig->store, i);
    uint64_t before = atomic_load (&second->place);

    if (second == there || place_is_frame (before)
        || control_state (atomic_load (&second->control)) == SEGMENT_FREE)
      continue;
    atomic_store (&second->place, place);
    expect_wrong ("two segments have extent");
    atomic_store (&second->place, place_on_backing (0, 399));
    expect_wrong ("an extent that is not in use, of segment");
    atomic_store (&second->place, before);
    expect_right ();
    return;
  }
  fail_msg ("there is only one segment on a backing");
}

static void
test_cancel (void **state)
{
  _Atomic bool cancel = true;
  struct store_check check = { .cancel = &cancel };

  (void) state;
  assert_int_equal (store_check_live (rig->store, &check), -1);
  assert_int_equal (errno, ECANCELED);
}

static int
set_up (void **state)
{
  (void) state;
  rig = rig_start (16 * MIB);
  rig_add (rig, "one", 1, 400);
  rig_write (rig, 0, 1000, PAGE_RANDOM, &usual);
  rig_command (rig, &RIG_ALL);
  rig_write (rig, 1000, 1000, PAGE_HALF, &usual);
  rig_write (rig, 2000, 100, PAGE_WIDE, &usual);
  rig_write (rig, 900, 200, PAGE_HALF, &usual);
  /* Nothing moves what is then damaged: the cleaner is at rest until the next
   * write.
   */
  store_compact (rig->store);
  rig_settle (rig);
  rig_wait (atomic_load (&rig->store->cleaner.asleep));
  return 0;
}

static int
tear_down (void **state)
{
  (void) state;
  rig_stop (rig);
  return 0;
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_under_load),
    cmocka_unit_test_setup_teardown (test_words, set_up, tear_down),
    cmocka_unit_test_setup_teardown (test_segments, set_up, tear_down),
    cmocka_unit_test_setup_teardown (test_cancel, set_up, tear_down),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
