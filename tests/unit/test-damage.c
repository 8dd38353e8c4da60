/* SPDX-License-Identifier: BSD-3-Clause */
/* Bits that flip in the headers of live objects in memory: whoever empties the
 * segment comes to an end, what can be mended is, what cannot reads as an
 * error, and nothing else is touched.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "store/check.h"
#include "store/cleaner.h"
#include "store/pick.h"
#include "store/worker.h"

#define PAGES 4000

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };
static const struct store_placement dense = { .prio = 2, .writeback_prio = 1 };

static const struct pick everything = { .tier = PICK_ANY,
                                        .cgroup = PICK_ANY,
                                        .classes = (1u << STORE_CLASSES) - 1,
                                        .before = UINT32_MAX };

/* A rig of which the cleaner's thread rests, if it shall. */
static struct rig *
start (bool rests)
{
  struct rig *rig = rig_start (64 * MIB);

  if (rests)
    rig_rest_cleaner (rig);
  return rig;
}

static struct object *
object_of (struct rig *rig, unsigned page)
{
  slot_word word = rig_word (rig, page);
  uint64_t place = atomic_load (
      &store_segment (rig->store, (uint32_t) slot_segment (word))->place);

  assert_true (slot_is_object (word) && place_is_frame (place));
  return (struct object *) (arena_frame (&rig->store->arena,
                                         (uint32_t) place_number (place))
                            + (size_t) slot_units (word) * OBJECT_UNIT);
}

/* The bits of a header that the words say the right value of: of the slot and
 * of the size; and of a group the byte of its members.
 */
static unsigned
header_bits (const struct object *object)
{
  return object_pages (object) > 1 ? 56 : 48;
}

static void
flip (struct object *object, unsigned bit)
{
  unsigned char *bytes = (unsigned char *) object;
  unsigned byte = bit / 8;

  /* The checksum is between the two. */
  bytes[byte < 4 ? byte : byte + 4] ^= (unsigned char) (1 << bit % 8);
}

/* Flip a bit of the header of PAGE's object, BIT or the next one that makes it
 * another one than the word asks for.
 */
static void
damage (struct rig *rig, unsigned page, unsigned bit)
{
  struct object *object = object_of (rig, page);
  slot_word word = rig_word (rig, page);
  unsigned bits = header_bits (object);

  for (;; ++bit) {
    flip (object, bit % bits);
    if (!word_is_of (word, page, object))
      return;
    flip (object, bit % bits);
  }
}

/* And one of its bytes, so that the checksum says nothing any more. */
static void
destroy (struct rig *rig, unsigned page, unsigned bit)
{
  object_of (rig, page)->bytes[2] ^= 0x10;
  damage (rig, page, bit);
}

static void
expect_lost (struct rig *rig, unsigned page)
{
  unsigned char bytes[PAGE_BYTES];

  errno = 0;
  assert_int_equal (
      store_read (rig->store, bytes, PAGE_BYTES, (uint64_t) page * PAGE_BYTES),
      -1);
  assert_int_equal (errno, EIO);
}

static void
expect_counted (struct rig *rig, unsigned mended, unsigned lost)
{
  struct store_statistics s;

  store_get_statistics (rig->store, &s);
  assert_int_equal (s.pages_mended, mended);
  assert_int_equal (s.pages_damaged, lost);
}

static void
expect_sound (struct rig *rig, unsigned lost)
{
  struct store_check check = { .patience = 5 };

  if (store_check_live (rig->store, &check) == -1)
    fail_msg ("%s", check.wrong);
  assert_int_equal (check.pages_lost, lost);
}

/* Clean all that is worth it; it ends, which is told by counting: each segment
 * is taken once, and what is copied makes fewer of them.
 */
static void
compact (struct rig *rig)
{
  uint32_t steps = 2 * segments_high_water (&rig->store->segments);

  while (store_compact_one (rig->store))
    if (steps-- == 0)
      fail_msg ("the cleaner does not come to an end");
}

/* Half of the pages go, so that every segment is worth cleaning. */
static void
make_sparse (struct rig *rig, const bool *keep)
{
  for (unsigned i = 0; i < PAGES; ++i)
    if (i / 2 % 2 && !keep[i])
      rig_trim (rig, i);
  pick_seal (rig->store, &everything);
}

/* Every bit, of pages alone: compressed by either codec, and raw. */
static void
every_bit (const struct store_placement *placement)
{
  struct rig *rig = start (true);
  bool damaged[PAGES] = { false };
  unsigned count = 0;

  rig_write (rig, 0, PAGES / 2, PAGE_TEXT, placement);
  rig_write (rig, PAGES / 2, PAGES / 2, PAGE_RANDOM, placement);
  for (unsigned i = 5; i < PAGES; i += 37)
    damaged[i] = true;
  make_sparse (rig, damaged);
  for (unsigned i = 0; i < PAGES; ++i)
    if (damaged[i])
      damage (rig, i, count++);
  assert_in_range (count, 2 * 48, PAGES);
  /* What one reads does not come from its header. */
  rig_check (rig, 0, PAGES);
  compact (rig);
  damage_look (rig->store, true);
  expect_counted (rig, count, 0);
  expect_sound (rig, 0);
  rig_check (rig, 0, PAGES);
  rig_stop (rig);
}

static void
test_every_bit (void **state)
{
  (void) state;
  every_bit (&usual);
  every_bit (&dense);
}

static void
demote (struct rig *rig, unsigned group)
{
  pick_seal (rig->store, &everything);
  rig_age (rig, 0, PAGES, 100);
  store_set_tier_group (rig->store, 1, group);
  writeback_set_demote_age (rig->writeback, 0, 50);
  rig_settle (rig);
  writeback_set_demote_age (rig->writeback, 0, 0);
}

static unsigned
live_members (struct rig *rig, unsigned page)
{
  unsigned count = 0;

  for (unsigned i = page / 4 * 4; i < page / 4 * 4 + 4; ++i)
    count += rig_word (rig, i) == rig_word (rig, page);
  return count;
}

/* Every bit of the headers of groups, whole ones and such that have lost
 * members.
 */
static void
test_groups (void **state)
{
  struct rig *rig = start (true);
  bool damaged[PAGES] = { false };
  unsigned count = 0, pages = 0;

  (void) state;
  rig_write (rig, 0, PAGES, PAGE_TEXT, &usual);
  demote (rig, 4);
  for (unsigned i = 4; i + 4 <= PAGES; i += 20)
    for (unsigned j = i; j < i + 4; ++j)
      damaged[j] = i % 40 == 4 || j % 4 != 1;
  make_sparse (rig, damaged);
  for (unsigned i = 4; i < PAGES; i += 20)
    if (slot_pages (rig_word (rig, i)) > 1) {
      if (!damaged[i + 1])
        rig_trim (rig, i + 1);
      damage (rig, i, count++);
      pages += live_members (rig, i);
      /* A group is read by its header: not at all, for now. */
      expect_lost (rig, i);
    }
  assert_in_range (count, 56, PAGES);
  compact (rig);
  damage_look (rig->store, true);
  expect_counted (rig, pages, 0);
  expect_sound (rig, 0);
  rig_check (rig, 0, PAGES);
  rig_stop (rig);
}

/* What cannot be mended is lost, page by page, and nothing else; it stays lost
 * wherever it moves, and is written anew like any other.
 */
static void
lose (unsigned group, const struct store_placement *placement)
{
  const struct writeback_command all = RIG_ALL;
  struct rig *rig = start (true);
  bool damaged[PAGES] = { false }, lost[PAGES] = { false };
  unsigned pages = 0;

  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, PAGES, PAGE_TEXT, placement);
  if (group)
    demote (rig, group);
  for (unsigned i = 8; i < PAGES; i += 44)
    damaged[i] = true;
  make_sparse (rig, damaged);
  for (unsigned i = 8; i < PAGES; i += 44) {
    for (unsigned j = i / 4 * 4; j < i / 4 * 4 + 4; ++j)
      if (rig_word (rig, j) == rig_word (rig, i))
        lost[j] = true;
    destroy (rig, i, i);
  }
  for (unsigned i = 0; i < PAGES; ++i) {
    pages += lost[i];
    rig->pages[i].written = !lost[i];
  }
  compact (rig);
  damage_look (rig->store, true);
  expect_counted (rig, 0, pages);
  expect_sound (rig, pages);
  for (unsigned i = 0; i < PAGES; ++i)
    if (lost[i])
      expect_lost (rig, i);
  rig_check (rig, 0, PAGES);

  /* To a backing and back again. */
  rig_command (rig, &all);
  assert_int_equal (rig_count (rig, 0, PAGES, RIG_MEMORY), 0);
  expect_sound (rig, pages);
  for (unsigned i = 0; i < PAGES; ++i)
    if (lost[i])
      expect_lost (rig, i);
  rig_drain (rig, 0, false);
  rig_wait (rig_count (rig, 0, PAGES, 0) == 0);
  expect_sound (rig, pages);
  for (unsigned i = 0; i < PAGES; ++i)
    if (lost[i]) {
      expect_lost (rig, i);
      rig_write (rig, i, 1, PAGE_TEXT, &usual);
    }
  expect_sound (rig, 0);
  rig_stop (rig);
}

static void
test_lost (void **state)
{
  (void) state;
  lose (0, &usual);
  lose (0, &dense);
  lose (4, &usual);
}

/* Damage in more segments than can wait to be looked at. */
static void
test_many (void **state)
{
  enum { SEGMENTS = DAMAGE_SUSPECTS + 20, EACH = 60 };
  struct rig *rig = start (true);
  unsigned looked = 0;
  struct store_statistics s;

  (void) state;
  assert_true (SEGMENTS * EACH <= RIG_PAGES);
  for (unsigned i = 0; i < SEGMENTS; ++i) {
    rig_write (rig, i * EACH, EACH, PAGE_RANDOM, &usual);
    pick_seal (rig->store, &everything);
  }
  for (unsigned i = 0; i < SEGMENTS * EACH; ++i)
    if (i % EACH % 2)
      rig_trim (rig, i);
  for (unsigned i = 0; i < SEGMENTS; ++i)
    damage (rig, i * EACH + 20, i);
  do {
    compact (rig);
    assert_true (damage_waits (rig->store));
    damage_look (rig->store, true);
    store_get_statistics (rig->store, &s);
    assert_true (++looked < SEGMENTS);
  } while (s.pages_mended < SEGMENTS);
  assert_true (looked > 1);
  expect_counted (rig, SEGMENTS, 0);
  expect_sound (rig, 0);
  rig_check (rig, 0, RIG_PAGES);
  rig_stop (rig);
}

/* Something stays live that no word points at: the segment is set aside, the
 * check tells it, and all goes on.
 */
static void
test_live_count (void **state)
{
  struct rig *rig = start (true);
  struct store_check check = { .patience = 0 };
  bool none[PAGES] = { false };
  struct segment *segment;

  (void) state;
  rig_write (rig, 0, PAGES, PAGE_HALF, &usual);
  make_sparse (rig, none);
  segment
      = store_segment (rig->store, (uint32_t) slot_segment (rig_word (rig, 0)));
  atomic_fetch_add (&segment->control, UINT64_C (4) << CONTROL_LIVE_SHIFT);
  compact (rig);
  damage_look (rig->store, true);
  assert_false (damage_waits (rig->store));
  compact (rig);
  assert_int_equal (store_check_live (rig->store, &check), -1);
  assert_non_null (strstr (check.wrong, "live counts do not add up"));
  rig_check (rig, 0, PAGES);
  assert_true (control_live (atomic_load (&segment->control)) == 4);
  segment_drop (rig->store, (uint32_t) (segment - rig->store->segments.table),
                (UINT64_C (4) << CONTROL_LIVE_SHIFT) + CONTROL_BUSY);
  expect_sound (rig, 0);
  rig_stop (rig);
}

/* Every so many pages.  Memory fails whenever it likes; what does it here is a
 * thread, which others must know of.
 */
static void
damage_each (struct rig *rig, unsigned step, unsigned *count)
{
  rig_rest_cleaner (rig);
  for (unsigned i = 7; i < PAGES; i += step)
    damage (rig, i, (*count)++);
  rig_resume_cleaner (rig);
}

/* By themselves: the cleaner, demotion and writeback each come upon it, go on,
 * and it is mended.
 */
static void
test_by_themselves (void **state)
{
  struct config_writeback config = { .high = 100, .low = 99, .age = 60 };
  struct store_statistics s;
  struct rig *rig = start (false);
  unsigned count = 0;

  (void) state;
  rig_add (rig, "one", 1, 64);
  rig_write (rig, 0, PAGES, PAGE_TEXT, &usual);
  pick_seal (rig->store, &everything);
  rig_wait (atomic_load (&rig->store->cleaner.asleep));
  damage_each (rig, 400, &count);
  /* Many that wait to be looked at keep it from the others for that time. */
  rig_wait ((demote (rig, 1), store_get_statistics (rig->store, &s),
             s.pages_mended == count));
  assert_int_equal (s.pages_damaged, 0);
  demote (rig, 1);

  /* Writeback takes segments as they are, or packs what is live in them. */
  damage_each (rig, 200, &count);
  for (unsigned i = 0; i < PAGES / 2; i += 40)
    rig_trim (rig, i);
  rig_age (rig, 0, PAGES, 100);
  writeback_configure (rig->writeback, &config);
  rig_wait ((rig_settle (rig), store_get_statistics (rig->store, &s),
             s.pages_mended == count));
  rig_check (rig, 0, PAGES);
  rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_every_bit),  cmocka_unit_test (test_groups),
    cmocka_unit_test (test_lost),       cmocka_unit_test (test_many),
    cmocka_unit_test (test_live_count), cmocka_unit_test (test_by_themselves),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
