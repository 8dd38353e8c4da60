/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose the pages of a state are: a server is killed, some of its cgroups are
 * removed, and the next one counts each page by the path of its cgroup, or of
 * the nearest one above that is there, and gives the same ids the same indexes
 * again.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
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
#include "policy/cgroup-nodes.h"
#include "rest.h"
#include "store/internal.h"
#include "store/state.h"

#define MIB (UINT64_C (1) << 20)
#define PAGES 2048
#define TRIES 6000 /* of 10 ms */

/* In the order in which they are created: another order than that of names,
 * and what is removed has the lowest index.
 */
enum { GONE, TWO, EMPTY, ONE, CGROUPS };
static const char *const names[CGROUPS]
    = { [GONE] = "/gone", [TWO] = "/two", [EMPTY] = "/empty", [ONE] = "/one" };

/* Page i is of cgroup i / 256, and every eighth is same-filled. */
#define EACH 256
#define EACH_SAME (EACH / 8)

/* One below the other, but SUB, which is below UP. */
enum { UP, MID, LEAF, SUB, NESTED };
static const char *const nested[NESTED] = {
  [UP] = "/up", [MID] = "/up/mid", [LEAF] = "/up/mid/leaf", [SUB] = "/up/sub"
};

/* What the process that is killed tells. */
static struct told {
  uint64_t ids[CGROUPS];
  uint32_t indexes[CGROUPS];
  uint64_t stranger; /* an id of which there never was a folder */
  uint32_t stranger_index;
  uint32_t nested[NESTED]; /* indexes */
} * told;

static char folder[] = "/tmp/tierswap-test-XXXXXX";
static int memory;
static struct config *config;
static struct store *store;
static struct cgroups *cgroups;

static char *
path_of (const char *name)
{
  static char path[128];

  snprintf (path, sizeof path, "%s/cgroup%s", folder, name);
  return path;
}

static uint64_t
create (const char *name)
{
  struct stat st;

  assert_int_equal (mkdir (path_of (name), 0755), 0);
  assert_int_equal (stat (path_of (name), &st), 0);
  return st.st_ino;
}

static int
open_store (char **error)
{
  struct store_options options
      = { .size = PAGES * UINT64_C (4096),
          .pool_limit = 64 * MIB,
          .tiers = { { 1, { CODEC_LZ4, 0 }, 0 }, { 2, { CODEC_ZSTD, 1 }, 0 } },
          .tiers_count = 2 };
  char path[64];

  /* An open file of its own: the lock ends with the process. */
  snprintf (path, sizeof path, "/proc/self/fd/%d", memory);
  assert_int_equal (state_open_file (open (path, O_RDWR | O_CLOEXEC), "state",
                                     options.size, &options.state, error),
                    0);
  assert_int_equal (store_create (&options, &store), 0);
  return store_recover (store, error);
}

static void
start (void)
{
  char *error;

  assert_int_equal (open_store (&error), 0);
  assert_int_equal (store_start (store), 0);
  cgroups = cgroups_create (store, path_of (""), config);
  assert_non_null (cgroups);
}

static void
end (void)
{
  cgroups_free (cgroups);
  store_free (store);
}

static uint32_t
index_of (uint64_t id)
{
  return cgroup_table_find (&cgroups->table, id);
}

static void
make (unsigned char page[4096], unsigned number)
{
  if (number % 8 == 0)
    page_make (page, number % 16 ? PAGE_WIDE : PAGE_SMALL, number);
  else
    page_make (page, PAGE_TEXT, number);
}

static void
write_pages (unsigned first, unsigned count, uint64_t id)
{
  unsigned char page[4096];

  for (unsigned i = first; i < first + count; ++i) {
    struct store_placement placement = cgroups_enter (cgroups, id);

    make (page, i);
    assert_int_equal (
        store_write (store, page, 4096, i * UINT64_C (4096), &placement), 0);
    cgroups_leave (cgroups, &placement);
  }
}

static void
check_pages (unsigned first, unsigned count)
{
  unsigned char page[4096], expected[4096];

  for (unsigned i = first; i < first + count; ++i) {
    assert_int_equal (store_read (store, page, 4096, i * UINT64_C (4096)), 0);
    make (expected, i);
    assert_memory_equal (page, expected, 4096);
  }
}

/* The index that a page is counted under. */
static uint32_t
index_at (unsigned page)
{
  slot_word word = slots_load (&store->slots, page);

  assert_true (word != 0);
  return slot_is_same (word)
             ? slot_cgroup (word)
             : owner_cgroup (atomic_load (
                 &store_segment (store, (uint32_t) slot_segment (word))
                      ->owner));
}

static void
check_index (unsigned first, unsigned count, uint32_t index)
{
  for (unsigned i = first; i < first + count; ++i)
    assert_int_equal (index_at (i), index);
}

/* How many pages the cgroup at PATH has, and how many are same-filled. */
static void
check_info (const char *path, uint64_t pages, uint64_t same)
{
  struct cgroup_info info;
  char *error;

  rest_cleaner (store);
  if (cgroups_get (cgroups, path, &info, &error) == -1)
    fail_msg ("%s", error);
  resume_cleaner (store);
  free (info.path);
  assert_int_equal (info.pages.pages_memory, pages - same);
  assert_int_equal (info.pages.pages_same, same);
}

static void
wait_for_given_up (uint32_t index)
{
  const struct timespec pause = { 0, 10000000 };
  unsigned tries = 0;

  while (atomic_load (&cgroups->table.records[index].id) && tries++ < TRIES)
    nanosleep (&pause, NULL);
  assert_true (atomic_load (&cgroups->table.records[index].id) == 0);
}

static void
check_empty (const char *path)
{
  check_info (path, 0, 0);
}

/* ---- */

static void __attribute__ ((noreturn)) serve (void)
{
  start ();
  for (unsigned i = 0; i < CGROUPS; ++i) {
    told->ids[i] = create (names[i]);
    cgroups_settle (cgroups);
    told->indexes[i] = index_of (told->ids[i]);
    if (i != EMPTY)
      write_pages (i * EACH, EACH, told->ids[i]);
  }
  write_pages (CGROUPS * EACH, EACH, 0);
  told->stranger = UINT64_C (1) << 50;
  write_pages ((CGROUPS + 1) * EACH, EACH, told->stranger);
  told->stranger_index = index_of (told->stranger);
  raise (SIGKILL);
  _exit (1);
}

static void
test_killed (void **data)
{
  uint64_t late;
  int status;
  pid_t pid = fork ();

  (void) data;
  assert_int_not_equal (pid, -1);
  if (pid == 0)
    serve ();
  assert_int_equal (waitpid (pid, &status, 0), pid);
  assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  assert_true (told->indexes[GONE] < told->indexes[TWO]);
  assert_true (told->indexes[TWO] < told->indexes[ONE]);
  /* In this order, or it may be another folder of the same inode number. */
  late = create ("/late");
  assert_int_equal (rmdir (path_of ("/gone")), 0);

  start ();
  assert_int_equal (store_check (store), 0);
  check_pages (0, 2 * EACH);
  check_pages (3 * EACH, 3 * EACH);
  for (unsigned i = 0; i < CGROUPS; ++i) {
    assert_int_equal (index_of (told->ids[i]), told->indexes[i]);
    assert_int_equal (
        atomic_load (&cgroups->table.records[told->indexes[i]].id),
        told->ids[i]);
  }
  assert_int_equal (index_of (told->stranger), told->stranger_index);
  check_info ("/one", EACH, EACH_SAME);
  check_info ("/two", EACH, EACH_SAME);
  check_empty ("/empty");
  check_empty ("/late");
  /* Its own, and those of the one that is gone and the one that never was. */
  check_info ("/", 3 * EACH, 3 * EACH_SAME);
  for (unsigned i = 0; i < CGROUPS; ++i)
    assert_true (index_of (late) != told->indexes[i]);
  assert_true (index_of (late) != told->stranger_index && index_of (late) != 0);

  /* New pages of an old id, and of a new one. */
  write_pages (6 * EACH, EACH / 2, told->ids[ONE]);
  check_index (6 * EACH, EACH / 2, told->indexes[ONE]);
  write_pages (6 * EACH + EACH / 2, EACH / 2, late);
  check_index (6 * EACH + EACH / 2, EACH / 2, index_of (late));
  check_info ("/one", EACH + EACH / 2, EACH_SAME + EACH_SAME / 2);
  check_info ("/late", EACH / 2, EACH_SAME / 2);
  check_info ("/two", EACH, EACH_SAME);
  assert_int_equal (store_check (store), 0);
  end ();
}

/* A server that ended well leaves the same; and what is gone is given up when
 * it has no pages any more, in the state too.
 */
static void
test_given_up (void **data)
{
  uint32_t gone = told->indexes[GONE], another;
  uint64_t id;

  (void) data;
  start ();
  check_info ("/one", EACH + EACH / 2, EACH_SAME + EACH_SAME / 2);
  check_info ("/late", EACH / 2, EACH_SAME / 2);
  check_info ("/two", EACH, EACH_SAME);
  check_info ("/", 3 * EACH, 3 * EACH_SAME);
  assert_int_equal (index_of (told->ids[GONE]), gone);
  assert_int_equal (
      store_trim (store, EACH * UINT64_C (4096), GONE * EACH * UINT64_C (4096)),
      0);
  wait_for_given_up (gone);
  end ();

  start ();
  check_info ("/", 2 * EACH, 2 * EACH_SAME);
  assert_int_equal (state_cgroup (store_state (store), gone), 0);
  assert_int_equal (index_of (told->ids[GONE]), CGROUP_NONE);
  /* The index is free for another one. */
  id = create ("/another");
  cgroups_settle (cgroups);
  another = index_of (id);
  assert_int_equal (another, gone);
  write_pages (GONE * EACH, EACH, id);
  check_info ("/another", EACH, EACH_SAME);
  end ();

  start ();
  check_info ("/another", EACH, EACH_SAME);
  assert_int_equal (index_of (id), another);
  assert_int_equal (store_check (store), 0);
  end ();
}

/* An index with pages and no id of its own is never another cgroup's. */
static void
test_lost (void **data)
{
  const uint32_t one = told->indexes[ONE], two = told->indexes[TWO];
  struct stat root;

  (void) data;
  start ();
  assert_int_equal (stat (path_of (""), &root), 0);
  state_set_cgroup (store_state (store), two, root.st_ino);
  state_set_cgroup (store_state (store), one, 0);
  end ();
  for (unsigned round = 0; round < 2; ++round) {
    start ();
    check_empty ("/one");
    check_empty ("/two");
    check_info ("/late", EACH / 2, EACH_SAME / 2);
    check_info ("/", 4 * EACH + EACH / 2, 4 * EACH_SAME + EACH_SAME / 2);
    assert_true (index_of (told->ids[ONE]) != one);
    assert_true (index_of (told->ids[ONE]) != two);
    assert_true (index_of (told->ids[TWO]) != two);
    assert_true (index_of (told->ids[TWO]) != one);
    check_pages (0, 2 * EACH);
    check_pages (3 * EACH, 4 * EACH);
    assert_int_equal (store_check (store), 0);
    end ();
  }
}

static void
test_damaged (void **data)
{
  char *error;

  (void) data;
  assert_int_equal (open_store (&error), 0);
  atomic_store (&store_state (store)->header->cgroups_mark, STORE_CGROUPS + 1);
  store_free (store);
  assert_int_equal (open_store (&error), -1);
  assert_int_equal (errno, EUCLEAN);
  assert_non_null (strstr (error, "cgroups"));
  free (error);
  store_free (store);
}

/* ---- */

enum spoil {
  SPOIL_NOTHING,
  SPOIL_OLDER, /* a server goes on with it that does not keep parents */
  SPOIL_LOOP,  /* what is noted is nonsense */
};

static void __attribute__ ((noreturn)) serve_nested (enum spoil spoil)
{
  uint64_t ids[NESTED];
  struct state *state;

  start ();
  state = store_state (store);
  for (unsigned i = 0; i < NESTED; ++i) {
    ids[i] = create (nested[i]);
    cgroups_settle (cgroups);
    told->nested[i] = index_of (ids[i]);
    if (i != MID)
      write_pages (i * EACH, EACH, ids[i]);
  }
  if (spoil == SPOIL_OLDER)
    atomic_store (&state->header->parents_kept, 0);
  else if (spoil == SPOIL_LOOP) {
    state_set_parent (state, told->nested[LEAF], told->nested[MID]);
    state_set_parent (state, told->nested[MID], told->nested[LEAF]);
    state_set_parent (state, told->nested[SUB], STORE_CGROUPS - 1);
  }
  raise (SIGKILL);
  _exit (1);
}

/* A new state, of which a server was killed, all but UP removed, and the next
 * one started.
 */
static void
start_nested (enum spoil spoil)
{
  int status;
  pid_t pid;

  assert_int_equal (ftruncate (memory, 0), 0);
  pid = fork ();
  assert_int_not_equal (pid, -1);
  if (pid == 0)
    serve_nested (spoil);
  assert_int_equal (waitpid (pid, &status, 0), pid);
  assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  for (unsigned i = NESTED; i-- > MID;)
    assert_int_equal (rmdir (path_of (nested[i])), 0);
  start ();
}

static uint32_t
cap_of (uint32_t index)
{
  return atomic_load (&store->cgroup[index].cap);
}

/* What was removed while no server ran is counted for who was above it, and
 * under the limit of that.
 */
static void
test_nested (void **data)
{
  const uint32_t *index = told->nested;
  char outside[128];
  struct stat other;

  (void) data;
  /* Made before others are removed, or its inode number may be one of theirs.
   */
  snprintf (outside, sizeof outside, "%s/other", folder);
  assert_int_equal (mkdir (outside, 0755), 0);
  start_nested (SPOIL_NOTHING);
  check_info ("/up", 3 * EACH, 3 * EACH_SAME);
  check_empty ("/");
  assert_true (cap_of (index[UP]) != 0);
  assert_int_equal (cap_of (index[LEAF]), cap_of (index[UP]));
  assert_int_equal (cap_of (index[SUB]), cap_of (index[UP]));
  /* What was between them is forgotten, and its index is another one's. */
  wait_for_given_up (index[MID]);
  assert_int_equal (rename (outside, path_of ("/other")), 0);
  assert_int_equal (stat (path_of ("/other"), &other), 0);
  cgroups_settle (cgroups);
  assert_int_equal (index_of (other.st_ino), index[MID]);
  write_pages (MID * EACH, EACH, other.st_ino);
  end ();

  start ();
  check_info ("/up", 3 * EACH, 3 * EACH_SAME);
  check_info ("/other", EACH, EACH_SAME);
  check_empty ("/");
  check_pages (0, NESTED * EACH);
  assert_int_equal (store_check (store), 0);
  end ();

  assert_int_equal (rmdir (path_of ("/up")), 0);
  start ();
  check_info ("/", 3 * EACH, 3 * EACH_SAME);
  check_info ("/other", EACH, EACH_SAME);
  end ();
  assert_int_equal (rmdir (path_of ("/other")), 0);
}

/* What is not known, since an older server had it, or is nonsense, is counted
 * for "/".
 */
static void
test_nested_unknown (void **data)
{
  (void) data;
  for (enum spoil spoil = SPOIL_OLDER; spoil <= SPOIL_LOOP; ++spoil) {
    start_nested (spoil);
    check_info ("/up", EACH, EACH_SAME);
    check_info ("/", 2 * EACH, 2 * EACH_SAME);
    check_pages (0, EACH);
    check_pages (LEAF * EACH, 2 * EACH);
    assert_int_equal (store_check (store), 0);
    end ();
    assert_int_equal (rmdir (path_of ("/up")), 0);
  }
}

static int
set_up (void **data)
{
  char path[128], *error;
  FILE *file;

  (void) data;
  assert_non_null (mkdtemp (folder));
  assert_int_equal (mkdir (path_of (""), 0755), 0);
  snprintf (path, sizeof path, "%s/conf", folder);
  file = fopen (path, "w");
  assert_non_null (file);
  fprintf (file, "size = \"8M\"\n"
                 "pool { limit = \"64M\" }\n"
                 "tier \"fast\" { prio = 1  codec = \"lz4\" }\n"
                 "tier \"dense\" { prio = 2  codec = \"zstd\" }\n"
                 "cgroup \"/two\" { prio = 2 }\n"
                 "cgroup \"/up\" { limit = \"1M\" }\n");
  assert_int_equal (fclose (file), 0);
  config = config_load (path, &error);
  assert_int_equal (unlink (path), 0);
  told = mmap (NULL, sizeof *told, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memory = memfd_create ("state", MFD_CLOEXEC);
  if (!config || told == MAP_FAILED || memory == -1)
    return -1;
  return fchmod (memory, 0600);
}

static int
tear_down (void **data)
{
  static const char *const all[]
      = { "/gone",        "/two",    "/empty",  "/one", "/late",  "/another",
          "/up/mid/leaf", "/up/mid", "/up/sub", "/up",  "/other", "" };

  (void) data;
  close (memory);
  config_free (config);
  munmap (told, sizeof *told);
  for (unsigned i = 0; i < sizeof all / sizeof all[0]; ++i)
    rmdir (path_of (all[i]));
  return rmdir (folder);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_killed), cmocka_unit_test (test_given_up),
    cmocka_unit_test (test_lost),   cmocka_unit_test (test_damaged),
    cmocka_unit_test (test_nested), cmocka_unit_test (test_nested_unknown),
  };

  return cmocka_run_group_tests_name ("state-cgroups", tests, set_up,
                                      tear_down);
}
