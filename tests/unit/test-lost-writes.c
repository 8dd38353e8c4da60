/* SPDX-License-Identifier: BSD-3-Clause */
/* A backing whose last writes are lost, or torn: what stands there then is what
 * was there before, and that may be an older page of the very same slot, of the
 * same length, at the same place and with a right checksum.  It is never read
 * as the page that should be there.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

#define RAW 63 /* raw pages of a segment */
#define PAGES (2 * RAW)
#define BYTES (2 * EXTENT_BYTES)

static const struct store_placement usual = { .prio = 1, .writeback_prio = 1 };

static int
open_file (struct rig *rig)
{
  char path[128];
  int fd;

  snprintf (path, sizeof path, "%s/one", rig->folder);
  fd = open (path, O_RDWR | O_CLOEXEC);
  assert_true (fd != -1);
  return fd;
}

static unsigned char *
save (struct rig *rig)
{
  unsigned char *bytes = malloc (BYTES);
  int fd = open_file (rig);

  assert_non_null (bytes);
  assert_int_equal (pread (fd, bytes, BYTES, 0), BYTES);
  close (fd);
  return bytes;
}

static void
put (struct rig *rig, const unsigned char *bytes, size_t from, size_t to)
{
  int fd = open_file (rig);

  assert_int_equal (pwrite (fd, bytes + from, to - from, (off_t) from),
                    to - from);
  assert_int_equal (fsync (fd), 0);
  close (fd);
}

/* How many pages can be read; each of them is right. */
static unsigned
count_right (struct rig *rig)
{
  unsigned char page[PAGE_BYTES], expected[PAGE_BYTES];
  unsigned right = 0;

  for (unsigned i = 0; i < PAGES; ++i) {
    if (store_read (rig->store, page, sizeof page, (uint64_t) i * PAGE_BYTES)
        == -1) {
      assert_int_equal (errno, EIO);
      continue;
    }
    page_make (expected, rig->pages[i].kind, rig->pages[i].seed);
    assert_memory_equal (page, expected, sizeof page);
    right++;
  }
  return right;
}

static uint64_t
checksum_errors (struct rig *rig)
{
  struct store_statistics s;

  store_get_statistics (rig->store, &s);
  return s.backings[0].checksum_errors;
}

/* Pages of KIND on the backing, twice; returns what the first ones were there,
 * and in *NOW what the second ones are.
 */
static unsigned char *
write_twice (struct rig *rig, enum page_kind kind, unsigned char **now)
{
  unsigned char *before;

  rig_add (rig, "one", 1, 2);
  rig_write (rig, 0, PAGES, kind, &usual);
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, PAGES, 0), PAGES);
  before = save (rig);
  /* Nothing is left of the first ones: their extents are used again. */
  rig_write (rig, 0, PAGES, kind, &usual);
  rig_wait (rig_is_empty (rig, "one"));
  rig_command (rig, &RIG_ALL);
  assert_int_equal (rig_count (rig, 0, PAGES, 0), PAGES);
  *now = save (rig);
  return before;
}

static void
test_lost (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  unsigned char *before, *now, *swapped = malloc (BYTES);

  (void) state;
  assert_non_null (swapped);
  before = write_twice (rig, PAGE_RANDOM, &now);
  assert_int_equal (count_right (rig), PAGES);
  assert_int_equal (checksum_errors (rig), 0);
  /* The old page of the same slot stands at the place of each, whichever of the
   * two extents it went to.
   */
  put (rig, before, 0, BYTES);
  assert_int_equal (count_right (rig), 0);
  assert_int_equal (checksum_errors (rig), PAGES);
  memcpy (swapped, before + EXTENT_BYTES, EXTENT_BYTES);
  memcpy (swapped + EXTENT_BYTES, before, EXTENT_BYTES);
  put (rig, swapped, 0, BYTES);
  assert_int_equal (count_right (rig), 0);

  put (rig, now, 0, BYTES);
  assert_int_equal (count_right (rig), PAGES);
  free (before);
  free (now);
  free (swapped);

  /* Another one that gets its index begins anew. */
  rig_drain (rig, 0, true);
  rig_wait (atomic_load (&rig->backings.list[0].backing) == NULL);
  assert_int_equal (rig_add (rig, "two", 1, 2), 0);
  assert_int_equal (checksum_errors (rig), 0);
  rig_stop (rig);
}

/* Half of each write came to the disk: a page of which a part did not is none
 * that is read, the others are right.
 */
static void
test_torn (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  unsigned char *before, *now;
  unsigned right;

  (void) state;
  before = write_twice (rig, PAGE_RANDOM, &now);
  put (rig, before, 0, EXTENT_BYTES / 2);
  put (rig, before, EXTENT_BYTES + EXTENT_BYTES / 2, BYTES);
  right = count_right (rig);
  assert_in_range (right, 2 * (RAW / 2 - 1), 2 * (RAW / 2 + 1));
  assert_int_equal (checksum_errors (rig), PAGES - right);
  put (rig, now, 0, BYTES);
  assert_int_equal (count_right (rig), PAGES);
  free (before);
  free (now);
  rig_stop (rig);
}

/* Nor does it come back to memory whole. */
static void
test_not_loaded (void **state)
{
  struct rig *rig = rig_start (16 * MIB);
  unsigned char *before, *now;

  (void) state;
  before = write_twice (rig, PAGE_RANDOM, &now);
  put (rig, before, 0, BYTES);
  rig_drain (rig, 0, false);
  rig_wait (atomic_load (&rig->backings.list[0].stuck));
  assert_int_equal (rig_count (rig, 0, PAGES, 0), PAGES);
  assert_int_equal (count_right (rig), 0);

  put (rig, now, 0, BYTES);
  rig_drain (rig, 0, false);
  rig_wait (rig_count (rig, 0, PAGES, RIG_MEMORY) == PAGES);
  assert_int_equal (count_right (rig), PAGES);
  free (before);
  free (now);
  rig_stop (rig);
}

/* Objects keep their checksum right wherever they move: by cleaning, packing,
 * promotion and demotion, compressed and as groups.
 */
static void
test_moves (void **state)
{
  struct rig *rig = rig_start (16 * MIB);

  (void) state;
  store_set_verify (rig->store, true);
  rig_add (rig, "one", 1, 32);
  rig_write (rig, 0, 1000, PAGE_TEXT, &usual);
  rig_write (rig, 1000, 200, PAGE_RANDOM, &usual);
  for (unsigned i = 0; i < 1000; i += 3)
    rig_write (rig, i, 1, PAGE_HALF, &usual);
  store_compact (rig->store);
  rig_check (rig, 0, 1200);
  store_set_tier_group (rig->store, 1, 4);
  rig_age (rig, 0, 1200, 100);
  writeback_set_demote_age (rig->writeback, 0, 50);
  rig_settle (rig);
  writeback_set_demote_age (rig->writeback, 0, 0);
  rig_check (rig, 0, 1200);
  rig_command (rig, &RIG_ALL);
  rig_check (rig, 0, 1200);
  store_set_promote (rig->store, 0, true);
  rig_check (rig, 0, 1200);
  store_compact (rig->store);
  rig_command (rig, &RIG_ALL);
  rig_check (rig, 0, 1200);
  assert_int_equal (checksum_errors (rig), 0);
  rig_stop (rig);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_lost),
    cmocka_unit_test (test_torn),
    cmocka_unit_test (test_not_loaded),
    cmocka_unit_test (test_moves),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
