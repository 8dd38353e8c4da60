/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "common/refuse.h"
#include "store/internal.h"
#include "store/state.h"

#ifndef RAMFS_MAGIC
#define RAMFS_MAGIC 0x858458f6
#endif

#define MAGIC "tierswap"

/* How slot words are made up; another number for another making. */
#define SLOT_FORMAT 1

/* The file begins with the header, in the room of one frame, so that frames
 * are aligned in it; and ends with the arena, so that it can grow.
 */
#define HEADER_ROOM FRAME_BYTES
/* The second half of its room has the parents of cgroups. */
#define PARENTS_AT (HEADER_ROOM / 2)
_Static_assert(sizeof (struct state_header) <= PARENTS_AT, "header");
_Static_assert(STORE_CGROUPS * sizeof (uint16_t) <= HEADER_ROOM - PARENTS_AT,
               "parents");

/* A server that was killed has its memory to unmap before it lets go of the
 * file; one that looks alive for so long is not about to end.
 */
#define LOCK_PATIENCE 600 /* times LOCK_PAUSE */
#define ALIVE_PATIENCE 40
#define LOCK_PAUSE 25 /* milliseconds */

/* What the file takes beside the pool: frames in reserve and those that the
 * cleaner overdraws, and the header.
 */
#define ROOM_BESIDE (UINT64_C (128) * FRAME_BYTES)

/* ---- the file system ---- */

#define REMEDY                                                                 \
  "mount memory for it with 'mount -t tmpfs -o noswap,mode=0700 tierswap "     \
  "DIRECTORY' (Linux 6.4 or later) or 'mount -t ramfs -o mode=0700 tierswap "  \
  "DIRECTORY'"

/* Is the tmpfs of DEVICE mounted with noswap?  /proc tells by device.  -1 with
 * errno: it does not tell.
 */
static int
mounted_noswap (dev_t device)
{
  FILE *mounts = fopen ("/proc/self/mountinfo", "re");
  char *line = NULL, *options;
  size_t room = 0;
  unsigned major, minor;
  bool found = false, failed;

  if (!mounts)
    return -1;
  while (!found && getline (&line, &room, mounts) != -1) {
    if (sscanf (line, "%*d %*d %u:%u", &major, &minor) != 2
        || makedev (major, minor) != device)
      continue;
    /* " - tmpfs SOURCE OPTIONS" */
    options = strstr (line, " - tmpfs ");
    options = options ? strrchr (options, ' ') : NULL;
    if (!options)
      continue;
    options[strcspn (options, "\n")] = '\0';
    for (char *option = strtok (options + 1, ","); option;
         option = strtok (NULL, ","))
      found |= strcmp (option, "noswap") == 0;
  }
  failed = !found && ferror (mounts);
  free (line);
  fclose (mounts);
  if (failed)
    errno = EIO;
  return failed ? -1 : found;
}

/* Is what FD is on memory that is never swapped out? */
static int
check_memory (int fd, const char *path, char **error)
{
  struct statfs fs;
  struct stat st;
  int noswap;

  if (fstatfs (fd, &fs) == -1 || fstat (fd, &st) == -1)
    return refuse (error, errno, "pool.state: %s: %s", path, strerror (errno));
  switch ((unsigned long) fs.f_type) {
  case RAMFS_MAGIC:
    return 0;
  case TMPFS_MAGIC:
    noswap = mounted_noswap (st.st_dev);
    if (noswap == -1)
      return refuse (error, errno,
                     "pool.state: how the file system of %s is mounted cannot "
                     "be told: /proc/self/mountinfo: %s",
                     path, strerror (errno));
    if (noswap)
      return 0;
    return refuse (
        error, ENOTSUP,
        "pool.state: %s is on a tmpfs that can be swapped out, which "
        "would wait for this very server; " REMEDY,
        path);
  case HUGETLBFS_MAGIC:
    return refuse (error, ENOTSUP,
                   "pool.state: %s is on hugetlbfs, whose pages are too large "
                   "to give single segments back; " REMEDY,
                   path);
  default:
    return refuse (
        error, ENOTSUP,
        "pool.state: %s is not on memory: its pages would be freed "
        "by writing them to a disk, which may need memory itself and "
        "wait for this very server; " REMEDY,
        path);
  }
}

static uint64_t
room_of (int fd)
{
  struct statfs fs;
  struct stat st;

  if (fstatfs (fd, &fs) == -1 || fstat (fd, &st) == -1 || fs.f_blocks == 0)
    return UINT64_MAX;
  return (uint64_t) fs.f_bavail * (uint64_t) fs.f_bsize
         + (uint64_t) st.st_blocks * 512;
}

int
state_check_room (const struct state *state, uint64_t pool_limit, char **error)
{
  uint64_t needed = pool_limit + ROOM_BESIDE;

  if (room_of (state->fd) >= needed)
    return 0;
  return refuse (error, ENOSPC,
                 "pool.state: the file system of %s has room for %llu bytes, "
                 "the pool needs %llu; make it larger with 'mount -o "
                 "remount,size=%llu' or lower pool.limit",
                 state->path, (unsigned long long) room_of (state->fd),
                 (unsigned long long) needed, (unsigned long long) needed);
}

int
state_check (const char *path, char **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), r;
  struct stat st;
  char *copy;

  *error = NULL;
  if (fd == -1 && errno == ENOENT) {
    copy = strdup (path);
    if (!copy)
      return -1;
    fd = open (dirname (copy), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    free (copy);
  }
  else if (fd != -1 && fstat (fd, &st) == 0 && !S_ISREG (st.st_mode)) {
    close (fd);
    return refuse (error, EINVAL, "pool.state: %s is not a regular file", path);
  }
  if (fd == -1)
    return refuse (error, errno, "pool.state: cannot open %s: %s", path,
                   strerror (errno));
  r = check_memory (fd, path, error);
  close (fd);
  return r;
}

/* ---- the header ---- */

static uint64_t
header_checksum (const struct state_header *header)
{
  return XXH3_64bits (header, offsetof (struct state_header, checksum));
}

static struct state_header
new_header (uint64_t size)
{
  struct state_header header = {
    .version = STATE_VERSION,
    .compatible = STATE_VERSION,
    .slots = size / PAGE_BYTES,
    .segments = SEGMENTS_MOST,
    .segment_bytes = SEGMENT_BYTES,
    .record_bytes = sizeof (struct segment),
    .object_header = OBJECT_HEADER,
    .object_unit = OBJECT_UNIT,
    .slot_format = SLOT_FORMAT,
  };

  memcpy (header.magic, MAGIC, sizeof header.magic);
  snprintf (header.writer, sizeof header.writer, "%s", PACKAGE_VERSION);
  header.checksum = header_checksum (&header);
  return header;
}

static int
check_header (const char *path, const struct state_header *found, uint64_t size,
              char **error)
{
  struct state_header expected = new_header (size);

  if (memcmp (found->magic, MAGIC, sizeof found->magic) != 0)
    return refuse (error, EINVAL,
                   "pool.state: %s is not a state of tierswap; name another "
                   "file",
                   path);
  if (found->checksum != header_checksum (found))
    return refuse (
        error, EUCLEAN,
        "pool.state: the header of %s is damaged; remove the file to "
        "start without the pages in it",
        path);
  if (found->compatible > STATE_VERSION || found->version < STATE_OLDEST)
    return refuse (
        error, EPROTO,
        "pool.state: %s was written by tierswap %.*s in format %u, which needs "
        "a server of format %u or later that still reads %u; this one, %s, "
        "reads formats %d to %d; start that version again, or remove the file "
        "to start without the pages in it",
        path, (int) strnlen (found->writer, sizeof found->writer),
        found->writer, found->version, found->compatible, found->version,
        PACKAGE_VERSION, STATE_OLDEST, STATE_VERSION);
  if (found->segments != expected.segments
      || found->segment_bytes != expected.segment_bytes
      || found->record_bytes != expected.record_bytes
      || found->object_header != expected.object_header
      || found->object_unit != expected.object_unit
      || found->slot_format != expected.slot_format)
    return refuse (error, EPROTO,
                   "pool.state: %s was written by a tierswap, %.*s, that was "
                   "built otherwise; start that one again, or remove the file "
                   "to start without the pages in it",
                   path, (int) strnlen (found->writer, sizeof found->writer),
                   found->writer);
  if (found->slots != expected.slots)
    return refuse (error, EINVAL,
                   "pool.state: %s is of a device of %llu bytes, not %llu; "
                   "give that size, or remove the file to start without the "
                   "pages in it",
                   path, (unsigned long long) found->slots * PAGE_BYTES,
                   (unsigned long long) size);
  return 0;
}

/* Does the process that has the file look as if it went on?  One that was
 * killed is a zombie, or has PF_EXITING among its flags, or will soon.
 */
static bool
looks_alive (pid_t process)
{
  char path[64], line[512], state;
  unsigned flags;
  FILE *stat;
  bool alive = false;
  const char *end;

  snprintf (path, sizeof path, "/proc/%d/stat", (int) process);
  stat = fopen (path, "re");
  if (!stat)
    return false;
  if (fgets (line, sizeof line, stat) && (end = strrchr (line, ')')) != NULL
      && sscanf (end, ") %c %*d %*d %*d %*d %*d %u", &state, &flags) == 2)
    alive = state != 'Z' && state != 'X' && !(flags & 4);
  fclose (stat);
  return alive;
}

/* Take the lock; *OWNER is who has it, if it is not to be had. */
static int
lock (int fd, pid_t *owner)
{
  unsigned alive = 0;

  for (unsigned tries = 0; flock (fd, LOCK_EX | LOCK_NB) == -1; ++tries) {
    struct state_header header = { .owner = 0 };

    if (errno != EWOULDBLOCK) {
      *owner = -1;
      return -1;
    }
    *owner = pread (fd, &header, offsetof (struct state_header, backings), 0)
                     == (ssize_t) offsetof (struct state_header, backings)
                 ? (pid_t) header.owner
                 : 0;
    if (*owner > 0 && looks_alive (*owner))
      alive++;
    else
      alive = 0;
    if (alive == ALIVE_PATIENCE || tries == LOCK_PATIENCE) {
      if (*owner < 0)
        *owner = 0;
      errno = EBUSY;
      return -1;
    }
    nanosleep (&(struct timespec){ 0, LOCK_PAUSE * 1000000 }, NULL);
  }
  return 0;
}

/* Before the file has any other content.  A part of it would be taken for
 * somebody else's file.
 */
static int
write_header (int fd, uint64_t size)
{
  struct state_header header = new_header (size);
  size_t length = offsetof (struct state_header, generation), done = 0;

  while (done < length) {
    ssize_t n = pwrite (fd, (const char *) &header + done, length - done,
                        (off_t) done);
    int saved_errno = n == 0 ? ENOSPC : errno;

    if (n > 0)
      done += (size_t) n;
    else if (n == 0 || saved_errno != EINTR) {
      (void) !ftruncate (fd, 0);
      errno = saved_errno;
      return -1;
    }
  }
  return 0;
}

/* What begins every state. */
static int
read_at_start (int fd, void *header, size_t length, const char *path,
               char **error)
{
  ssize_t n;

  do
    n = pread (fd, header, length, 0);
  while (n == -1 && errno == EINTR);
  if (n == -1)
    return refuse (error, errno, "pool.state: cannot read %s: %s", path,
                   strerror (errno));
  if ((size_t) n != length)
    return refuse (error, EINVAL,
                   "pool.state: %s is not a state of tierswap; name another "
                   "file",
                   path);
  return 0;
}

static int
read_header (struct state *state, uint64_t size, char **error)
{
  struct state_header header = { .version = 0 };
  size_t length = offsetof (struct state_header, generation);
  struct stat st;

  if (fstat (state->fd, &st) == -1)
    return refuse (error, errno, "pool.state: %s: %s", state->path,
                   strerror (errno));
  if (!S_ISREG (st.st_mode))
    return refuse (error, EINVAL, "pool.state: %s is not a regular file",
                   state->path);
  if (st.st_mode & 0077)
    return refuse (error, EPERM,
                   "pool.state: others than its owner may open %s, which holds "
                   "the memory of programs; 'chmod 600' it, or remove it",
                   state->path);
  if (st.st_uid != geteuid () && st.st_uid != 0)
    return refuse (error, EPERM,
                   "pool.state: %s belongs to another user, who may read what "
                   "it holds, the memory of programs; 'chown' it, or remove it",
                   state->path);
  if (st.st_size == 0) {
    if (write_header (state->fd, size) == -1)
      return refuse (error, errno, "pool.state: cannot write %s: %s",
                     state->path, strerror (errno));
    return 0;
  }
  if (read_at_start (state->fd, &header, length, state->path, error) == -1)
    return -1;
  if (check_header (state->path, &header, size, error) == -1)
    return -1;
  state->found = true;
  return 0;
}

int
state_look (const char *path, uint64_t size, pid_t *owner, char **error)
{
  struct state_header header = { .version = 0 };
  size_t length = offsetof (struct state_header, backings);
  int fd, r;

  if (state_check (path, error) == -1)
    return -1;
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd == -1)
    return refuse (error, errno, "pool.state: cannot open %s: %s", path,
                   strerror (errno));
  r = read_at_start (fd, &header, length, path, error);
  if (r == 0)
    r = check_header (path, &header, size, error);
  *owner = (pid_t) atomic_load (&header.owner);
  close (fd);
  return r;
}

int
state_open_file (int fd, const char *path, uint64_t size, struct state **result,
                 char **error)
{
  struct state *state = calloc (1, sizeof *state);
  pid_t owner = 0;
  int saved_errno;

  *error = NULL;
  if (!state || !(state->path = strdup (path))) {
    free (state);
    close (fd);
    return refuse (error, ENOMEM, "pool.state: out of memory");
  }
  state->fd = fd;
  state->can_release = true;
  if (lock (fd, &owner) == -1 && errno == EBUSY)
    refuse (error, EBUSY,
            "pool.state: another server, process %d, has %s; stop it, or give "
            "each its own",
            (int) owner, path);
  else if (owner == -1)
    refuse (error, errno, "pool.state: cannot lock %s: %s", path,
            strerror (errno));
  else if (read_header (state, size, error) == 0) {
    *result = state;
    return 0;
  }
  saved_errno = errno;
  state_close (state);
  errno = saved_errno;
  return -1;
}

int
state_open (const char *path, uint64_t size, struct state **state, char **error)
{
  int fd;

  if (state_check (path, error) == -1)
    return -1;
  fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd == -1)
    return refuse (error, errno, "pool.state: cannot open %s: %s", path,
                   strerror (errno));
  /* It may have been another one when it was looked at. */
  if (check_memory (fd, path, error) == -1) {
    int saved_errno = errno;

    close (fd);
    errno = saved_errno;
    return -1;
  }
  return state_open_file (fd, path, size, state, error);
}

/* ---- the mapping ---- */

static uint64_t
rounded (uint64_t bytes)
{
  return (bytes + FRAME_BYTES - 1) / FRAME_BYTES * FRAME_BYTES;
}

/* Place the parts one after another; the length of all. */
static uint64_t
lay_out (struct state *state, uint64_t slots)
{
  uint64_t groups = (slots + SLOTS_GROUP - 1) / SLOTS_GROUP;
  struct {
    void **part;
    uint64_t bytes;
  } parts[] = {
    { (void **) &state->header, HEADER_ROOM },
    { &state->table, (uint64_t) SEGMENTS_MOST * sizeof (struct segment) },
    { &state->words, slots * sizeof (slot_word) },
    { &state->wide, slots * sizeof (uint64_t) },
    { &state->touched, groups },
    { &state->cgroups, STORE_CGROUPS * sizeof (uint64_t) },
    { &state->arena, (uint64_t) state->frames * FRAME_BYTES },
  };
  uint64_t offset = 0;

  for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
    if (state->base)
      *parts[i].part = state->base + offset;
    offset += rounded (parts[i].bytes);
  }
  return offset;
}

/* Those of cgroups are of no use if a server had the state since that does not
 * keep them: indexes are of others by now.
 */
static void
take_parents (struct state *state, uint64_t generation)
{
  struct state_header *header = state->header;

  state->parents = state->base + PARENTS_AT;
  if (atomic_load (&header->parents_kept) != generation)
    for (uint32_t i = 0; i < state_cgroups_end (state) && i < STORE_CGROUPS;
         ++i)
      state_set_parent (state, i, 0);
  atomic_store (&header->parents_kept, generation + 1);
}

int
state_map (struct state *state, uint32_t frames)
{
  struct state_header header = { .slots = 0 };
  struct stat st;
  void *base;

  if (pread (state->fd, &header, sizeof header, 0) == -1
      || fstat (state->fd, &st) == -1)
    return -1;
  /* What was used has its room, whatever the limit is now. */
  if (atomic_load (&header.frames_mark) > INT32_MAX) {
    errno = EUCLEAN;
    return -1;
  }
  state->frames = (uint32_t) atomic_load (&header.frames_mark);
  if (state->frames > 0
      && (uint64_t) st.st_size < lay_out (state, header.slots)) {
    errno = EUCLEAN;
    return -1;
  }
  if (state->frames < frames)
    state->frames = frames;
  state->length = lay_out (state, header.slots);
  if ((uint64_t) st.st_size < state->length
      && ftruncate (state->fd, (off_t) state->length) == -1)
    return -1;
  base = mmap (NULL, state->length, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_NORESERVE, state->fd, 0);
  if (base == MAP_FAILED)
    return -1;
  madvise (base, state->length, MADV_NOHUGEPAGE);
  madvise (base, state->length, MADV_DONTDUMP);
  state->base = base;
  lay_out (state, header.slots);
  if (!state->found)
    atomic_store (&state->header->stamps, segments_first_stamp ());
  take_parents (state, atomic_fetch_add (&state->header->generation, 1));
  atomic_store (&state->header->owner, getpid ());
  return 0;
}

int
state_release (struct state *state, void *start, size_t length)
{
  off_t offset = (unsigned char *) start - state->base;

  if (!state->can_release) {
    errno = EOPNOTSUPP;
    return -1;
  }
  if (fallocate (state->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                 (off_t) length)
      == 0)
    return 0;
  /* ramfs cannot; what was taken once is kept for the next use. */
  if (errno == EOPNOTSUPP)
    state->can_release = false;
  return -1;
}

void
state_close (struct state *state)
{
  if (!state)
    return;
  if (state->base) {
    atomic_store (&state->header->owner, 0);
    munmap (state->base, state->length);
  }
  close (state->fd);
  free (state->path);
  free (state);
}

/* ---- the backings ---- */

int
state_add_backing (struct state *state, unsigned index,
                   const struct backing *backing, char **error)
{
  struct state_backing *record = &state->header->backings[index];
  const char *place = backing_place (backing);
  const unsigned char *key = backing_key (backing);

  if (strlen (place) >= sizeof record->place
      || strlen (backing_name (backing)) >= sizeof record->name)
    return refuse (error, ENAMETOOLONG,
                   "backing %s: its name or place is too long to be kept in "
                   "the state; make it shorter",
                   backing_name (backing));
  record->identity = backing_identity (backing);
  record->kind = backing_kind (backing);
  record->encrypted = key != NULL;
  if (key)
    memcpy (record->key, key, BACKING_KEY_BYTES);
  strcpy (record->name, backing_name (backing));
  strcpy (record->place, place);
  atomic_store (&record->size, backing_extents (backing) * EXTENT_BYTES);
  atomic_store (&record->mark, 0);
  atomic_store (&record->present, 1);
  return 0;
}

void
state_remove_backing (struct state *state, unsigned index)
{
  struct state_backing *record = &state->header->backings[index];

  atomic_store (&record->present, 0);
  explicit_bzero (record->key, sizeof record->key);
}

void
state_resize_backing (struct state *state, unsigned index, uint64_t size)
{
  atomic_store (&state->header->backings[index].size, size);
}

const struct state_backing *
state_backing (const struct state *state, unsigned index)
{
  const struct state_backing *record = &state->header->backings[index];

  return atomic_load (&record->present) ? record : NULL;
}

/* ---- the cgroups ---- */

void
state_set_cgroup (struct state *state, uint32_t index, uint64_t id)
{
  _Atomic uint64_t *ids = state->cgroups;

  state_raise (&state->header->cgroups_mark, index);
  atomic_store (&ids[index], id);
}

uint64_t
state_cgroup (const struct state *state, uint32_t index)
{
  _Atomic uint64_t *ids = state->cgroups;

  /* What was never written to is not touched: that would take memory. */
  return index < state_cgroups_end (state) ? atomic_load (&ids[index]) : 0;
}

uint32_t
state_cgroups_end (const struct state *state)
{
  return (uint32_t) atomic_load (&state->header->cgroups_mark);
}

void
state_set_parent (struct state *state, uint32_t index, uint32_t parent)
{
  _Atomic uint16_t *parents = state->parents;

  /* What was never written to is not touched. */
  if (atomic_load (&parents[index]) != parent)
    atomic_store (&parents[index], (uint16_t) parent);
}

uint32_t
state_parent (const struct state *state, uint32_t index)
{
  _Atomic uint16_t *parents = state->parents;

  return atomic_load (&parents[index]);
}

void
state_forget_parent (struct state *state, uint32_t index)
{
  uint32_t parent = state_parent (state, index),
           end = state_cgroups_end (state);

  for (uint32_t i = 1; i < end; ++i)
    if (state_parent (state, i) == index)
      state_set_parent (state, i, parent);
  state_set_parent (state, index, 0);
}

_Atomic uint32_t *
state_stamps (struct state *state)
{
  return state->header->version < STATE_STAMPS ? NULL : &state->header->stamps;
}
