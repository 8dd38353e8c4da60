/* SPDX-License-Identifier: BSD-3-Clause */
/* A state that was damaged, in any of its parts, and the backing with it: it is
 * refused in one line, or taken over.  One that is taken over is sound by its
 * own check; each page reads as what its slot word says, which is zeros only
 * where that is empty, or as an error; what is written to it is read back; and
 * the next server takes it over too.  One with no damage is not refused and has
 * all its pages.
 *
 * The state is a small one made by a store: pages of all kinds, in two tiers,
 * alone and in groups, of two cgroups, in memory and on a backing.  The input
 * is not the file but what is done to it, so that it stays small:
 *
 *   1 byte     how it is used, see enum use
 *   1 byte     seed of what is written to it
 *   12 bytes   a damage: part | way << 5, kind, index (2 bytes), value (8
 * bytes)
 *   ...        further ones, at most DAMAGES
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/message.h"
#include "pages.h"
#include "policy/backings.h"
#include "policy/cgroups.h"
#include "policy/writeback.h"
#include "store/internal.h"
#include "store/object.h"
#include "store/state.h"

extern int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static char said[256];         /* the last message */
static _Atomic bool set_aside; /* a segment, as was said */

#define PROMISE(truth)                                                         \
  do {                                                                         \
    if (!(truth)) {                                                            \
      fprintf (stderr, "line %d: not true: %s (%s)\n", __LINE__, #truth,       \
               said);                                                          \
      abort ();                                                                \
    }                                                                          \
  } while (0)

#define MIB (UINT64_C (1) << 20)
#define SLOTS 1536
#define SIZE (SLOTS * UINT64_C (4096))
#define PAGES 144 /* of the first ones, that are in use */
#define POOL (8 * MIB)
#define EXTENTS 8
#define SEGMENTS 16 /* the first ones, that are damaged */
#define AREAS 64
#define DAMAGES 24

enum use {
  USE_VERIFY = 1,
  USE_WIPE = 2,
  USE_THREADS = 4,
  USE_CGROUPS = 8,
  USE_LEAVING = 16, /* the backing is not in the configuration any more */
  USE_WRITEBACK = 32,
  USE_AGAIN = 64
};

/* What was damaged of the objects: whether it can be told what a page is. */
static struct {
  bool objects; /* anything of them */
  bool forged;  /* a checksum, too */
  bool far;     /* words, or what leads to the backing */
  bool backing; /* the backing's file or record */
} harm;

/* The state as it was made. */
static int memory, far_file;
static off_t memory_length;
static struct area {
  off_t offset;
  size_t length;
  unsigned char *bytes;
} areas[AREAS], far_areas[AREAS];
static unsigned areas_count, far_areas_count;
static uint64_t at_table, at_words, at_wide, at_touched, at_cgroups, at_arena;
static uint64_t at_parents;
static slot_word words_made[PAGES];
static uint64_t object_at[PAGES]; /* offset in the file or the backing */
static bool object_far[PAGES];
static unsigned char model[PAGES][4096];

/* As it is damaged. */
static slot_word words[PAGES];
static uint64_t wide[PAGES];

static char far_path[64];
static char far_name[] = "far", root_path[] = "/";
static struct config_cgroup root_rule
    = { .path = root_path, .prio = 1, .writeback_prio = 1 };
static struct config config
    = { .backings = { { .name = far_name,
                        .prio = 1,
                        .path = far_path,
                        .size = EXTENTS * EXTENT_BYTES } },
        .backings_count = 1,
        .cgroups = &root_rule,
        .cgroups_count = 1 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
be_quiet (enum message_kind kind, const char *text)
{
  (void) kind;
  snprintf (said, sizeof said, "%s", text);
  if (strstr (text, "is set aside"))
    set_aside = true;
  PROMISE (text[0] != '\0' && !strchr (text, '\n'));
}

/* ---- a server ---- */

struct server {
  struct store *store;
  struct backings backings;
  struct cgroups *cgroups;
};

/* An open file of its own, as another process would have. */
static int
open_again (int fd)
{
  char path[64];

  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  fd = open (path, O_RDWR | O_CLOEXEC);
  PROMISE (fd != -1);
  return fd;
}

static void
server_end (struct server *server)
{
  cgroups_free (server->cgroups);
  store_free (server->store);
  backings_close (&server->backings);
}

static bool
refused (struct server *server, char *error)
{
  PROMISE (errno != 0);
  if (error)
    be_quiet (MESSAGE_ERROR, error);
  free (error);
  server_end (server);
  return false;
}

/* As the device does it. */
static bool
server_start (struct server *server, unsigned use)
{
  struct store_options options
      = { .size = SIZE,
          .pool_limit = POOL,
          .tiers = { { 1, { CODEC_LZ4, 0 }, 0 }, { 2, { CODEC_ZSTD, 1 }, 0 } },
          .tiers_count = 2 };
  struct config without = config;
  char *error = NULL;

  *server = (struct server){ .store = NULL };
  errno = 0;
  if (state_open_file (open_again (memory), "state", SIZE, &options.state,
                       &error)
      == -1)
    return refused (server, error);
  if (store_create (&options, &server->store) == -1)
    return refused (server, NULL);
  store_set_verify (server->store, use & USE_VERIFY);
  store_set_wipe (server->store, use & USE_WIPE);
  if (store_recover (server->store, &error) == -1)
    return refused (server, error);
  if ((use & USE_THREADS) && store_start (server->store) == -1)
    return refused (server, NULL);
  store_set_tier_group (server->store, 1, 4);
  if (use & USE_CGROUPS) {
    /* A folder with no folders in it. */
    server->cgroups = cgroups_create (server->store, "/proc/self/ns", &config);
    PROMISE (server->cgroups);
  }
  server->backings.store = server->store;
  server->backings.lock = &lock;
  without.backings_count = 0;
  if (backings_reattach_all (&server->backings,
                             use & USE_LEAVING ? &without : &config, &error)
      == -1)
    return refused (server, error);
  return true;
}

/* ---- the state that is damaged ---- */

static unsigned
copy_areas (int fd, struct area list[AREAS])
{
  off_t offset = 0, end;
  unsigned count = 0;

  while ((offset = lseek (fd, offset, SEEK_DATA)) != -1) {
    struct area *area = &list[count++];

    PROMISE (count <= AREAS);
    end = lseek (fd, offset, SEEK_HOLE);
    *area = (struct area){ offset, (size_t) (end - offset),
                           malloc ((size_t) (end - offset)) };
    PROMISE (area->bytes
             && pread (fd, area->bytes, area->length, offset)
                    == (ssize_t) area->length);
    offset = end;
  }
  return count;
}

static void
put_areas (int fd, off_t length, const struct area *list, unsigned count)
{
  PROMISE (ftruncate (fd, 0) == 0 && ftruncate (fd, length) == 0);
  for (unsigned i = 0; i < count; ++i)
    PROMISE (pwrite (fd, list[i].bytes, list[i].length, list[i].offset)
             == (ssize_t) list[i].length);
}

/* Where each page's object is. */
static void
note_objects (struct store *store)
{
  for (unsigned slot = 0; slot < PAGES; ++slot) {
    slot_word word = atomic_load (&store->slots.words[slot]);
    uint64_t place, offset;

    words_made[slot] = word;
    if (!slot_is_object (word))
      continue;
    place = atomic_load (
        &store_segment (store, (uint32_t) slot_segment (word))->place);
    offset = place_number (place) * FRAME_BYTES
             + (uint64_t) slot_units (word) * OBJECT_UNIT;
    object_far[slot] = !place_is_frame (place);
    object_at[slot] = object_far[slot] ? offset : at_arena + offset;
  }
}

static void
write_model (struct store *store, unsigned first, unsigned count,
             const struct store_placement *placement)
{
  for (unsigned i = first; i < first + count; ++i) {
    page_make (model[i], (enum page_kind) (i % PAGE_KINDS), i);
    PROMISE (store_write (store, model[i], 4096, i * UINT64_C (4096), placement)
             == 0);
  }
}

static void
write_back (struct server *server, int64_t cgroup)
{
  struct writeback_command command = { .cgroup = cgroup, .tier = -1 };
  struct writeback *writeback
      = writeback_start (server->store, &server->backings);
  struct writeback_counters done;

  PROMISE (writeback);
  (void) writeback_run (writeback, &command, &done);
  writeback_stop (writeback);
}

/* A third of the pages on the backing, a third in groups, and a third alone. */
static void
make_state (void)
{
  static const struct store_placement placements[]
      = { { 1, 1, 1, 0 }, { 0, 2, 0, 0 }, { 2, 1, 0, 0 } };
  struct server server;
  struct backing *backing;
  struct state *state;
  char *error;

  memory = memfd_create ("state", MFD_CLOEXEC);
  far_file = memfd_create ("far", MFD_CLOEXEC);
  PROMISE (memory != -1 && far_file != -1);
  PROMISE (fchmod (memory, 0600) == 0);
  snprintf (far_path, sizeof far_path, "/proc/self/fd/%d", far_file);
  PROMISE (server_start (&server, 0));
  state = store_state (server.store);
  at_table = (uint64_t) ((unsigned char *) state->table - state->base);
  at_words = (uint64_t) ((unsigned char *) state->words - state->base);
  at_wide = (uint64_t) ((unsigned char *) state->wide - state->base);
  at_touched = (uint64_t) ((unsigned char *) state->touched - state->base);
  at_cgroups = (uint64_t) ((unsigned char *) state->cgroups - state->base);
  at_arena = (uint64_t) ((unsigned char *) state->arena - state->base);
  at_parents = (uint64_t) ((unsigned char *) state->parents - state->base);
  PROMISE (backings_open (&config.backings[0], &backing, &error) == 0);
  PROMISE (backings_add (&server.backings, &config.backings[0], backing, true,
                         &error)
           == 0);
  state_set_cgroup (state, 1, 4711);
  state_set_cgroup (state, 2, 4712);
  write_model (server.store, 0, PAGES / 3, &placements[0]);
  write_back (&server, 1);
  write_model (server.store, PAGES / 3, PAGES / 3, &placements[1]);
  write_model (server.store, PAGES / 3 * 2, PAGES / 3, &placements[2]);
  note_objects (server.store);
  PROMISE (object_far[3] && !object_far[PAGES - 1]);
  /* Some are gone, but for their objects. */
  for (unsigned i = 5; i < PAGES; i += 16) {
    memset (model[i], 0, 4096);
    PROMISE (store_trim (server.store, 4096, i * UINT64_C (4096)) == 0);
  }
  server_end (&server);
  memory_length = lseek (memory, 0, SEEK_END);
  areas_count = copy_areas (memory, areas);
  far_areas_count = copy_areas (far_file, far_areas);
}

/* ---- damage ---- */

struct blow {
  unsigned part, way, kind, index;
  uint64_t value;
};

enum part {
  PART_CONSTANT, /* of the header, the checksum right again or not */
  PART_MARKS,
  PART_BACKING,
  PART_SEGMENT,
  PART_WORD,
  PART_WIDE,
  PART_TOUCHED,
  PART_CGROUP,
  PART_OBJECT,
  PART_FRAME,
  PART_LENGTH,
  PART_FAR_LENGTH,
  PARTS
};

/* Change BYTES at an offset: set, xor, add, or as they are elsewhere. */
static void
change_at (int fd, uint64_t offset, unsigned bytes, const struct blow *damage,
           uint64_t elsewhere)
{
  uint64_t value = 0;

  (void) !pread (fd, &value, bytes, (off_t) offset);
  switch (damage->way % 4) {
  case 0:
    value = damage->value;
    break;
  case 1:
    value ^= damage->value;
    break;
  case 2:
    value += damage->value;
    break;
  case 3:
    (void) !pread (fd, &value, bytes, (off_t) elsewhere);
  }
  PROMISE (pwrite (fd, &value, bytes, (off_t) offset) == bytes);
}

static void
damage_constant (const struct blow *damage)
{
  struct state_header header;
  size_t length = offsetof (struct state_header, generation);
  uint64_t at = damage->index % (length - 8);

  change_at (memory, at, 1u << damage->kind % 4, damage, at);
  if (damage->kind & 4)
    return;
  /* Another blow may have cut the file off. */
  if (pread (memory, &header, length, 0) != (ssize_t) length)
    return;
  header.checksum
      = XXH3_64bits (&header, offsetof (struct state_header, checksum));
  PROMISE (pwrite (memory, &header, length, 0) == (ssize_t) length);
}

static void
damage_marks (const struct blow *damage)
{
  static const size_t fields[] = {
    offsetof (struct state_header, generation),
    offsetof (struct state_header, owner),
    offsetof (struct state_header, segments_mark),
    offsetof (struct state_header, frames_mark),
    offsetof (struct state_header, cgroups_mark),
  };

  change_at (memory, fields[damage->kind % 5], 8, damage, fields[2]);
}

static void
damage_backing (const struct blow *damage)
{
  static const struct {
    size_t offset;
    unsigned bytes;
  } fields[] = {
    { offsetof (struct state_backing, present), 8 },
    { offsetof (struct state_backing, size), 8 },
    { offsetof (struct state_backing, mark), 8 },
    { offsetof (struct state_backing, identity), 8 },
    { offsetof (struct state_backing, identity) + 8, 8 },
    { offsetof (struct state_backing, kind), 4 },
    { offsetof (struct state_backing, encrypted), 4 },
    { offsetof (struct state_backing, key), 8 },
  };
  uint64_t record
      = offsetof (struct state_header, backings)
        + damage->index % STORE_BACKINGS * sizeof (struct state_backing);
  unsigned kind = damage->kind % 12;
  char text[STATE_PLACE_BYTES];
  size_t length = damage->value % (sizeof text + 1);

  harm.backing = true;
  if (kind < 8)
    change_at (memory, record + fields[kind].offset, fields[kind].bytes, damage,
               record);
  /* Texts are filled, perhaps to their end, with what names no file. */
  else {
    size_t room
        = kind & 1 ? sizeof text : sizeof ((struct state_backing *) 0)->name;

    memset (text, "Aa\n\377"[damage->way % 4], sizeof text);
    if (length > room)
      length = room;
    PROMISE (
        pwrite (memory, text, length,
                (off_t) (record
                         + (kind & 1 ? offsetof (struct state_backing, place)
                                     : offsetof (struct state_backing, name))))
        == (ssize_t) length);
  }
  /* A whole other one: a copy of the first. */
  if (kind == 11) {
    struct state_backing copy;

    PROMISE (pread (memory, &copy, sizeof copy,
                    offsetof (struct state_header, backings))
             == sizeof copy);
    PROMISE (pwrite (memory, &copy, sizeof copy, (off_t) record)
             == sizeof copy);
  }
}

static void
damage_segment (const struct blow *damage)
{
  static const struct {
    size_t offset;
    unsigned bytes;
  } fields[] = {
    { offsetof (struct segment, control), 8 },
    { offsetof (struct segment, contents), 8 },
    { offsetof (struct segment, place), 8 },
    { offsetof (struct segment, owner), 4 },
    { offsetof (struct segment, left), 8 },
    { offsetof (struct segment, older), 4 },
    { offsetof (struct segment, newer), 4 },
    { offsetof (struct segment, time), 4 },
    { offsetof (struct segment, referenced), 4 },
    { offsetof (struct segment, codec), 1 },
    { offsetof (struct segment, stream), 1 },
    { offsetof (struct segment, listed), 1 },
  };
  unsigned kind = damage->kind % 12;
  uint64_t record
      = at_table + damage->index % SEGMENTS * sizeof (struct segment);
  uint64_t other
      = at_table + damage->value % SEGMENTS * sizeof (struct segment);

  change_at (memory, record + fields[kind].offset, fields[kind].bytes, damage,
             other + fields[kind].offset);
}

static void
damage_word (const struct blow *damage)
{
  /* Some of slots that were never written to. */
  unsigned slot = damage->index % (damage->kind & 8 ? SLOTS : PAGES);
  uint64_t other = at_words + damage->value % PAGES * 8;
  struct blow made = *damage;

  if (damage->kind & 4) {
    made.way = 0;
    made.value = slot_member (
        damage->value % SEGMENTS, (uint32_t) (damage->value >> 8 & 0xffff),
        1 + (uint32_t) (damage->value >> 24 & 0xfff), 1 + damage->kind % 4);
  }
  change_at (memory, at_words + slot * UINT64_C (8), 8, &made, other);
}

/* A header, stored bytes, or both with a checksum that is right. */
static void
damage_object (const struct blow *damage)
{
  static const unsigned fields[] = { 0, 4, 8 }, lengths[] = { 4, 4, 2 };
  unsigned slot = damage->index % PAGES, kind = damage->kind % 4;
  int fd = object_far[slot] ? far_file : memory;
  const size_t room = OBJECT_HEADER + OBJECT_LENGTH_MOST;
  struct object *o;
  off_t at = (off_t) object_at[slot];

  if (!slot_is_object (words_made[slot]))
    return;
  harm.objects = true;
  if (object_far[slot])
    harm.backing = true;
  if (kind < 3)
    change_at (fd, (uint64_t) at + fields[kind], lengths[kind], damage,
               object_at[damage->value % PAGES] + fields[kind]);
  else
    change_at (fd,
               (uint64_t) at + OBJECT_HEADER
                   + (damage->value >> 32) % slot_length (words_made[slot]),
               1u << (damage->kind >> 4 & 3), damage, 0);
  if (kind != 1 && !(damage->kind & 8))
    return;
  harm.forged = true;
  o = calloc (1, room);
  PROMISE (o);
  (void) !pread (fd, o, room, at);
  if (damage->kind & 8)
    o->checksum = object_checksum (o->slot, o->bytes, object_length (o));
  PROMISE (pwrite (fd, o, OBJECT_HEADER, at) == OBJECT_HEADER);
  free (o);
}

static void
damage_one (const struct blow *damage)
{
  uint64_t at;

  if (damage->part % PARTS == PART_WORD || damage->part % PARTS == PART_SEGMENT)
    harm.far = true;
  switch (damage->part % PARTS) {
  case PART_CONSTANT:
    damage_constant (damage);
    break;
  case PART_MARKS:
    damage_marks (damage);
    break;
  case PART_BACKING:
    damage_backing (damage);
    break;
  case PART_SEGMENT:
    damage_segment (damage);
    break;
  case PART_WORD:
    damage_word (damage);
    break;
  case PART_WIDE:
    at = at_wide + damage->index % PAGES * UINT64_C (8);
    change_at (memory, at, 8, damage, at_wide + damage->value % PAGES * 8);
    break;
  case PART_TOUCHED:
    at = at_touched + damage->index % (SLOTS / SLOTS_GROUP);
    change_at (memory, at, 1, damage, at_touched);
    break;
  case PART_CGROUP:
    at = at_cgroups + damage->index * UINT64_C (8);
    if (damage->kind & 1) /* who is above it */
      change_at (memory, at_parents + damage->index * UINT64_C (2), 2, damage,
                 at_parents + 2);
    else
      change_at (memory, at, 8, damage, at_cgroups + 8);
    break;
  case PART_OBJECT:
    damage_object (damage);
    break;
  case PART_FRAME: /* of dead and free ones, too */
    at = at_arena + damage->kind % SEGMENTS * (uint64_t) FRAME_BYTES
         + damage->index * UINT64_C (4);
    change_at (memory, at, 8, damage, at_arena);
    harm.objects = harm.forged = true;
    break;
  case PART_LENGTH:
    PROMISE (ftruncate (memory, (off_t) (damage->value
                                         % (uint64_t) (memory_length + 1)))
             == 0);
    break;
  case PART_FAR_LENGTH:
    PROMISE (ftruncate (far_file,
                        (off_t) (damage->value % (EXTENTS * EXTENT_BYTES + 1)))
             == 0);
    harm.backing = true;
    break;
  }
}

/* ---- what must be true ---- */

static void
look_at_words (void)
{
  memset (words, 0, sizeof words);
  memset (wide, 0, sizeof wide);
  (void) !pread (memory, words, sizeof words, (off_t) at_words);
  (void) !pread (memory, wide, sizeof wide, (off_t) at_wide);
}

/* The store's threads may be at work on a segment: it is only left so if it is
 * for long.  One that was set aside, and told so, is for good.
 */
static bool
check_at_rest (struct store *store)
{
  for (unsigned tries = 0; tries < (set_aside ? 5000 : 60000); ++tries) {
    if (store_check (store) == 0)
      return true;
    if (!strstr (said, "claim was left"))
      return false;
    usleep (1000);
  }
  return set_aside;
}

/* The store's own check finds nothing wrong, but for the bytes of objects that
 * were damaged, and for words that point at an object of the backing, or its
 * header made anew there, which is looked at only when it comes from there:
 * LATER.
 */
static void
check_tables (struct store *store, bool later)
{
  PROMISE (check_at_rest (store)
           || (harm.objects && strstr (said, "wrong checksum"))
           || ((harm.far || harm.forged) && later
               && strstr (said, "another slot's object")));
}

static bool
is_filled (const unsigned char page[4096], uint64_t pattern)
{
  for (unsigned i = 0; i < 4096; i += 8)
    if (memcmp (page + i, &pattern, 8) != 0)
      return false;
  return true;
}

static bool
is_right (unsigned slot, const unsigned char page[4096], unsigned use)
{
  switch (slot_kind (words[slot])) {
  case SLOT_EMPTY:
    return is_filled (page, 0);
  case SLOT_SAME:
    return is_filled (page, slot_pattern (words[slot]));
  case SLOT_SAME_WIDE:
    return is_filled (page, wide[slot]);
  case SLOT_OBJECT:
    break;
  }
  if (harm.forged || (harm.objects && !(use & USE_VERIFY)))
    return true;
  /* One that is gone is nowhere but in its object. */
  if (slot % 16 == 5)
    return true;
  return memcmp (page, model[slot], 4096) == 0;
}

static void
check_reads (struct store *store, unsigned use, bool damaged)
{
  unsigned char page[4096];

  for (unsigned slot = 0; slot < PAGES; ++slot)
    if (store_read (store, page, 4096, slot * UINT64_C (4096)) == 0)
      PROMISE (is_right (slot, page, use));
    else {
      PROMISE (errno == EIO);
      PROMISE (damaged && slot_is_object (words[slot]));
    }
}

static void
made_page (unsigned char page[4096], unsigned seed, unsigned slot)
{
  page_make (page, (enum page_kind) ((seed + slot) % PAGE_KINDS),
             seed * 1000 + slot);
}

/* A server's life: what is written then is as safe as ever. */
static void
check_writes (struct server *server, unsigned use, unsigned seed)
{
  static const struct store_placement placement = { 0, 2, 1, 0 };
  unsigned char page[4096], expected[4096];
  bool written[PAGES] = { false };

  for (unsigned slot = seed % 3; slot < PAGES; slot += 2) {
    made_page (page, seed, slot);
    written[slot] = store_write (server->store, page, 4096,
                                 slot * UINT64_C (4096), &placement)
                    == 0;
    PROMISE (written[slot] || errno == ENOSPC);
  }
  PROMISE (store_trim (server->store, 16 * 4096, 32 * 4096) == 0);
  store_compact (server->store);
  if (use & USE_WRITEBACK)
    write_back (server, -1);
  for (unsigned slot = 0; slot < PAGES; ++slot) {
    int r = store_read (server->store, page, 4096, slot * UINT64_C (4096));

    if (slot >= 32 && slot < 48)
      PROMISE (r == 0 && is_filled (page, 0));
    else if (written[slot] && r == 0) {
      made_page (expected, seed, slot);
      PROMISE (memcmp (page, expected, 4096) == 0);
    }
    else if (written[slot])
      PROMISE (errno == EIO && harm.backing);
  }
  check_tables (server->store, true);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct server server;
  unsigned use = size > 0 ? data[0] : 0, seed = size > 1 ? data[1] : 0;
  unsigned damages = 0;

  if (memory == 0) {
    message_set_sink (be_quiet);
    make_state ();
  }
  put_areas (memory, memory_length, areas, areas_count);
  put_areas (far_file, EXTENTS * EXTENT_BYTES, far_areas, far_areas_count);
  memset (&harm, 0, sizeof harm);
  set_aside = false;
  for (size_t i = 2; i + 12 <= size && damages < DAMAGES; i += 12, ++damages) {
    struct blow damage = { .part = data[i] & 31,
                           .way = data[i] >> 5,
                           .kind = data[i + 1],
                           .index = data[i + 2] | data[i + 3] << 8 };

    memcpy (&damage.value, data + i + 4, 8);
    damage_one (&damage);
  }
  look_at_words ();
  if (!server_start (&server, use)) {
    PROMISE (damages > 0);
    return 0;
  }
  check_tables (server.store, false);
  check_reads (server.store, use, damages > 0);
  check_writes (&server, use, seed);
  server_end (&server);
  /* What was taken over is whole: the next one can go on, but for what was not
   * seen before.
   */
  if (use & USE_AGAIN) {
    if (server_start (&server, use)) {
      check_tables (server.store, harm.far);
      server_end (&server);
    }
    else
      PROMISE (harm.far);
  }
  return 0;
}
