/* SPDX-License-Identifier: BSD-3-Clause */
/* A store with a state is killed at random moments while pages are written,
 * trimmed, cleaned, written back, read back, drained and compacted; the next
 * process takes the state over and finds every page as it was acknowledged
 * last.  A page that was being written may be the old or the new one.
 *
 * The oracle is in memory that the processes share with the test.  KILLS in the
 * environment: how often (default 30).
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pages.h"
#include "policy/backings.h"
#include "policy/writeback.h"
#include "store/demote.h"
#include "store/pick.h"
#include "store/state.h"
#include "store/store.h"

#define MIB (UINT64_C (1) << 20)
#define PAGES 4096
#define WRITERS 3
#define RUN 8 /* pages of one write at most; runs do not cross writers */
#define BACKINGS 2

/* What a page holds: 0 for nothing, else kind + 1 | patch << 8 | seed << 16.
 * A patch that is not 0 stands in bytes 512 to 1023.
 */
typedef uint64_t content;

struct oracle {
  _Atomic content stable[PAGES]; /* acknowledged */
  _Atomic content next[PAGES];   /* the same, or what is being written */
  _Atomic uint64_t writes, reads, refused, overlapped;
  _Atomic unsigned phase; /* of the process: see below */
  char wrong[256];        /* what was not right, if anything */
};
enum { RECOVERING, SERVING, SOUND };

static struct oracle *oracle;
static char folder[] = "/tmp/tierswap-test-XXXXXX";
static char paths[BACKINGS][64];
static int memory; /* the state's file */

static struct store *store;
static struct backings backings;
static struct writeback *writeback;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool stop;

static void __attribute__ ((format (printf, 1, 2), noreturn))
give_up (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  vsnprintf (oracle->wrong, sizeof oracle->wrong, format, args);
  va_end (args);
  _exit (1);
}

static void
make (unsigned char page[4096], content c)
{
  if (c == 0) {
    memset (page, 0, 4096);
    return;
  }
  page_make (page, (c & 0xff) - 1, c >> 16);
  if (c >> 8 & 0xff)
    memset (page + 512, (int) (c >> 8 & 0xff), 512);
}

static bool
holds (const unsigned char page[4096], content c)
{
  unsigned char expected[4096];

  make (expected, c);
  return memcmp (page, expected, 4096) == 0;
}

/* ---- the process that is killed ---- */

static void
announce (unsigned first, unsigned count, const content *next)
{
  for (unsigned i = 0; i < count; ++i)
    atomic_store (&oracle->next[first + i], next[i]);
}

/* With ENOSPC a page may be written or not. */
static void
acknowledge (unsigned first, unsigned count, const content *next, int r)
{
  unsigned char page[4096];

  for (unsigned i = 0; i < count; ++i) {
    content c = next[i];

    if (r == -1) {
      if (errno != ENOSPC)
        give_up ("page %u could not be written: %s", first, strerror (errno));
      if (store_read (store, page, 4096, (first + i) * UINT64_C (4096)) == -1)
        give_up ("page %u cannot be read: %s", first + i, strerror (errno));
      if (!holds (page, c))
        c = atomic_load (&oracle->stable[first + i]);
      errno = ENOSPC;
    }
    atomic_store (&oracle->stable[first + i], c);
    atomic_store (&oracle->next[first + i], c);
  }
  if (r == -1)
    atomic_fetch_add (&oracle->refused, 1);
  else
    atomic_fetch_add (&oracle->writes, 1);
}

static void
check_page (unsigned number)
{
  unsigned char page[4096];
  content c = atomic_load (&oracle->stable[number]);

  if (store_read (store, page, 4096, number * UINT64_C (4096)) == -1)
    give_up ("page %u cannot be read: %s", number, strerror (errno));
  if (!holds (page, c))
    give_up ("page %u is not what was written", number);
  atomic_fetch_add (&oracle->reads, 1);
}

static void
write_run (unsigned first, unsigned count, uint64_t *random)
{
  static const struct store_placement placements[]
      = { { 0, 1, 1, 0 }, { 1, 2, 2, 0 }, { 2, 1, 0, 0 }, { 0, 1, 1, 2000 } };
  unsigned char pages[RUN * 4096];
  content next[RUN];
  unsigned choice = random_next (random) % 16;
  uint64_t offset = first * UINT64_C (4096);
  const struct store_placement *placement
      = &placements[random_next (random) % 4];
  int r;

  if (choice == 0) {
    memset (next, 0, sizeof next);
    announce (first, count, next);
    r = store_trim (store, count * UINT64_C (4096), offset);
  }
  else if (choice == 1) {
    for (unsigned i = 0; i < count; ++i)
      next[i] = PAGE_ZERO + 1;
    announce (first, count, next);
    r = store_zero (store, count * UINT64_C (4096), offset, false, placement);
  }
  else if (choice == 2) {
    unsigned patch = 1 + random_next (random) % 255;

    count = 1;
    next[0] = atomic_load (&oracle->stable[first]);
    if (next[0] == 0)
      next[0] = PAGE_ZERO + 1;
    next[0] = (next[0] & ~UINT64_C (0xff00)) | patch << 8;
    announce (first, 1, next);
    memset (pages, (int) patch, 512);
    r = store_write (store, pages, 512, offset + 512, placement);
  }
  else {
    for (unsigned i = 0; i < count; ++i) {
      next[i] = (random_next (random) % PAGE_KINDS + 1)
                | (random_next (random) & 0xffffffff) << 16;
      make (pages + i * 4096, next[i]);
    }
    announce (first, count, next);
    r = store_write (store, pages, count * 4096, offset, placement);
  }
  acknowledge (first, count, next, r);
}

static void *
write_pages (void *opaque)
{
  unsigned writer = (unsigned) (uintptr_t) opaque;
  uint64_t random = (uint64_t) getpid () << 8 | writer;

  while (!atomic_load (&stop)) {
    unsigned run = (unsigned) (random_next (&random) % (PAGES / RUN / WRITERS));
    unsigned first = (run * WRITERS + writer) * RUN;
    unsigned skip = random_next (&random) % RUN;

    if (random_next (&random) % 3)
      write_run (first + skip, 1 + random_next (&random) % (RUN - skip),
                 &random);
    else
      check_page (first + skip);
  }
  return NULL;
}

/* Neighbours are compressed together when they are demoted. */
static void
demote (void)
{
  struct pick pick = { .tier = 0,
                       .cgroup = PICK_ANY,
                       .classes = (1u << STORE_CLASSES) - 1,
                       .before = UINT32_MAX };
  uint32_t segment = pick_coldest (store, &pick);

  if (segment != PICK_NONE)
    demote_segment (store, segment);
}

/* What is done to a store by command. */
static void *
disturb (void *opaque)
{
  uint64_t random = (uint64_t) getpid ();

  (void) opaque;
  while (!atomic_load (&stop)) {
    struct writeback_counters done;
    struct writeback_command command
        = { .cgroup = -1, .tier = -1, .max = 2 * MIB };
    unsigned index = random_next (&random) % BACKINGS;

    switch (random_next (&random) % 5) {
    case 0:
      writeback_run (writeback, &command, &done);
      break;
    case 1:
      pthread_mutex_lock (&lock);
      backings_drain (&backings, index, random_next (&random) % 2, false);
      pthread_mutex_unlock (&lock);
      writeback_kick (writeback);
      break;
    case 2:
      store_compact (store);
      break;
    case 3:
      demote ();
      break;
    default:
      nanosleep (&(struct timespec){ 0, random_next (&random) % 20000000 },
                 NULL);
    }
  }
  return NULL;
}

static struct config_backing
configured (unsigned i)
{
  static char *names[] = { "one", "two" };

  return (struct config_backing){ .name = names[i],
                                  .prio = i + 1,
                                  .path = paths[i],
                                  .size = 16 * MIB,
                                  .encrypt = i == 1,
                                  .promote = i == 0 };
}

static void
start_backings (const struct state *state)
{
  char *error;

  backings.store = store;
  backings.lock = &lock;
  for (unsigned i = 0; i < BACKINGS; ++i) {
    struct config_backing config = configured (i);
    struct backing *backing;

    if (state_backing (state, i)) {
      if (backings_reattach (&backings, i, &config, &error) == -1)
        give_up ("backing %u is not reattached: %s", i, error);
      if (backing_state (atomic_load (&backings.list[i].backing))
          != BACKING_ONLINE)
        give_up ("backing %u is not there again", i);
    }
    else if (backings_open (&config, &backing, &error) == -1
             || backings_add (&backings, &config, backing, true, &error) == -1)
      give_up ("backing %u is not opened: %s", i, error);
  }
}

static void
start (void)
{
  struct store_options options
      = { .size = PAGES * UINT64_C (4096),
          .pool_limit = 6 * MIB,
          .tiers = { { 1, { CODEC_LZ4, 0 }, 0 }, { 2, { CODEC_ZSTD, 1 }, 0 } },
          .tiers_count = 2 };
  struct config_writeback config = { .high = 80, .low = 60 };
  char path[64], *error;

  /* An open file of its own: only so the lock ends with the process. */
  snprintf (path, sizeof path, "/proc/self/fd/%d", memory);
  if (state_open_file (open (path, O_RDWR | O_CLOEXEC), path, options.size,
                       &options.state, &error)
      == -1)
    give_up ("the state is not opened: %s", error);
  if (store_create (&options, &store) == -1)
    give_up ("no store: %s", strerror (errno));
  if (store_recover (store, &error) == -1)
    give_up ("not recovered: %s", error);
  if (store_start (store) == -1)
    give_up ("the store does not start");
  store_set_tier_group (store, 1, STORE_GROUP);
  start_backings (options.state);
  writeback = writeback_start (store, &backings);
  if (!writeback)
    give_up ("writeback does not start");
  writeback_configure (writeback, &config);
}

static void
finish (void)
{
  writeback_stop (writeback);
  store_free (store);
  backings_close (&backings);
}

/* Every page is the one acknowledged, or the one that was under way. */
static void
verify (void)
{
  unsigned char page[4096];

  for (unsigned i = 0; i < PAGES; ++i) {
    content stable = atomic_load (&oracle->stable[i]);
    content next = atomic_load (&oracle->next[i]);

    if (store_read (store, page, 4096, i * UINT64_C (4096)) == -1)
      give_up ("page %u cannot be read back: %s", i, strerror (errno));
    if (stable != next)
      atomic_fetch_add (&oracle->overlapped, 1);
    if (stable != next && holds (page, next))
      stable = next;
    if (!holds (page, stable))
      give_up ("page %u came back as neither the old nor the new one (%llx, "
               "%llx)",
               i, (unsigned long long) stable, (unsigned long long) next);
    atomic_store (&oracle->stable[i], stable);
    atomic_store (&oracle->next[i], stable);
  }
}

static void __attribute__ ((noreturn)) serve (void)
{
  pthread_t threads[WRITERS + 1];

  start ();
  verify ();
  atomic_store (&oracle->phase, SERVING);
  for (unsigned i = 0; i < WRITERS; ++i)
    pthread_create (&threads[i], NULL, write_pages, (void *) (uintptr_t) i);
  pthread_create (&threads[WRITERS], NULL, disturb, NULL);
  pause ();
  _exit (1);
}

/* What is left at last is sound, also after a server that ended well. */
static void __attribute__ ((noreturn)) look (void)
{
  start ();
  writeback_stop (writeback);
  writeback = NULL;
  verify ();
  if (store_check (store) == -1)
    give_up ("the store is not sound");
  finish ();
  atomic_store (&oracle->phase, SOUND);
  _exit (0);
}

/* ---- the test ---- */

static void
pause_for (unsigned microseconds)
{
  nanosleep (&(struct timespec){ microseconds / 1000000,
                                 microseconds % 1000000 * 1000 },
             NULL);
}

static pid_t
begin (void (*process) (void))
{
  pid_t pid;

  atomic_store (&oracle->phase, RECOVERING);
  pid = fork ();
  assert_int_not_equal (pid, -1);
  if (pid == 0)
    process ();
  return pid;
}

static void
look_at_it (void)
{
  pid_t pid = begin (look);
  int status;

  assert_int_equal (waitpid (pid, &status, 0), pid);
  if (oracle->wrong[0])
    fail_msg ("%s", oracle->wrong);
  assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
  assert_int_equal (atomic_load (&oracle->phase), SOUND);
}

static void
test_kill (void **data)
{
  const char *text = getenv ("KILLS");
  unsigned kills = text ? (unsigned) atoi (text) : 30;
  uint64_t random = (uint64_t) time (NULL);

  (void) data;
  printf ("seed %llu\n", (unsigned long long) random);
  for (unsigned i = 0; i < kills; ++i) {
    pid_t pid = begin (serve);
    int status;

    /* Every fourth one at any time of its start. */
    while (i % 4 != 3 && atomic_load (&oracle->phase) != SERVING
           && waitpid (pid, &status, WNOHANG) == 0)
      pause_for (1000);
    pause_for (random_next (&random) % (i % 4 == 3 ? 30000 : 600000));
    kill (pid, SIGKILL);
    waitpid (pid, &status, 0);
    if (oracle->wrong[0])
      fail_msg ("after %u kills: %s", i, oracle->wrong);
    if (i % 10 == 9)
      look_at_it ();
  }
  look_at_it ();
  look_at_it ();
  printf ("%u kills, %llu writes (%llu refused), %llu pages read, %llu writes "
          "cut off\n",
          kills, (unsigned long long) oracle->writes,
          (unsigned long long) oracle->refused,
          (unsigned long long) oracle->reads,
          (unsigned long long) oracle->overlapped);
}

static int
set_up (void **data)
{
  (void) data;
  assert_non_null (mkdtemp (folder));
  for (unsigned i = 0; i < BACKINGS; ++i)
    snprintf (paths[i], sizeof paths[i], "%s/file%u", folder, i);
  oracle = mmap (NULL, sizeof *oracle, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memory = memfd_create ("state", MFD_CLOEXEC);
  fchmod (memory, 0600);
  return oracle == MAP_FAILED || memory == -1 ? -1 : 0;
}

static int
tear_down (void **data)
{
  (void) data;
  close (memory);
  for (unsigned i = 0; i < BACKINGS; ++i)
    unlink (paths[i]);
  return rmdir (folder);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_kill) };

  return cmocka_run_group_tests_name ("state kill", tests, set_up, tear_down);
}
