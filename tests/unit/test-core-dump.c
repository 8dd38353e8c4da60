/* SPDX-License-Identifier: BSD-3-Clause */
/* What may hold pages, or the key of a backing, is left out of core dumps: the
 * kernel's own flag of each mapping tells.  And no other mapping but stacks and
 * the heap has any of the pages in it.
 */
#include "test.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backing/bounce.h"
#include "backing/cipher.h"
#include "rig.h"
#include "store/state.h"

/* A mapping as /proc/self/smaps has it. */
struct mapping {
  unsigned long start, end, resident;
  char access[5], name[256];
  bool dumped;
  bool after_guard; /* what is mapped right before it cannot be accessed */
};

static void
read_mapping (FILE *file, const char *line, struct mapping *m)
{
  bool inaccessible = memcmp (m->access, "---", 3) == 0;
  unsigned long end = m->end;
  char other[512];

  m->name[0] = '\0';
  assert_true (sscanf (line, "%lx-%lx %4s %*s %*s %*s %255s", &m->start,
                       &m->end, m->access, m->name)
               >= 3);
  m->after_guard = inaccessible && m->start == end;
  do {
    assert_non_null (fgets (other, sizeof other, file));
    sscanf (other, "Rss: %lu", &m->resident);
  } while (strncmp (other, "VmFlags:", 8) != 0);
  m->dumped = strstr (other, " dd") == NULL;
}

/* Call LOOK of each mapping until it returns true. */
static bool
look_at_mappings (bool (*look) (const struct mapping *m, const void *opaque),
                  const void *opaque)
{
  FILE *file = fopen ("/proc/self/smaps", "re");
  struct mapping mapping = { .start = 0 };
  bool found = false;
  char line[512];

  assert_non_null (file);
  while (!found && fgets (line, sizeof line, file)) {
    read_mapping (file, line, &mapping);
    found = look (&mapping, opaque);
  }
  fclose (file);
  return found;
}

static bool
would_dump (const struct mapping *m, const void *place)
{
  return m->dumped && m->start <= (unsigned long) place
         && (unsigned long) place < m->end;
}

#define assert_left_out(place)                                                 \
  assert_false (look_at_mappings (would_dump, (const void *) (place)))

static const char secret[] = "what nobody else may see, again and again";

/* Not by memmem, whose own search may keep it where it is then found. */
static bool
contains_secret (const char *p, size_t length)
{
  for (size_t i = 0; i + sizeof secret <= length; ++i) {
    size_t same = 0;

    while (same < sizeof secret && p[i + same] == secret[same])
      ++same;
    if (same == sizeof secret)
      return true;
  }
  return false;
}

static bool
has_secret (const struct mapping *m, const void *opaque)
{
  (void) opaque;
  /* A file's own; the heap; the stack of the first thread, or of another. */
  if (!m->dumped || m->access[0] != 'r' || m->access[1] != 'w'
      || m->resident == 0 || m->after_guard || m->name[0] == '['
      || (m->name[0] == '/' && m->access[3] == 'p'))
    return false;
  if (!contains_secret ((const char *) m->start, m->end - m->start))
    return false;
  print_message ("%lx-%lx %s %s\n", m->start, m->end, m->access, m->name);
  return true;
}

/* It can fail: what malloc has is in core dumps. */
static void
test_heap (void **state)
{
  void *something = calloc (1, 100);

  (void) state;
  assert_true (look_at_mappings (would_dump, something));
  free (something);
}

static void
test_store (void **state)
{
  static const struct store_placement placement
      = { .cgroup = 1, .prio = 1, .writeback_prio = 1 };
  struct rig *rig = rig_start (16 * MIB);
  char path[128];
  const struct config_backing backing = { .name = (char *) "far",
                                          .prio = 1,
                                          .path = path,
                                          .size = 16 * MIB,
                                          .encrypt = true };
  unsigned char page[PAGE_BYTES];
  uint64_t seed = 1;

  (void) state;
  snprintf (path, sizeof path, "%s/far", rig->folder);
  rig_add_config (rig, &backing);
  for (unsigned i = 0; i < 1000; ++i) {
    for (unsigned j = 0; j < PAGE_BYTES; ++j)
      page[j] = (unsigned char) random_next (&seed);
    memcpy (page + 1000, secret, sizeof secret);
    assert_int_equal (store_write (rig->store, page, PAGE_BYTES,
                                   (uint64_t) i * PAGE_BYTES, &placement),
                      0);
    if (i == 500)
      rig_command (rig, &RIG_ALL);
  }
  for (unsigned i = 0; i < 1000; ++i)
    assert_int_equal (
        store_read (rig->store, page, PAGE_BYTES, (uint64_t) i * PAGE_BYTES),
        0);
  assert_left_out (arena_frame (&rig->store->arena, 0));
  assert_left_out (rig->store->slots.words);
  assert_left_out (rig->store->slots.wide);
  assert_left_out (rig->store->segments.table);
  /* With a sanitizer the heap has no name to leave it out by. */
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
  assert_false (look_at_mappings (has_secret, NULL));
#else
  (void) has_secret;
#endif
  rig_stop (rig);
}

static void
test_state (void **state)
{
  int fd = memfd_create ("state", MFD_CLOEXEC);
  struct state *mapped;
  char *error;

  (void) state;
  assert_int_equal (fchmod (fd, 0600), 0);
  if (state_open_file (fd, "state", 64 * MIB, &mapped, &error) == -1)
    fail_msg ("%s", error);
  assert_int_equal (state_map (mapped, 16), 0);
  assert_left_out (mapped->words);
  assert_left_out (mapped->arena);
  state_close (mapped);
}

static void
test_key_and_buffers (void **state)
{
  struct cipher *cipher = cipher_create (NULL);
  struct bounce bounce = { .small = NULL };

  (void) state;
  assert_non_null (cipher);
  assert_left_out (cipher_key (cipher));
  cipher_destroy (cipher);
  assert_int_equal (bounce_create (&bounce, 4, 4), 0);
  assert_int_equal (bounce_map (&bounce), 0);
  assert_left_out (bounce_small (&bounce, 0));
  assert_left_out (bounce_large (&bounce, 0));
  bounce_destroy (&bounce);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_heap),
    cmocka_unit_test (test_store),
    cmocka_unit_test (test_state),
    cmocka_unit_test (test_key_and_buffers),
  };

  /* As the server has it: all that is allocated is in the heap. */
  mallopt (M_ARENA_MAX, 1);
  mallopt (M_MMAP_THRESHOLD, 32 << 20);
  return cmocka_run_group_tests (tests, NULL, NULL);
}
