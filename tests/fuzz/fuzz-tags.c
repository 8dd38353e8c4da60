/* SPDX-License-Identifier: BSD-3-Clause */
/* Tags from whoever gives them: the rings of the kernel's side with anything in
 * them and laid out in any way, and the structures that user space gives by the
 * FUSE tree's control file or the library.  Nothing is read outside of the
 * rings, draining ends however far apart their ends are, and the write of a
 * page takes a cgroup that a valid tag of that page was of, or none.  With tags
 * of user space alone, each page of them is accounted for.
 *
 *   1 byte     the rings: as the module's, as the BPF program's, as given, none
 *   24 bytes   as given: map_bytes (8), rings, records, first_ring, ring_bytes
 *   16 bytes   a step: what, ring, index (2 bytes), length (4), value (8)
 *   ...        further ones, at most STEPS
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/message.h"
#include "common/refuse.h"
#include "policy/device.h"
#include "policy/shim-source.h"
#include "policy/write.h"

extern int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define PROMISE(truth)                                                         \
  do {                                                                         \
    if (!(truth)) {                                                            \
      fprintf (stderr, "line %d: not true: %s\n", __LINE__, #truth);           \
      abort ();                                                                \
    }                                                                          \
  } while (0)

#define SIZE (UINT64_C (16) << 20) /* of the device */
#define MAP_MOST (UINT64_C (1) << 32)
#define RECORDS_MOST 1024 /* of all rings, that are looked at here */
#define GIVEN 8192
#define STEPS 400

static struct device device;

/* The kernel's side. */
static struct tierswap_geometry geometry;
static char *map; /* NULL: it is not open */

/* Every valid tag that there was. */
static struct tierswap_tag given[GIVEN];
static unsigned given_count;
static bool given_any; /* more than were noted */

static int
kernel_open (struct shim_source *source, const char *path, char **error)
{
  (void) path;
  source->fd = memfd_create ("rings", MFD_CLOEXEC);
  PROMISE (source->fd != -1);
  source->geometry = geometry;
  if (geometry.map_bytes > MAP_MOST
      || ftruncate (source->fd, (off_t) geometry.map_bytes) == -1) {
    close (source->fd);
    return refuse (error, ENOMEM, "no memory for rings");
  }
  if (geometry.map_bytes > 0) {
    map = mmap (NULL, geometry.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                source->fd, 0);
    PROMISE (map != MAP_FAILED);
  }
  return 0;
}

static void
kernel_close (struct shim_source *source)
{
  if (map)
    munmap (map, geometry.map_bytes);
  map = NULL;
  close (source->fd);
}

static int
kernel_watch (struct shim_source *source, dev_t disk, char **error)
{
  (void) source;
  if (minor (disk) % 4 == 3)
    return refuse (error, EEXIST, "it is watched already");
  return 0;
}

static const struct shim_source_kind kernel = {
  .open = kernel_open,
  .close = kernel_close,
  .watch = kernel_watch,
  .unwatch = kernel_watch,
};

static void
be_quiet (enum message_kind kind, const char *text)
{
  (void) kind;
  PROMISE (text[0] != '\0' && !strchr (text, '\n'));
}

static void
told (int result, char **error)
{
  if (result == 0)
    return;
  PROMISE (errno != 0 && *error);
  be_quiet (MESSAGE_ERROR, *error);
  free (*error);
  *error = NULL;
}

static void
note (const struct tierswap_tag *tag)
{
  if (given_count < GIVEN)
    given[given_count++] = *tag;
  else
    given_any = true;
}

static bool
is_valid (const struct tierswap_tag *tag)
{
  return tag->offset % 4096 == 0 && tag->length % 4096 == 0 && tag->length > 0
         && tag->length <= TIERSWAP_TAG_LENGTH_MAX && tag->cgroup != 0
         && tag->reserved == 0 && tag->offset <= UINT64_MAX - tag->length;
}

static bool
was_given (uint64_t offset, uint64_t cgroup)
{
  for (unsigned i = 0; i < given_count; ++i)
    if (given[i].cgroup == cgroup && offset >= given[i].offset
        && offset - given[i].offset < given[i].length)
      return true;
  return given_any;
}

/* ---- the rings ---- */

static struct tierswap_ring *
ring_of (unsigned number)
{
  uint64_t at = geometry.first_ring
                + (uint64_t) (number % geometry.rings) * geometry.ring_bytes;

  return at % 8 == 0 && at + sizeof (struct tierswap_ring) <= geometry.map_bytes
             ? (struct tierswap_ring *) (void *) (map + at)
             : NULL;
}

static struct tierswap_record *
record_of (unsigned ring, uint64_t index)
{
  struct tierswap_ring *r = ring_of (ring);
  struct tierswap_record *record;

  if (!r || geometry.records == 0)
    return NULL;
  record
      = (struct tierswap_record *) (void *) (r + 1) + index % geometry.records;
  return (char *) (record + 1) <= map + geometry.map_bytes ? record : NULL;
}

static void
drain (void)
{
  /* What is in the rings now is all that can be taken from them. */
  if (map && (uint64_t) geometry.rings * geometry.records <= RECORDS_MOST) {
    for (unsigned i = 0; i < geometry.rings; ++i)
      for (unsigned j = 0; j < geometry.records; ++j)
        if (record_of (i, j) && is_valid (&record_of (i, j)->tag))
          note (&record_of (i, j)->tag);
  }
  else if (map)
    given_any = true;
  shim_drain (device.shim);
}

/* As the kernel's side makes one. */
static void
make_tag (unsigned number, const struct tierswap_tag *tag)
{
  struct tierswap_rings *rings = (void *) map;
  struct tierswap_ring *ring = ring_of (number);
  struct tierswap_record *record;

  if (!ring || geometry.map_bytes < sizeof *rings)
    return;
  rings->sequence++;
  if (ring->head - ring->tail >= geometry.records) {
    ring->dropped++;
    return;
  }
  record = record_of (number, ring->head);
  if (record)
    *record = (struct tierswap_record){ rings->sequence, *tag };
  ring->head++;
}

/* Anything, in any field. */
static void
scribble (unsigned what, unsigned number, unsigned index, uint32_t length,
          uint64_t value)
{
  struct tierswap_ring *ring = ring_of (number);
  struct tierswap_record *record = record_of (number, index);

  if (!ring || !record)
    return;
  switch (what) {
  case 0:
    ring->head = value;
    break;
  case 1:
    ring->tail = value;
    break;
  case 2:
    ring->dropped = value;
    break;
  case 3:
    ring->high_water = value;
    break;
  case 4:
    if (geometry.map_bytes >= sizeof (struct tierswap_rings))
      ((struct tierswap_rings *) (void *) map)->sequence = value;
    break;
  case 5:
    record->sequence = value;
    break;
  case 6:
    record->tag.offset = value;
    break;
  case 7:
    record->tag.cgroup = value;
    break;
  case 8:
    record->tag.length = length;
    record->tag.reserved = (uint32_t) value;
    break;
  }
}

/* ---- the server ---- */

static uint64_t put_pages;

static void
give (const struct tierswap_tag *tag)
{
  bool inside = tag->offset <= SIZE && tag->length <= SIZE - tag->offset;
  int r;

  errno = 0;
  if (is_valid (tag))
    note (tag);
  r = device_tag (&device, tag, 1);
  PROMISE ((r == 0) == (is_valid (tag) && inside));
  PROMISE (r == 0 || errno == EINVAL);
  if (r == 0)
    put_pages += tag->length / 4096;
}

/* As a write does. */
static void
take (uint64_t offset, uint64_t count)
{
  offset %= SIZE;
  if (count > SIZE - offset)
    count = SIZE - offset;
  while (count > 0) {
    uint64_t cgroup, covered = 0;

    tags_take (device.tags, offset, count, &cgroup, &covered);
    PROMISE (covered > 0 && covered <= count);
    if (cgroup != 0)
      for (uint64_t at = offset - offset % 4096; at < offset + covered;
           at += 4096)
        PROMISE (was_given (at, cgroup));
    offset += covered;
    count -= covered;
  }
}

static void
step (const uint8_t *data)
{
  unsigned what = data[0] % 16, ring = data[1], index = data[2] | data[3] << 8;
  struct tierswap_tag tag = { .cgroup = index };
  uint32_t length;
  uint64_t value;
  struct shim_counts counts;
  char *error = NULL;

  memcpy (&length, data + 4, 4);
  memcpy (&value, data + 8, 8);
  /* Small numbers are pages. */
  tag.offset = value < 65536 ? value * 4096 : value;
  tag.length = length < 65536 ? length * 4096 : length;
  switch (what) {
  case 9:
    if (map)
      make_tag (ring, &tag);
    break;
  case 10:
    drain ();
    break;
  case 11:
    take (tag.offset, 1 + tag.length % (1 << 20));
    break;
  case 12:
  case 13:
    tag.reserved = ring / 255;
    give (&tag);
    break;
  case 14:
    shim_count (device.shim, &counts);
    break;
  case 15:
    if (index & 1)
      told (shim_watch (device.shim, makedev (43, index), &error), &error);
    else {
      drain ();
      told (shim_unwatch (device.shim, makedev (43, index), &error), &error);
    }
    break;
  default:
    if (map)
      scribble (what, ring, index, length, value);
  }
}

static void
set_geometry (unsigned kind, const uint8_t given_geometry[24])
{
  uint32_t parts[4];

  geometry = (struct tierswap_geometry){
    .rings = 3, .records = 16, .first_ring = 4096, .ring_bytes = 4096
  };
  if (kind == 1)
    geometry.records = 64;
  if (kind == 2) {
    memcpy (&geometry.map_bytes, given_geometry, 8);
    memcpy (parts, given_geometry + 8, sizeof parts);
    geometry.rings = parts[0];
    geometry.records = parts[1];
    geometry.first_ring = parts[2];
    geometry.ring_bytes = parts[3];
    if (geometry.rings == 0)
      geometry.rings = 1;
    /* What is not small only takes its time. */
    if (geometry.rings > 64 && geometry.rings <= 65536)
      geometry.rings = 64;
    return;
  }
  geometry.map_bytes
      = geometry.first_ring + (uint64_t) geometry.rings * geometry.ring_bytes;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct store_options options = { .size = SIZE,
                                   .pool_limit = 8 << 20,
                                   .tiers = { { 1, { CODEC_LZ4, 0 }, 0 } },
                                   .tiers_count = 1 };
  unsigned kind = size > 0 ? data[0] % 4 : 3;
  struct tags_counts counts;
  char *error = NULL;

  if (!device.store) {
    message_set_sink (be_quiet);
    PROMISE (store_create (&options, &device.store) == 0);
  }
  if (size < 25)
    return 0;
  given_count = 0;
  given_any = false;
  put_pages = 0;
  device.tags = tags_create ();
  set_geometry (kind, data + 1);
  device.shim = shim_create_from (device.tags, &kernel, NULL);
  PROMISE (device.tags && device.shim);
  if (kind != 3)
    told (shim_watch (device.shim, makedev (43, 0), &error), &error);
  data += 25;
  size -= 25;
  for (unsigned i = 0; i < STEPS && size >= 16; ++i, data += 16, size -= 16)
    /* No rings at all: only what user space does. */
    if (kind != 3 || (data[0] % 16 >= 10 && data[0] % 16 <= 14))
      step (data);
  tags_count (device.tags, &counts);
  if (kind == 3)
    PROMISE (counts.taken + counts.replaced + counts.lost + counts.waiting
             == put_pages);
  shim_free (device.shim);
  tags_free (device.tags);
  return 0;
}
