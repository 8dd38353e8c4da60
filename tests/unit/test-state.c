/* SPDX-License-Identifier: BSD-3-Clause */
/* The state as a file: where it may be, who may have it, which ones are taken
 * over, what is done with damaged ones, and how backings come back with it.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pages.h"
#include "policy/backings.h"
#include "policy/writeback.h"
#include "store/internal.h"
#include "store/state.h"

#define MIB (UINT64_C (1) << 20)
#define PAGES 1024
#define SIZE (PAGES * UINT64_C (4096))
#define DAMAGES 400

static char folder[] = "/tmp/tierswap-test-XXXXXX";
static char paths[2][64];
static int memory; /* a state's file */

static struct store *store;
static struct backings backings;
static struct writeback *writeback;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
pause_a_moment (void)
{
  nanosleep (&(struct timespec){ 0, 10000000 }, NULL);
}

/* An open file of its own, as another process would have. */
static int
open_memory (void)
{
  char path[64];

  snprintf (path, sizeof path, "/proc/self/fd/%d", memory);
  return open (path, O_RDWR | O_CLOEXEC);
}

static int
open_state (uint64_t size, struct state **state)
{
  char *error = NULL;
  int r = state_open_file (open_memory (), "state", size, state, &error);

  if (r == -1) {
    int saved_errno = errno;

    assert_non_null (error);
    assert_non_null (strstr (error, "state"));
    free (error);
    errno = saved_errno;
  }
  return r;
}

static void
refused (uint64_t size, int code)
{
  struct state *state;

  assert_int_equal (open_state (size, &state), -1);
  assert_int_equal (errno, code);
}

static int
start_from (struct state *state, char **error)
{
  struct store_options options
      = { .size = SIZE,
          .pool_limit = 8 * MIB,
          .tiers = { { 1, { CODEC_LZ4, 0 }, 0 }, { 2, { CODEC_ZSTD, 1 }, 0 } },
          .tiers_count = 2,
          .state = state };

  *error = NULL;
  if (store_create (&options, &store) == -1) {
    store = NULL;
    return -1;
  }
  if (store_recover (store, error) == -1) {
    store_free (store);
    store = NULL;
    return -1;
  }
  return store_start (store);
}

static void
start (void)
{
  struct state *state;
  char *error;

  assert_int_equal (open_state (SIZE, &state), 0);
  assert_int_equal (start_from (state, &error), 0);
  backings = (struct backings){ .store = store, .lock = &lock };
}

/* As a server that ends; the state stays. */
static void
end (void)
{
  writeback_stop (writeback);
  writeback = NULL;
  store_free (store);
  backings_close (&backings);
  store = NULL;
}

static void
make (unsigned char page[4096], unsigned number)
{
  page_make (page, PAGE_SMALL + number % (PAGE_KINDS - 1), number);
}

static void
write_all (void)
{
  static const struct store_placement placements[]
      = { { 0, 1, 1, 0 }, { 1, 2, 1, 0 } };
  unsigned char page[4096];

  for (unsigned i = 0; i < PAGES; ++i) {
    make (page, i);
    assert_int_equal (store_write (store, page, 4096, i * UINT64_C (4096),
                                   &placements[i / 8 % 2]),
                      0);
  }
}

/* How many pages are right; a wrong one fails the test. */
static unsigned
count_right (void)
{
  unsigned char page[4096], expected[4096];
  unsigned right = 0;

  for (unsigned i = 0; i < PAGES; ++i) {
    if (store_read (store, page, 4096, i * UINT64_C (4096)) == -1)
      continue;
    make (expected, i);
    assert_memory_equal (page, expected, 4096);
    right++;
  }
  return right;
}

/* ---- where it may be ---- */

static void
refused_place (const char *path, int code, const char *word)
{
  struct state *state;
  char *error;

  assert_int_equal (state_check (path, &error), -1);
  assert_int_equal (errno, code);
  assert_non_null (strstr (error, word));
  free (error);
  assert_int_equal (state_open (path, SIZE, &state, &error), -1);
  assert_int_equal (errno, code);
  free (error);
}

static void
test_places_refused (void **data)
{
  char path[128];

  (void) data;
  snprintf (path, sizeof path, "%s/state", folder);
  refused_place (path, ENOTSUP, "mount -t ramfs");
  assert_int_equal (access (path, F_OK), -1);
  refused_place ("/dev/shm/tierswap-test-state", ENOTSUP, "noswap");
  assert_int_equal (access ("/dev/shm/tierswap-test-state", F_OK), -1);
  refused_place ("/dev/null", EINVAL, "regular");
  snprintf (path, sizeof path, "%s/none/state", folder);
  refused_place (path, ENOENT, "none");
}

/* Serve from a file in FOLDER and take it over. */
static void
use_place (const char *place, bool can_release)
{
  struct state *state;
  struct stat st;
  char path[128], *error;

  snprintf (path, sizeof path, "%s/state", place);
  assert_int_equal (state_check (path, &error), 0);
  for (unsigned round = 0; round < 2; ++round) {
    assert_int_equal (state_open (path, SIZE, &state, &error), 0);
    assert_int_equal (start_from (state, &error), 0);
    assert_int_equal (stat (path, &st), 0);
    assert_int_equal (st.st_mode & 0777, 0600);
    if (round == 0)
      write_all ();
    assert_int_equal (count_right (), PAGES);
    assert_int_equal (store_check (store), 0);
    if (round == 1) {
      /* Frames given back, and taken again. */
      assert_int_equal (store_trim (store, SIZE, 0), 0);
      write_all ();
      assert_int_equal (count_right (), PAGES);
      assert_int_equal (state->can_release, can_release);
    }
    store_free (store);
  }
  assert_int_equal (unlink (path), 0);
}

static int
inside (void)
{
  struct state *state;
  char *error, path[128];

  snprintf (path, sizeof path, "%s/mounted", folder);
  mkdir (path, 0700);
  if (mount ("none", path, "ramfs", 0, NULL) == -1)
    return 77;
  use_place (path, false);
  umount (path);
  if (mount ("none", path, "tmpfs", 0, "noswap,size=64m") == 0) {
    use_place (path, true);
    umount (path);
  }
  else
    printf ("tmpfs with noswap is left out: %s\n", strerror (errno));
  if (mount ("none", path, "tmpfs", 0, "noswap,size=8m") == 0) {
    strcat (path, "/state");
    assert_int_equal (state_open (path, SIZE, &state, &error), 0);
    assert_int_equal (state_check_room (state, 8 * MIB, &error), -1);
    assert_int_equal (errno, ENOSPC);
    free (error);
    state_close (state);
  }
  return 0;
}

static void
write_file (const char *path, const char *line)
{
  int fd = open (path, O_WRONLY);

  if (fd != -1) {
    if (write (fd, line, strlen (line)) == -1)
      fprintf (stderr, "%s: %s\n", path, strerror (errno));
    close (fd);
  }
}

/* In a name space of mounts of its own. */
static void
test_places_taken (void **data)
{
  uid_t user = getuid ();
  int status;
  pid_t pid;
  char map[64];

  (void) data;
  pid = fork ();
  if (pid == 0) {
    if (unshare (CLONE_NEWNS) == -1) {
      if (unshare (CLONE_NEWUSER | CLONE_NEWNS) == -1)
        _exit (77);
      snprintf (map, sizeof map, "0 %d 1", (int) user);
      write_file ("/proc/self/uid_map", map);
    }
    mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    fflush (NULL);
    _exit (inside ());
  }
  assert_int_equal (waitpid (pid, &status, 0), pid);
  assert_true (WIFEXITED (status));
  {
    char path[128];

    snprintf (path, sizeof path, "%s/mounted", folder);
    rmdir (path);
  }
  if (WEXITSTATUS (status) == 77) {
    printf ("ramfs cannot be mounted here\n");
    skip ();
  }
  assert_int_equal (WEXITSTATUS (status), 0);
}

/* ---- who may have it, and which one ---- */

static void
test_two_servers (void **data)
{
  struct state *state, *again;

  (void) data;
  assert_int_equal (ftruncate (memory, 0), 0);
  assert_int_equal (open_state (SIZE, &state), 0);
  assert_false (state->found);
  refused (SIZE, EBUSY);
  state_close (state);
  assert_int_equal (open_state (SIZE, &again), 0);
  assert_true (again->found);
  state_close (again);
  /* Its room is for its owner alone. */
  assert_int_equal (fchmod (memory, 0640), 0);
  refused (SIZE, EPERM);
  assert_int_equal (fchmod (memory, 0600), 0);
  if (geteuid () == 0) {
    assert_int_equal (fchown (memory, 65534, 65534), 0);
    refused (SIZE, EPERM);
    assert_int_equal (fchown (memory, 0, 0), 0);
  }
}

static void
patch (uint32_t version, uint32_t compatible)
{
  struct state_header header;
  size_t length = offsetof (struct state_header, generation);

  assert_int_equal (pread (memory, &header, length, 0), length);
  header.version = version;
  header.compatible = compatible;
  header.checksum
      = XXH3_64bits (&header, offsetof (struct state_header, checksum));
  assert_int_equal (pwrite (memory, &header, length, 0), length);
}

/* How many pages are in a segment that has a stamp. */
static unsigned
count_stamped (void)
{
  unsigned stamped = 0;

  for (unsigned i = 0; i < PAGES; ++i) {
    slot_word word = slots_load (&store->slots, i);

    if (slot_is_object (word))
      stamped
          += store_segment (store, (uint32_t) slot_segment (word))->stamp != 0;
  }
  return stamped;
}

static void
test_header (void **data)
{
  static const char other[] = "This is no state at all, but a text of a user.";
  struct state *state;

  (void) data;
  assert_int_equal (ftruncate (memory, 0), 0);
  assert_int_equal (pwrite (memory, other, sizeof other, 0), sizeof other);
  refused (SIZE, EINVAL);
  assert_int_equal (ftruncate (memory, 0), 0);
  start ();
  write_all ();
  end ();
  refused (2 * SIZE, EINVAL);

  /* A newer server that says so is as good; others are not touched. */
  patch (STATE_VERSION + 1, STATE_VERSION);
  start ();
  assert_int_equal (count_right (), PAGES);
  end ();
  patch (STATE_VERSION + 1, STATE_VERSION + 1);
  refused (SIZE, EPROTO);
  patch (STATE_OLDEST - 1, STATE_OLDEST - 1);
  refused (SIZE, EPROTO);
  /* One that an older server may go on with: nothing is added that it would not
   * understand.
   */
  patch (STATE_OLDEST, STATE_OLDEST);
  start ();
  assert_int_equal (count_right (), PAGES);
  write_all ();
  assert_int_equal (count_stamped (), 0);
  assert_int_equal (count_right (), PAGES);
  end ();
  patch (STATE_VERSION, STATE_VERSION);
  start ();
  assert_int_equal (count_right (), PAGES);
  write_all ();
  assert_int_not_equal (count_stamped (), 0);
  assert_int_equal (count_right (), PAGES);
  end ();

  for (unsigned i = 0; i < offsetof (struct state_header, generation); ++i) {
    unsigned char byte, wrong;

    assert_int_equal (pread (memory, &byte, 1, i), 1);
    wrong = byte ^ (1u << i % 8);
    assert_int_equal (pwrite (memory, &wrong, 1, i), 1);
    assert_int_equal (open_state (SIZE, &state), -1);
    assert_int_equal (pwrite (memory, &byte, 1, i), 1);
  }
  start ();
  assert_int_equal (count_right (), PAGES);
  end ();
}

/* A tier that is gone, or that has another codec now. */
static void
test_tiers (void **data)
{
  struct store_options options
      = { .size = SIZE,
          .pool_limit = 8 * MIB,
          .tiers = { { 1, { CODEC_LZ4, 0 }, 0 }, { 2, { CODEC_LZ4, 1 }, 0 } },
          .tiers_count = 2 };
  char *error;

  (void) data;
  assert_int_equal (ftruncate (memory, 0), 0);
  start ();
  write_all ();
  end ();
  for (unsigned i = 0; i < 2; ++i) {
    assert_int_equal (open_state (SIZE, &options.state), 0);
    assert_int_equal (store_create (&options, &store), 0);
    assert_int_equal (store_recover (store, &error), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (error, "zstd"));
    free (error);
    store_free (store);
    options.tiers_count = 1;
  }
  /* Levels and limits may change, and LZ4HC is read as LZ4. */
  options.tiers[0].codec = (struct codec){ CODEC_LZ4HC, 9 };
  options.tiers[1].codec = (struct codec){ CODEC_ZSTD, 3 };
  options.tiers_count = 2;
  options.pool_limit = 4 * MIB;
  assert_int_equal (open_state (SIZE, &options.state), 0);
  assert_int_equal (store_create (&options, &store), 0);
  assert_int_equal (store_recover (store, &error), 0);
  assert_int_equal (store_start (store), 0);
  assert_int_equal (count_right (), PAGES);
  end ();
}

/* As if the process had been killed between reserving space and publishing, and
 * between a wide pattern and its word.
 */
static void
test_cut_off (void **data)
{
  const uint64_t old = UINT64_C (0x1234567890abcdef), new = ~old;
  const uint64_t units = 200;
  unsigned char page[4096];
  unsigned cut = 0;

  (void) data;
  assert_int_equal (ftruncate (memory, 0), 0);
  start ();
  write_all ();
  for (unsigned i = 0; i < 512; ++i)
    memcpy (page + i * 8, &old, 8);
  assert_int_equal (store_write (store, page, 4096, 0,
                                 &(struct store_placement){ 0, 1, 0, 0 }),
                    0);
  atomic_store (&store->slots.wide[0], new);
  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i) {
    struct segment *segment = store_segment (store, i);
    uint64_t control = atomic_load (&segment->control);
    uint32_t tail = control_tail (control);

    if (control_state (control) != SEGMENT_OPEN || tail + units > SEGMENT_UNITS)
      continue;
    memset (
        arena_frame (&store->arena, (uint32_t) atomic_load (&segment->place))
            + (size_t) tail * OBJECT_UNIT,
        0xa5, units * OBJECT_UNIT);
    atomic_fetch_add (&segment->control, (units << CONTROL_TAIL_SHIFT)
                                             + (units << CONTROL_LIVE_SHIFT)
                                             + CONTROL_HOLD);
    cut++;
  }
  assert_true (cut > 0);
  end ();

  start ();
  assert_int_equal (store_check (store), 0);
  assert_int_equal (store_read (store, page, 4096, 0), 0);
  for (unsigned i = 0; i < 512; ++i)
    assert_memory_equal (page + i * 8, &new, 8);
  /* The headers lead on: all that is left can be moved. */
  assert_int_equal (store_trim (store, SIZE / 2, 0), 0);
  store_compact (store);
  assert_int_equal (store_check (store), 0);
  for (unsigned i = PAGES / 2; i < PAGES; ++i) {
    unsigned char expected[4096];

    assert_int_equal (store_read (store, page, 4096, i * UINT64_C (4096)), 0);
    make (expected, i);
    assert_memory_equal (page, expected, 4096);
  }
  end ();
}

/* ---- damage ---- */

struct area {
  off_t offset;
  size_t length;
  unsigned char *bytes;
};

/* All of the file that was ever written. */
static unsigned
take_copy (struct area *areas, unsigned most)
{
  off_t offset = 0, end;
  unsigned count = 0;

  while ((offset = lseek (memory, offset, SEEK_DATA)) != -1) {
    struct area *area = &areas[count++];

    assert_true (count <= most);
    end = lseek (memory, offset, SEEK_HOLE);
    area->offset = offset;
    area->length = (size_t) (end - offset);
    area->bytes = malloc (area->length);
    assert_int_equal (pread (memory, area->bytes, area->length, offset),
                      area->length);
    offset = end;
  }
  return count;
}

static void
put_copy (const struct area *areas, unsigned count)
{
  off_t length = lseek (memory, 0, SEEK_END);

  assert_int_equal (ftruncate (memory, 0), 0);
  assert_int_equal (ftruncate (memory, length), 0);
  for (unsigned i = 0; i < count; ++i)
    assert_int_equal (
        pwrite (memory, areas[i].bytes, areas[i].length, areas[i].offset),
        areas[i].length);
}

/* Change some bytes somewhere in what is there. */
static void
damage (const struct area *areas, unsigned count, uint64_t *random)
{
  for (unsigned n = 1 + random_next (random) % 3; n > 0; --n) {
    const struct area *area = &areas[random_next (random) % count];
    size_t at = random_next (random) % area->length & ~UINT64_C (7);
    uint64_t value = random_next (random);
    unsigned bytes = 1 << random_next (random) % 4;
    off_t offset;

    /* What is zero mostly means nothing. */
    for (unsigned i = 0; i < 1000 && area->bytes[at] == 0; ++i)
      at = random_next (random) % area->length & ~UINT64_C (7);
    offset = area->offset + (off_t) (at + random_next (random) % 8);

    /* All ones, zeros, or anything. */
    if (random_next (random) % 3 == 0)
      value = random_next (random) % 2 ? UINT64_MAX : 0;
    /* Words are aligned. */
    offset &= ~(off_t) (bytes - 1);
    assert_int_equal (pwrite (memory, &value, bytes, offset), bytes);
  }
}

/* What a server does with it: 0 it was refused, 1 it was taken. */
static void __attribute__ ((noreturn)) try_to_serve (void)
{
  static const struct store_placement placement = { 0, 1, 0, 0 };
  struct state *state;
  unsigned char page[4096];
  char *error;

  if (state_open_file (open_memory (), "state", SIZE, &state, &error) == -1)
    _exit (error && errno ? 0 : 2);
  if (start_from (state, &error) == -1)
    _exit (errno ? 0 : 3);
  for (unsigned i = 0; i < PAGES; ++i)
    store_read (store, page, 4096, i * UINT64_C (4096));
  store_compact (store);
  page_make (page, PAGE_RANDOM, 5);
  for (unsigned i = 0; i < PAGES; i += 2)
    store_write (store, page, 4096, i * UINT64_C (4096), &placement);
  store_trim (store, SIZE, 0);
  store_free (store);
  _exit (1);
}

static void
test_damage (void **data)
{
  static struct area areas[4096];
  const char *text = getenv ("SEED");
  uint64_t seed = text ? strtoull (text, NULL, 10) : (uint64_t) time (NULL);
  uint64_t random = seed;
  unsigned taken = 0, count;

  (void) data;
  assert_int_equal (ftruncate (memory, 0), 0);
  start ();
  write_all ();
  /* Some of it is dead, and some segments are free. */
  store_trim (store, SIZE / 4, SIZE / 4);
  end ();
  count = take_copy (areas, sizeof areas / sizeof areas[0]);
  for (unsigned i = 0; i < DAMAGES; ++i) {
    int status;
    pid_t pid;

    put_copy (areas, count);
    if (i > 0)
      damage (areas, count, &random);
    fflush (NULL);
    pid = fork ();
    if (pid == 0) {
      /* Not as cmocka wants it: the status shall tell. */
      signal (SIGSEGV, SIG_DFL);
      signal (SIGBUS, SIG_DFL);
      signal (SIGFPE, SIG_DFL);
      signal (SIGILL, SIG_DFL);
      if (freopen ("/dev/null", "w", stderr) == NULL)
        _exit (4);
      try_to_serve ();
    }
    assert_int_equal (waitpid (pid, &status, 0), pid);
    if (!WIFEXITED (status) || WEXITSTATUS (status) > 1)
      fail_msg ("damage %u of seed %llu: status %x", i,
                (unsigned long long) seed, (unsigned) status);
    taken += WEXITSTATUS (status) == 1;
    /* What is not damaged is not refused. */
    if (i == 0)
      assert_int_equal (taken, 1);
  }
  printf ("%u damaged states: %u refused, %u taken\n", DAMAGES - 1,
          DAMAGES - taken, taken - 1);
  for (unsigned i = 0; i < count; ++i)
    free (areas[i].bytes);
}

/* ---- backings ---- */

static struct config_backing
configured (unsigned i)
{
  static char *names[] = { "one", "two" };

  return (struct config_backing){ .name = names[i],
                                  .prio = i + 1,
                                  .path = paths[i],
                                  .size = 8 * MIB,
                                  .encrypt = i == 0 };
}

static void
add (unsigned i)
{
  struct config_backing config = configured (i);
  struct backing *backing;
  char *error;

  assert_int_equal (backings_open (&config, &backing, &error), 0);
  assert_int_equal (backings_add (&backings, &config, backing, true, &error),
                    i);
}

static void
start_writeback (void)
{
  static const struct config_writeback config = { .high = 100, .low = 99 };

  writeback = writeback_start (store, &backings);
  assert_non_null (writeback);
  writeback_configure (writeback, &config);
}

static void
write_back (void)
{
  struct writeback_command command = { .cgroup = -1, .tier = -1 };
  struct writeback_counters done;

  assert_int_equal (writeback_run (writeback, &command, &done), 0);
  assert_true (done.pages > 0);
}

static enum backing_state
state_of (unsigned i)
{
  return backing_state (atomic_load (&backings.list[i].backing));
}

static uint64_t
used (unsigned i)
{
  struct backing *backing = atomic_load (&backings.list[i].backing);

  return backing ? backing_extents_used (backing) : 0;
}

#define wait_for(condition)                                                    \
  do {                                                                         \
    for (unsigned tries_ = 0; !(condition); ++tries_) {                        \
      if (tries_ == 30000)                                                     \
        fail_msg ("this did not come about: %s", #condition);                  \
      pause_a_moment ();                                                       \
    }                                                                          \
  } while (0)

/* A state with pages on both backings. */
static void
begin_backed (void)
{
  assert_int_equal (ftruncate (memory, 0), 0);
  unlink (paths[0]);
  unlink (paths[1]);
  start ();
  add (0);
  start_writeback ();
  write_all ();
  write_back ();
  assert_true (used (0) > 0);
  end ();
}

static void
reattach (unsigned i, const struct config_backing *config)
{
  char *error;

  assert_int_equal (backings_reattach (&backings, i, config, &error), 0);
}

static void
test_reattach (void **data)
{
  struct config_backing config = configured (0);
  uint64_t before;

  (void) data;
  begin_backed ();
  for (unsigned round = 0; round < 2; ++round) {
    start ();
    reattach (0, &config);
    assert_int_equal (state_of (0), BACKING_ONLINE);
    before = used (0);
    assert_true (before > 0);
    assert_int_equal (count_right (), PAGES);
    assert_int_equal (store_check (store), 0);
    /* Larger now, as configured; and it takes more. */
    config.size = 16 * MIB;
    end ();
  }
  start ();
  reattach (0, &config);
  assert_int_equal (backing_extents (backings.list[0].backing), 64);
  start_writeback ();
  write_all ();
  write_back ();
  assert_int_equal (count_right (), PAGES);
  /* As small as its pages need at least, so it stays as it is. */
  config.size = EXTENT_BYTES;
  end ();
  start ();
  reattach (0, &config);
  assert_int_equal (count_right (), PAGES);
  assert_int_equal (backing_extents (backings.list[0].backing), 64);
  end ();
}

static void
test_other_place (void **data)
{
  struct config_backing config = configured (0);
  char *error;

  (void) data;
  begin_backed ();
  start ();
  config.path = paths[1];
  assert_int_equal (backings_reattach (&backings, 0, &config, &error), -1);
  assert_int_equal (errno, EINVAL);
  assert_non_null (strstr (error, paths[0]));
  free (error);
  config.path = paths[0];
  config.encrypt = false;
  assert_int_equal (backings_reattach (&backings, 0, &config, &error), -1);
  assert_int_equal (errno, EINVAL);
  free (error);
  config.encrypt = true;
  reattach (0, &config);
  assert_int_equal (count_right (), PAGES);
  end ();
}

static void
test_missing (void **data)
{
  struct config_backing config = configured (0);
  unsigned there;
  char elsewhere[128];
  int fd;

  (void) data;
  begin_backed ();
  snprintf (elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
  assert_int_equal (rename (paths[0], elsewhere), 0);
  start ();
  reattach (0, &config);
  assert_int_equal (state_of (0), BACKING_FAILED);
  there = count_right ();
  assert_true (there < PAGES);
  /* Another file is not it, and nothing happens to it. */
  fd = open (paths[0], O_RDWR | O_CREAT | O_EXCL, 0600);
  assert_int_not_equal (fd, -1);
  assert_int_equal (write (fd, "mine", 4), 4);
  for (unsigned i = 0; i < 150; ++i)
    pause_a_moment ();
  assert_int_equal (state_of (0), BACKING_FAILED);
  assert_int_equal (lseek (fd, 0, SEEK_END), 4);
  close (fd);
  assert_int_equal (rename (elsewhere, paths[0]), 0);
  wait_for (state_of (0) == BACKING_ONLINE);
  assert_int_equal (count_right (), PAGES);
  /* It takes pages again. */
  start_writeback ();
  write_all ();
  write_back ();
  assert_int_equal (count_right (), PAGES);
  end ();
}

/* One that the configuration does not name any more leaves. */
static void
test_leaving (void **data)
{
  struct config_backing second = configured (1);

  (void) data;
  begin_backed ();
  start ();
  reattach (0, NULL);
  add (1);
  start_writeback ();
  wait_for (atomic_load (&backings.list[0].backing) == NULL);
  assert_int_equal (count_right (), PAGES);
  end ();
  start ();
  assert_null (state_backing (store_state (store), 0));
  reattach (1, &second);
  assert_int_equal (count_right (), PAGES);
  assert_int_equal (store_check (store), 0);
  end ();
}

/* An object of which only the header was written when the process was killed,
 * at the end of each open segment.
 */
static unsigned
tear_objects (void)
{
  const uint32_t length = 400;
  unsigned torn = 0;

  for (uint32_t i = 0; i < segments_high_water (&store->segments); ++i) {
    struct segment *segment = store_segment (store, i);
    uint64_t control = atomic_load (&segment->control);
    uint32_t tail = control_tail (control);
    struct object *object
        = (struct object *) (arena_frame (
                                 &store->arena,
                                 (uint32_t) atomic_load (&segment->place))
                             + (size_t) tail * OBJECT_UNIT);
    uint64_t units = object_share_units (length, 1);

    if (control_state (control) != SEGMENT_OPEN || tail + units > SEGMENT_UNITS)
      continue;
    memset (object, 0xa5, units * OBJECT_UNIT);
    object->slot = i % PAGES;
    object->size = object_size (length, 1);
    assert_false (object_unharmed (object, segment->stamp));
    atomic_fetch_add (&segment->control, (units << CONTROL_TAIL_SHIFT)
                                             + (units << CONTROL_LIVE_SHIFT)
                                             + CONTROL_HOLD);
    torn++;
  }
  return torn;
}

static uint64_t
wrong_objects (void)
{
  struct store_statistics s;

  store_get_statistics (store, &s);
  return s.backings[0].checksum_errors;
}

/* What a killed writer left half done is not taken for damage when it comes
 * back from a backing: nothing could be drained from there any more.
 */
static void
test_torn (void **data)
{
  struct config_backing config = configured (0);

  (void) data;
  assert_int_equal (ftruncate (memory, 0), 0);
  unlink (paths[0]);
  start ();
  add (0);
  write_all ();
  assert_true (tear_objects () > 0);
  end ();

  start ();
  reattach (0, &config);
  assert_int_equal (store_check (store), 0);
  /* Not read before: segments are written as they are. */
  start_writeback ();
  write_back ();
  assert_true (used (0) > 0);
  pthread_mutex_lock (&lock);
  backings_drain (&backings, 0, true, false);
  pthread_mutex_unlock (&lock);
  writeback_kick (writeback);
  wait_for (used (0) == 0 || wrong_objects () > 0);
  assert_int_equal (wrong_objects (), 0);
  assert_int_equal (count_right (), PAGES);
  assert_int_equal (store_check (store), 0);
  end ();
}

static int
set_up (void **data)
{
  (void) data;
  assert_non_null (mkdtemp (folder));
  for (unsigned i = 0; i < 2; ++i)
    snprintf (paths[i], sizeof paths[i], "%s/file%u", folder, i);
  memory = memfd_create ("state", MFD_CLOEXEC);
  return memory == -1 ? -1 : fchmod (memory, 0600);
}

static int
tear_down (void **data)
{
  (void) data;
  close (memory);
  unlink (paths[0]);
  unlink (paths[1]);
  return rmdir (folder);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_places_refused),
    cmocka_unit_test (test_places_taken),
    cmocka_unit_test (test_two_servers),
    cmocka_unit_test (test_header),
    cmocka_unit_test (test_tiers),
    cmocka_unit_test (test_cut_off),
    cmocka_unit_test (test_damage),
    cmocka_unit_test (test_reattach),
    cmocka_unit_test (test_other_place),
    cmocka_unit_test (test_missing),
    cmocka_unit_test (test_leaving),
    cmocka_unit_test (test_torn),
  };

  return cmocka_run_group_tests_name ("state", tests, set_up, tear_down);
}
