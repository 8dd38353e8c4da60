/* SPDX-License-Identifier: BSD-3-Clause */
/* Following the hierarchy: which index is whose. */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/message.h"
#include "policy/cgroup-nodes.h"
#include "store/region.h"
#include "store/state.h"

#define NODES_BYTES (STORE_CGROUPS * sizeof (struct cgroup_node))

/* The id of "/" where there is no hierarchy: that of cgroup2's root. */
#define ROOT_ID 1

/* Pages of an index of which it is not known whose it was: no cgroup has an
 * id like this one plus the index.
 */
#define LOST_ID (UINT64_C (0xffffffff) << 32)

/* How often what is gone is given up, when it has pages no more; and how often
 * a hierarchy that cannot be watched is looked at.
 */
#define GONE_MILLISECONDS 1000
#define EMPTY_SECONDS 2
#define BLIND_MILLISECONDS 3000

static uint32_t
hash_of (const char *path)
{
  uint32_t hash = 2166136261;

  for (; *path; ++path)
    hash = (hash ^ (unsigned char) *path) * 16777619;
  return hash;
}

bool
cgroup_path_below (const char *path, const char *above)
{
  size_t length = strlen (above);

  return length == 1
         || (strncmp (path, above, length) == 0
             && (path[length] == '\0' || path[length] == '/'));
}

uint32_t
cgroup_nodes_find (const struct cgroups *c, const char *path)
{
  uint32_t hash = hash_of (path), high = cgroup_nodes_high (c);

  for (uint32_t i = 0; i < high; ++i)
    if (c->nodes[i].state == CGROUP_PRESENT && c->nodes[i].hash == hash
        && strcmp (c->nodes[i].path, path) == 0)
      return i;
  return CGROUP_NONE;
}

void
cgroup_nodes_apply (struct cgroups *c, uint32_t index)
{
  const struct cgroup_node *node = &c->nodes[index];
  const char *path = node->path || node->state != CGROUP_GONE
                         ? node->path
                         : c->nodes[node->heir].path;
  struct cgroup_policy policy
      = cgroup_rules_resolve (&c->rules, path ? path : "/");
  struct store_placement placement = {
    .cgroup = index,
    .prio = (uint8_t) policy.prio,
    .writeback_prio = (uint8_t) policy.writeback_prio,
    .writeback_size = (uint16_t) policy.writeback_size,
  };

  atomic_store (&c->table.records[index].placement, placement);
  store_set_cgroup_cap (c->store, index, policy.cap);
}

void
cgroup_nodes_apply_all (struct cgroups *c)
{
  uint32_t high;

  for (unsigned i = 0; i < c->rules.count; ++i)
    store_set_cap (c->store, c->rules.list[i].cap, c->rules.list[i].limit);
  cgroup_nodes_apply (c, 0);
  /* Those that come from here on copy "/" as it is now. */
  high = cgroup_nodes_high (c);
  for (uint32_t i = 1; i < high; ++i)
    if (cgroup_nodes_used (c, i))
      cgroup_nodes_apply (c, i);
  store_count_caps (c->store);
}

/* The index of the nearest ancestor of PATH that is there. */
static uint32_t
nearest_present (const struct cgroups *c, const char *path)
{
  char *above = path ? strdup (path) : NULL, *end;
  uint32_t index = CGROUP_NONE;

  while (above && index == CGROUP_NONE && (end = strrchr (above, '/'))
         && end > above) {
    *end = '\0';
    index = cgroup_nodes_find (c, above);
  }
  free (above);
  return index == CGROUP_NONE ? 0 : index;
}

/* The same for an index of which the path is not known, if the state knows who
 * was above it.
 */
static uint32_t
nearest_noted (const struct cgroups *c, uint32_t index)
{
  const struct state *state = store_state (c->store);
  uint32_t high = cgroup_nodes_high (c);

  for (uint32_t steps = 0; state && steps < high; ++steps) {
    index = state_parent (state, index);
    if (index == 0 || index >= high)
      break;
    if (c->nodes[index].state == CGROUP_PRESENT)
      return index;
  }
  return 0;
}

/* INDEX is gone: its pages, and what others left to it, are its heir's. */
static void
set_gone (struct cgroups *c, uint32_t index)
{
  struct cgroup_node *node = &c->nodes[index];
  uint32_t high = cgroup_nodes_high (c);

  node->state = CGROUP_GONE;
  node->heir
      = node->path ? nearest_present (c, node->path) : nearest_noted (c, index);
  c->gone++;
  store_set_heir (c->store, index, node->heir);
  if (!node->path)
    cgroup_nodes_apply (c, index);
  for (uint32_t i = 1; i < high; ++i)
    if (c->nodes[i].state == CGROUP_GONE && c->nodes[i].heir == index) {
      c->nodes[i].heir = node->heir;
      store_set_heir (c->store, i, node->heir);
      if (!c->nodes[i].path)
        cgroup_nodes_apply (c, i);
    }
}

static void
vanished (void *opaque, const char *path)
{
  struct cgroups *c = opaque;
  uint32_t high = cgroup_nodes_high (c);

  /* The root itself always is. */
  for (uint32_t i = 1; i < high; ++i)
    if (c->nodes[i].state == CGROUP_PRESENT
        && cgroup_path_below (c->nodes[i].path, path))
      set_gone (c, i);
}

static void
appeared (void *opaque, const char *path, uint64_t id)
{
  struct cgroups *c = opaque;
  uint32_t there = cgroup_nodes_find (c, path), index;
  struct cgroup_node *node;
  char *copy;
  bool new;

  index = strcmp (path, "/") == 0 ? 0 : cgroup_table_add (&c->table, id, &new);
  if (index == CGROUP_NONE) {
    if (!c->full)
      message (MESSAGE_WARNING,
               "there are more cgroups than %d: the pages of some have the "
               "policy of \"/\" and are counted as its own",
               STORE_CGROUPS);
    c->full = true;
    return;
  }
  node = &c->nodes[index];
  if (there == index) {
    node->seen = c->scans;
    return;
  }
  /* Another one was there before, under this name. */
  if (there != CGROUP_NONE)
    vanished (c, path);
  copy = strdup (path);
  if (!copy)
    return;
  free (node->path);
  node->path = copy;
  node->hash = hash_of (path);
  node->seen = c->scans;
  if (node->state == CGROUP_GONE)
    c->gone--;
  /* When it is gone once more, it is waited for anew. */
  node->empty = 0;
  node->state = CGROUP_PRESENT;
  store_set_heir (c->store, index, index);
  if (store_state (c->store) && index != 0)
    state_set_parent (store_state (c->store), index, nearest_present (c, path));
  cgroup_nodes_apply (c, index);
}

/* Look at everything; who was not met is gone. */
static void
scan (struct cgroups *c)
{
  uint32_t high;

  c->scans++;
  cgroup_tree_scan (c->tree);
  high = cgroup_nodes_high (c);
  for (uint32_t i = 1; i < high; ++i)
    if (c->nodes[i].state == CGROUP_PRESENT && c->nodes[i].seen != c->scans)
      set_gone (c, i);
}

/* Ids that tags came with, and that no folder is known of, up to index HIGH. */
static bool
any_unknown (const struct cgroups *c, uint32_t high)
{
  for (uint32_t i = 1; i < high; ++i)
    if (c->nodes[i].state == CGROUP_UNKNOWN && cgroup_nodes_used (c, i))
      return true;
  return false;
}

/* Who came before the last scan, below index HIGH, and was not met, was removed
 * before he was seen.
 */
static void
miss_unknown (struct cgroups *c, uint32_t high)
{
  for (uint32_t i = 1; i < high; ++i)
    if (c->nodes[i].state == CGROUP_UNKNOWN && cgroup_nodes_used (c, i))
      set_gone (c, i);
}

/* Learn what has happened.  ALL: whatever was told. */
static void
look (struct cgroups *c, bool all)
{
  uint32_t high = cgroup_nodes_high (c);

  all |= !cgroup_tree_read (c->tree) || cgroup_tree_blind (c->tree);
  if (!all && !any_unknown (c, high))
    return;
  scan (c);
  miss_unknown (c, high);
}

/* Leave nothing at an index for who has it next. */
static bool
retire (void *opaque, uint32_t index)
{
  struct cgroups *c = opaque;

  if (!store_cgroup_is_empty (c->store, index))
    return false;
  store_set_heir (c->store, index, index);
  store_set_cgroup_cap (c->store, index, 0);
  if (store_state (c->store))
    state_forget_parent (store_state (c->store), index);
  return true;
}

static time_t
seconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec + 1;
}

/* Give up those that are gone and have no pages any more. */
static void
give_up (struct cgroups *c)
{
  uint32_t high = cgroup_nodes_high (c);
  time_t now = seconds ();

  for (uint32_t i = 1; c->gone > 0 && i < high; ++i) {
    struct cgroup_node *node = &c->nodes[i];

    if (node->state != CGROUP_GONE)
      continue;
    store_seal_cgroup (c->store, i);
    if (!store_cgroup_is_empty (c->store, i)) {
      node->empty = 0;
      continue;
    }
    /* Whoever was about to copy something to it has done that by then. */
    if (node->empty == 0)
      node->empty = now;
    if (now - node->empty < EMPTY_SECONDS
        || !cgroup_table_remove (&c->table, i, retire, c))
      continue;
    free (node->path);
    *node = (struct cgroup_node){ .state = CGROUP_UNKNOWN };
    c->gone--;
  }
}

static void *
run (void *opaque)
{
  struct cgroups *c = opaque;
  struct pollfd polls[]
      = { { .fd = c->wake, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
  uint64_t count, asked;

  polls[1].fd = cgroup_tree_fd (c->tree);
  pthread_mutex_lock (&c->lock);
  while (!c->stop) {
    int wait = cgroup_tree_blind (c->tree) ? BLIND_MILLISECONDS : -1;

    if (c->gone > 0)
      wait = GONE_MILLISECONDS;
    pthread_mutex_unlock (&c->lock);
    poll (polls, 2, wait);
    (void) !read (c->wake, &count, sizeof count);
    pthread_mutex_lock (&c->lock);
    asked = c->asked;
    look (c, asked != c->done);
    give_up (c);
    c->done = asked;
    pthread_cond_broadcast (&c->looked);
  }
  pthread_mutex_unlock (&c->lock);
  return NULL;
}

static void
wake (struct cgroups *c)
{
  static const uint64_t one = 1;

  if (c->wake != -1)
    (void) !write (c->wake, &one, sizeof one);
}

void
cgroups_settle (struct cgroups *c)
{
  uint64_t mine;

  if (!c->running)
    return;
  pthread_mutex_lock (&c->lock);
  mine = ++c->asked;
  wake (c);
  while (c->done < mine && !c->stop)
    pthread_cond_wait (&c->looked, &c->lock);
  pthread_mutex_unlock (&c->lock);
}

/* Where ROOT is NULL and none is found, there is no tree. */
static int
open_tree (struct cgroups *c, const char *root)
{
  const struct cgroup_tree_events events = { appeared, vanished, c };
  char *found = root ? strdup (root) : cgroup_tree_find ();

  if (!found)
    return errno == ENOENT && !root ? 0 : -1;
  c->tree = cgroup_tree_open (found, &events);
  free (found);
  return c->tree ? 0 : -1;
}

static int
start (struct cgroups *c)
{
  sigset_t all, before;
  int error;

  c->wake = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (c->wake == -1)
    return -1;
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  error = pthread_create (&c->thread, NULL, run, c);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  c->running = error == 0;
  errno = error;
  return error ? -1 : 0;
}

/* Pages that outlived a server are whose they were: each index is given to the
 * id again that the state has for it.
 */
static void
restore (struct cgroups *c)
{
  struct state *state = store_state (c->store);
  uint32_t end = store_cgroups_end (c->store);

  if (!state)
    return;
  if (end < state_cgroups_end (state))
    end = state_cgroups_end (state);
  for (uint32_t i = 1; i < end; ++i) {
    uint64_t id = state_cgroup (state, i);

    if (id < LOST_ID && cgroup_table_restore (&c->table, i, id))
      continue;
    if (store_cgroup_is_empty (c->store, i)) {
      if (id != 0) {
        state_forget_parent (state, i);
        state_set_cgroup (state, i, 0);
      }
      continue;
    }
    /* It is the root now, or was lost before, or the like: "/" inherits it. */
    cgroup_table_restore (&c->table, i, LOST_ID + i);
    c->nodes[i].state = CGROUP_GONE;
    c->gone++;
    store_set_heir (c->store, i, 0);
  }
  cgroup_table_restored (&c->table);
}

struct cgroups *
cgroups_create (struct store *store, const char *root,
                const struct config *config)
{
  struct cgroups *c = calloc (1, sizeof *c);
  uint64_t id = 0;
  int error;

  if (!c)
    return NULL;
  c->store = store;
  c->wake = -1;
  pthread_mutex_init (&c->lock, NULL);
  pthread_cond_init (&c->looked, NULL);
  c->nodes = region_reserve (NODES_BYTES);
  if (!c->nodes || open_tree (c, root) == -1)
    goto failed;
  if (c->tree)
    id = cgroup_tree_root_id (c->tree);
  if (cgroup_table_create (&c->table, id ? id : ROOT_ID, store_state (store))
      == -1)
    goto failed;
  if (cgroup_rules_take (&c->rules, config) == -1)
    goto failed;
  c->nodes[0] = (struct cgroup_node){ .state = CGROUP_PRESENT,
                                      .hash = hash_of ("/"),
                                      .path = strdup ("/") };
  if (!c->nodes[0].path)
    goto failed;
  restore (c);
  cgroup_nodes_apply_all (c);
  if (c->tree) {
    uint32_t high = cgroup_nodes_high (c);

    scan (c);
    miss_unknown (c, high);
    /* Of what was there before, some has found its cap. */
    store_count_caps (store);
    if (start (c) == -1)
      goto failed;
  }
  return c;

failed:
  error = errno ? errno : ENOMEM;
  cgroups_free (c);
  errno = error;
  return NULL;
}

void
cgroups_free (struct cgroups *c)
{
  if (!c)
    return;
  if (c->running) {
    pthread_mutex_lock (&c->lock);
    c->stop = true;
    wake (c);
    pthread_mutex_unlock (&c->lock);
    pthread_join (c->thread, NULL);
  }
  if (c->wake != -1)
    close (c->wake);
  cgroup_tree_close (c->tree);
  cgroup_rules_free (&c->rules);
  if (c->table.records)
    for (uint32_t i = 0; i < cgroup_nodes_high (c); ++i)
      free (c->nodes[i].path);
  if (c->nodes)
    region_free (c->nodes, NODES_BYTES);
  cgroup_table_free (&c->table);
  pthread_mutex_destroy (&c->lock);
  pthread_cond_destroy (&c->looked);
  free (c);
}

struct store_placement
cgroups_root (struct cgroups *c)
{
  return atomic_load_explicit (&c->table.records[0].placement,
                               memory_order_relaxed);
}

struct store_placement
cgroups_enter (struct cgroups *c, uint64_t id)
{
  uint32_t index;
  bool new;

  if (id == 0)
    return cgroups_root (c);
  while ((index = cgroup_table_enter (&c->table, id)) == CGROUP_NONE) {
    if (cgroup_table_add (&c->table, id, &new) == CGROUP_NONE)
      return cgroups_root (c);
    if (new)
      wake (c);
  }
  return atomic_load_explicit (&c->table.records[index].placement,
                               memory_order_relaxed);
}

void
cgroups_leave (struct cgroups *c, const struct store_placement *placement)
{
  cgroup_table_leave (&c->table, placement->cgroup);
}

void
cgroups_configure (struct cgroups *c, const struct config *config)
{
  struct cgroup_rules rules;

  /* Out of memory: what was, stays. */
  if (cgroup_rules_take (&rules, config) == -1) {
    message (MESSAGE_ERROR, "the policies of cgroups were not changed: %m");
    return;
  }
  pthread_mutex_lock (&c->lock);
  for (unsigned i = 0; i < c->rules.count; ++i)
    store_set_cap (c->store, c->rules.list[i].cap, 0);
  cgroup_rules_free (&c->rules);
  c->rules = rules;
  cgroup_nodes_apply_all (c);
  pthread_mutex_unlock (&c->lock);
}
