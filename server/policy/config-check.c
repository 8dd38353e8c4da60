/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backing/backing.h"
#include "policy/config-cgroup.h"
#include "policy/config-check.h"
#include "policy/config-size.h"
#include "policy/config-value.h"
#include "store/store.h"

#define PRIOS 4 /* 1 to 4, of tiers and of backings */
#define LONGEST_NAME 32
#define PAGES(bytes) ((bytes) - (bytes) % PAGE_BYTES)

struct check {
  cfg_t *file;
  uint64_t memory; /* bytes */
  struct config *config;
  struct config_report *report;
};

/* The section KIND if there is one, which may be there once. */
static int
find_single (const struct check *check, const char *kind, cfg_t **section)
{
  *section = cfg_size (check->file, kind) > 0
                 ? cfg_getnsec (check->file, kind, 0)
                 : NULL;
  if (cfg_size (check->file, kind) > 1)
    return config_refuse (check->report,
                          cfg_getnsec (check->file, kind, 1)->line,
                          "there is a section %s in line %d already; "
                          "put all its options there",
                          kind, (*section)->line);
  return 0;
}

static int
check_name (const struct check *check, const cfg_t *section)
{
  size_t length = strlen (section->title);

  if (length < 1 || length > LONGEST_NAME
      || strspn (section->title, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789_-")
             != length)
    return config_refuse (check->report, section->line,
                          "\"%s\" cannot be the name of a %s; write 1 to %d "
                          "letters, digits, _ and -",
                          config_excerpt (section->title).text, section->name,
                          LONGEST_NAME);
  if (strcmp (section->title, "stats") == 0)
    return config_refuse (check->report, section->line,
                          "the name \"stats\" is that of the statistics; "
                          "give the %s another",
                          section->name);
  return 0;
}

/* The prio of a tier or backing, that no other of its kind has: TAKEN is the
 * lines of those that have it, by prio.
 */
static int
check_prio (const struct check *check, cfg_t *section, int taken[PRIOS + 1],
            unsigned *prio)
{
  const struct config_setting *setting = config_setting (section, "prio");
  char others[32] = "";

  if (setting == NULL)
    return config_refuse (check->report, section->line,
                          "%s \"%s\" has no prio; write prio = 1 to %d in it",
                          section->name, section->title, PRIOS);
  if (config_value_number (section, "prio", 1, PRIOS, prio, check->report)
      == -1)
    return -1;
  if (taken[*prio] == 0) {
    taken[*prio] = setting->line;
    return 0;
  }
  for (unsigned other = 1; other <= PRIOS; other++)
    if (taken[other] == 0)
      snprintf (others + strlen (others), sizeof others - strlen (others),
                "%s%u", others[0] != '\0' ? ", " : "", other);
  return config_refuse (check->report, setting->line,
                        "prio %u is that of the %s in line %d; not taken "
                        "so far: %s",
                        *prio, section->name, taken[*prio], others);
}

static int
check_count (const struct check *check, const char *kind, unsigned most)
{
  if (cfg_size (check->file, kind) > most)
    return config_refuse (
        check->report, cfg_getnsec (check->file, kind, most)->line,
        "this is one %s too many; at most %u are allowed", kind, most);
  return 0;
}

static int
check_size (const struct check *check)
{
  struct config_size_rule rule = {
    .memory = check->memory,
    .least = PAGE_BYTES,
    .most = INT64_MAX,
    .remedy = "write the size of the device, such as \"200%\"",
    .whole_pages = true,
  };

  check->config->size = 2 * PAGES (check->memory);
  return config_value_size (check->file, "size", &rule, &check->config->size,
                            check->report);
}

static int
check_shim (const struct check *check)
{
  const struct config_setting *setting = config_setting (check->file, "shim");
  char **shim = &check->config->shim;

  if (setting == NULL || setting->text[0] == '\0')
    return 0;
  if (setting->text[0] != '/' && strcmp (setting->text, "bpf") != 0)
    return config_refuse (check->report, setting->line,
                          "there is no shim \"%s\"; write \"bpf\", or the "
                          "whole path of the module's device",
                          config_excerpt (setting->text).text);
  *shim = strdup (setting->text);
  return *shim != NULL ? 0 : config_refuse_memory (check->report);
}

static int
check_pool (const struct check *check)
{
  struct config *config = check->config;
  struct config_size_rule rule = {
    .memory = check->memory,
    .least = CONFIG_POOL_LEAST,
    .most = check->memory,
    .most_is = "the memory of this machine",
    .remedy = "write the memory of all tiers together, such as \"50%\"",
    .whole_pages = true,
  };
  cfg_t *section;

  config->pool_limit = PAGES (PAGES (check->memory) / 2);
  if (config->pool_limit < CONFIG_POOL_LEAST)
    config->pool_limit = CONFIG_POOL_LEAST;
  if (find_single (check, "pool", &section) == -1)
    return -1;
  if (section == NULL)
    return 0;
  if (config_value_size (section, "limit", &rule, &config->pool_limit,
                         check->report)
          == -1
      || config_value_bool (section, "verify", &config->verify, check->report)
             == -1
      || config_value_bool (section, "wipe", &config->wipe, check->report)
             == -1)
    return -1;
  return config_value_path (section, "state", &config->state, check->report);
}

static int
refuse_codec (const struct check *check, int line, const char *what)
{
  char names[128] = "";

  for (int kind = 0; kind < CODEC_KINDS; kind++)
    snprintf (names + strlen (names), sizeof names - strlen (names), "%s%s",
              kind == 0                 ? ""
              : kind == CODEC_KINDS - 1 ? " or "
                                        : ", ",
              codec_name ((enum codec_kind) kind));
  return config_refuse (check->report, line, "%s; write codec = %s", what,
                        names);
}

static int
check_codec (const struct check *check, cfg_t *section, struct codec *codec)
{
  const struct config_setting *name = config_setting (section, "codec");
  const struct config_setting *level = config_setting (section, "level");
  int least, most;
  char what[128], *end;
  long value;

  if (name == NULL) {
    snprintf (what, sizeof what, "tier \"%s\" has no codec", section->title);
    return refuse_codec (check, section->line, what);
  }
  if (codec_find (name->text, &codec->kind) == -1) {
    snprintf (what, sizeof what, "there is no codec \"%s\"",
              config_excerpt (name->text).text);
    return refuse_codec (check, name->line, what);
  }

  codec->level = 0; /* which is the default of each of them */
  if (level == NULL)
    return 0;
  errno = 0;
  value = strtol (level->text, &end, 10);
  codec_levels (codec->kind, &least, &most);
  if (*end != '\0' || end == level->text || errno != 0 || value < least
      || value > most)
    return config_refuse (check->report, level->line,
                          "level is \"%s\"; with %s it must be a whole number "
                          "from %d to %d",
                          config_excerpt (level->text).text, name->text, least,
                          most);
  codec->level = (int) value;
  return 0;
}

static int
check_tier (const struct check *check, cfg_t *section, struct config_tier *tier)
{
  const struct config_setting *limit = config_setting (section, "limit");
  struct config_size_rule rule = {
    .memory = check->memory,
    .least = EXTENT_BYTES, /* a segment */
    .most = check->memory,
    .most_is = "the memory of this machine",
    .remedy = "leave it out for no limit but that of the pool",
    .whole_pages = true,
  };

  if (check_codec (check, section, &tier->codec) == -1
      || config_value_size (section, "limit", &rule, &tier->limit,
                            check->report)
             == -1)
    return -1;
  if (limit != NULL && tier->limit > check->config->pool_limit)
    return config_refuse (
        check->report, limit->line,
        "limit \"%s\" is more than that of the pool; write \"%s\" or less, or "
        "leave it out for no limit but that of the pool",
        config_excerpt (limit->text).text,
        config_format_size (check->config->pool_limit).text);
  tier->group = STORE_GROUP;
  if (config_value_number (section, "demote_age", 0, UINT32_MAX,
                           &tier->demote_age, check->report)
      == -1)
    return -1;
  return config_value_number (section, "group", 1, STORE_GROUP, &tier->group,
                              check->report);
}

/* Half of the pool is left for what is too cold for the fast tier. */
static int
default_tiers (const struct check *check)
{
  struct config *config = check->config;

  config->tiers[0] = (struct config_tier){
    .name = strdup ("fast"),
    .prio = 1,
    .codec = { CODEC_LZ4, 0 },
    .limit = PAGES (config->pool_limit / 2),
    .group = STORE_GROUP,
  };
  config->tiers[1] = (struct config_tier){
    .name = strdup ("dense"),
    .prio = 2,
    .codec = { CODEC_ZSTD, 1 },
    .group = STORE_GROUP,
  };
  config->tiers_count = 2;
  if (config->tiers[0].name == NULL || config->tiers[1].name == NULL)
    return config_refuse_memory (check->report);
  return 0;
}

static int
compare_tiers (const void *a, const void *b)
{
  const struct config_tier *tier = a, *other = b;

  return (int) tier->prio - (int) other->prio;
}

static int
check_tiers (const struct check *check)
{
  struct config *config = check->config;
  unsigned count = cfg_size (check->file, "tier");
  int taken[PRIOS + 1] = { 0 };

  if (count == 0)
    return default_tiers (check);
  if (check_count (check, "tier", CONFIG_TIERS) == -1)
    return -1;
  for (unsigned i = 0; i < count; i++) {
    cfg_t *section = cfg_getnsec (check->file, "tier", i);
    struct config_tier *tier = &config->tiers[config->tiers_count++];

    tier->line = section->line;
    tier->name = strdup (section->title);
    if (tier->name == NULL)
      return config_refuse_memory (check->report);
    if (check_name (check, section) == -1
        || check_prio (check, section, taken, &tier->prio) == -1
        || check_tier (check, section, tier) == -1)
      return -1;
  }
  qsort (config->tiers, count, sizeof config->tiers[0], compare_tiers);
  return 0;
}

/* Which of path and uri it is, and that no other backing is there too. */
static int
check_place (const struct check *check, cfg_t *section,
             struct config_backing *backing)
{
  static const char *const schemes[]
      = { "nbd://",       "nbds://",      "nbd+unix://",
          "nbds+unix://", "nbd+vsock://", "nbds+vsock://" };
  const struct config_setting *path = config_setting (section, "path");
  const struct config_setting *uri = config_setting (section, "uri");
  const struct config_setting *place = path != NULL ? path : uri;
  unsigned scheme = 0;

  if (path != NULL && uri != NULL)
    return config_refuse (check->report,
                          path->line > uri->line ? path->line : uri->line,
                          "backing \"%s\" has a path and a uri; keep one of "
                          "the two",
                          section->title);
  if (place == NULL || place->text[0] == '\0')
    return config_refuse (check->report,
                          place != NULL ? place->line : section->line,
                          "backing \"%s\" has no place; write path = \"/file "
                          "or device\" or uri = \"nbd://host/export\" in it",
                          section->title);
  if (strlen (place->text) > BACKING_PLACE_MOST)
    return config_refuse (check->report, place->line,
                          "the place of backing \"%s\" is longer than %d "
                          "bytes; give it a shorter one",
                          section->title, BACKING_PLACE_MOST);
  for (unsigned i = 0; i + 1 < check->config->backings_count; i++) {
    const struct config_backing *other = &check->config->backings[i];

    if (strcmp (place->text, path != NULL ? (other->path ? other->path : "")
                                          : (other->uri ? other->uri : ""))
        == 0)
      return config_refuse (check->report, place->line,
                            "\"%s\" is that of the backing in line %d "
                            "already; give each its own",
                            config_excerpt (place->text).text, other->line);
  }
  if (path != NULL)
    return config_value_path (section, "path", &backing->path, check->report);

  while (strncmp (uri->text, schemes[scheme], strlen (schemes[scheme])) != 0)
    if (++scheme == sizeof schemes / sizeof schemes[0])
      return config_refuse (check->report, uri->line,
                            "uri \"%s\" is not that of an NBD export; write "
                            "\"nbd://host/export\", or nbds: for TLS, or "
                            "\"nbd+unix:///export?socket=/path\"",
                            config_excerpt (uri->text).text);
  backing->uri = strdup (uri->text);
  return backing->uri != NULL ? 0 : config_refuse_memory (check->report);
}

static int
check_backing (const struct check *check, cfg_t *section,
               struct config_backing *backing)
{
  struct config_size_rule rule = {
    .least = EXTENT_BYTES,
    .most = INT64_MAX,
    .remedy = "leave it out for all of a device or an export",
    .whole_pages = true,
  };

  for (unsigned i = 0; i < check->config->tiers_count; i++) {
    const struct config_tier *tier = &check->config->tiers[i];

    if (strcmp (section->title, tier->name) != 0)
      continue;
    if (tier->line == 0)
      return config_refuse (check->report, section->line,
                            "the name \"%s\" is that of a tier, one of those "
                            "that are there when a file has none; give the "
                            "backing another",
                            tier->name);
    return config_refuse (check->report, section->line,
                          "the name \"%s\" is that of the tier in line %d; "
                          "give the backing another",
                          tier->name, tier->line);
  }
  if (check_place (check, section, backing) == -1
      || config_value_size (section, "size", &rule, &backing->size,
                            check->report)
             == -1
      || config_value_bool (section, "encrypt", &backing->encrypt,
                            check->report)
             == -1)
    return -1;
  return config_value_bool (section, "promote", &backing->promote,
                            check->report);
}

static int
compare_backings (const void *a, const void *b)
{
  const struct config_backing *backing = a, *other = b;

  return (int) backing->prio - (int) other->prio;
}

static int
check_backings (const struct check *check)
{
  struct config *config = check->config;
  unsigned count = cfg_size (check->file, "backing");
  int taken[PRIOS + 1] = { 0 };

  if (check_count (check, "backing", CONFIG_BACKINGS) == -1)
    return -1;
  for (unsigned i = 0; i < count; i++) {
    cfg_t *section = cfg_getnsec (check->file, "backing", i);
    struct config_backing *backing
        = &config->backings[config->backings_count++];

    backing->line = section->line;
    backing->name = strdup (section->title);
    if (backing->name == NULL)
      return config_refuse_memory (check->report);
    if (check_name (check, section) == -1
        || check_prio (check, section, taken, &backing->prio) == -1
        || check_backing (check, section, backing) == -1)
      return -1;
  }
  qsort (config->backings, count, sizeof config->backings[0], compare_backings);
  return 0;
}

static int
check_writeback (const struct check *check)
{
  struct config_writeback *writeback = &check->config->writeback;
  struct config_size_rule rule = { .most = INT64_MAX };
  const struct config_setting *high, *low;
  cfg_t *section;

  *writeback = (struct config_writeback){ .high = 90, .low = 80 };
  if (find_single (check, "writeback", &section) == -1)
    return -1;
  if (section == NULL)
    return 0;
  if (config_value_number (section, "high", 1, 100, &writeback->high,
                           check->report)
          == -1
      || config_value_number (section, "low", 0, 99, &writeback->low,
                              check->report)
             == -1)
    return -1;
  high = config_setting (section, "high");
  low = config_setting (section, "low");
  if (writeback->low >= writeback->high)
    return config_refuse (check->report, low != NULL ? low->line : high->line,
                          "low, %u%s, is not less than high, %u%s; write "
                          "for example high = 90 and low = 80",
                          writeback->low, low != NULL ? "" : " by default",
                          writeback->high, high != NULL ? "" : " by default");
  if (config_value_number (section, "age", 0, UINT32_MAX, &writeback->age,
                           check->report)
      == -1)
    return -1;
  return config_value_size (section, "limit", &rule, &writeback->limit,
                            check->report);
}

int
config_check (cfg_t *file, uint64_t memory, struct config *config,
              struct config_report *report)
{
  struct check check = { file, memory, config, report };

  if (check_size (&check) == -1 || check_shim (&check) == -1
      || check_pool (&check) == -1 || check_tiers (&check) == -1
      || check_backings (&check) == -1 || check_writeback (&check) == -1)
    return -1;
  return config_check_cgroups (file, memory, config, report);
}
