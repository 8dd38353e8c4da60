/* SPDX-License-Identifier: BSD-3-Clause */
/* Good configurations: every option arrives, and every default. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/config.h"

#define MIB (UINT64_C (1) << 20)
#define PAGES(bytes) ((bytes) / 4096 * 4096)

static struct config *
read_text (const char *text)
{
  char *error = NULL;
  struct config *config = config_parse ("test.conf", text, &error);

  if (config == NULL)
    fail_msg ("%s", error);
  assert_null (error);
  return config;
}

static void
check_default (const struct config *config)
{
  uint64_t memory = config_machine_memory ();

  assert_int_equal (config->size, 2 * PAGES (memory));
  assert_int_equal (config->pool_limit, PAGES (PAGES (memory) / 2));
  assert_null (config->state);

  assert_int_equal (config->tiers_count, 2);
  assert_string_equal (config->tiers[0].name, "fast");
  assert_int_equal (config->tiers[0].prio, 1);
  assert_int_equal (config->tiers[0].codec.kind, CODEC_LZ4);
  assert_int_equal (config->tiers[0].codec.level, 0);
  assert_int_equal (config->tiers[0].limit, PAGES (config->pool_limit / 2));
  assert_int_equal (config->tiers[0].demote_age, 0);
  assert_int_equal (config->tiers[1].group, 4);
  assert_string_equal (config->tiers[1].name, "dense");
  assert_int_equal (config->tiers[1].prio, 2);
  assert_int_equal (config->tiers[1].codec.kind, CODEC_ZSTD);
  assert_int_equal (config->tiers[1].codec.level, 1);
  assert_int_equal (config->tiers[1].limit, 0);
  assert_int_equal (config->backings_count, 0);

  assert_int_equal (config->writeback.high, 90);
  assert_int_equal (config->writeback.low, 80);
  assert_int_equal (config->writeback.age, 0);
  assert_int_equal (config->writeback.limit, 0);

  assert_int_equal (config->cgroups_count, 1);
  assert_string_equal (config->cgroups[0].path, "/");
  assert_int_equal (config->cgroups[0].prio, 1);
  assert_int_equal (config->cgroups[0].writeback_prio, 0);
  assert_int_equal (config->cgroups[0].writeback_size, 0);
  assert_int_equal (config->cgroups[0].limit, 0);
}

static void
test_embedded_default (void **state)
{
  char *error = NULL;
  struct config *config = config_load (NULL, &error);

  (void) state;
  assert_non_null (config);
  assert_null (config->file);
  check_default (config);
  config_free (config);
}

static void
test_empty_file (void **state)
{
  static const char *const texts[] = {
    "",
    "\n",
    "# nothing",
    "/* nothing */",
    "// nothing\n",
    "pool { }",
    "writeback { } pool { }",
    "cgroup \"/\" { }",
    "pool { state = \"\" }",
    "writeback { limit = 0 }",
  };

  (void) state;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    struct config *config = read_text (texts[i]);

    assert_string_equal (config->file, "test.conf");
    check_default (config);
    config_free (config);
  }
}

static void
test_every_option (void **state)
{
  struct config *config = read_text (
      "size = \"8G\"\n"
      "pool { limit = \"64M\"  state = \"/run/tierswap/state\"\n"
      "  verify = true  wipe = true }\n"
      "tier \"dense\" { prio = 2  codec = \"zstd\"  level = -5\n"
      "  limit = \"16M\"  demote_age = 0  group = 3 }\n"
      "tier \"fast\" { prio = 1  codec = \"lz4\"  demote_age = 300 }\n"
      "tier \"raw_1\" { prio = 4  codec = \"none\"  level = 0 }\n"
      "tier \"hc-2\" { prio = 3  codec = \"lz4hc\"  level = 12 }\n"
      "backing \"far\" { prio = 3  uri = \"nbds://host/export\"  promote = yes"
      " }\n"
      "backing \"ssd\" { prio = 1  path = \"/var/lib/ssd.img\"\n"
      "  size = \"16G\"  encrypt = true }\n"
      "writeback { high = 70  low = 60  age = 3600  limit = \"100G\" }\n"
      "cgroup \"/\" { prio = 2  writeback_prio = 3  writeback_size = 4096\n"
      "  limit = \"32M\" }\n");
  const struct config_tier *tiers = config->tiers;
  const struct config_backing *backings = config->backings;

  (void) state;
  assert_int_equal (config->size, 8192 * MIB);
  assert_int_equal (config->pool_limit, 64 * MIB);
  assert_string_equal (config->state, "/run/tierswap/state");
  assert_true (config->verify);
  assert_true (config->wipe);

  assert_int_equal (config->tiers_count, 4);
  assert_string_equal (tiers[0].name, "fast");
  assert_int_equal (tiers[0].prio, 1);
  assert_int_equal (tiers[0].codec.kind, CODEC_LZ4);
  assert_int_equal (tiers[0].codec.level, 0);
  assert_int_equal (tiers[0].limit, 0);
  assert_int_equal (tiers[0].demote_age, 300);
  assert_int_equal (tiers[0].group, 4);
  assert_int_equal (tiers[0].line, 6);
  assert_string_equal (tiers[1].name, "dense");
  assert_int_equal (tiers[1].prio, 2);
  assert_int_equal (tiers[1].codec.kind, CODEC_ZSTD);
  assert_int_equal (tiers[1].codec.level, -5);
  assert_int_equal (tiers[1].limit, 16 * MIB);
  assert_int_equal (tiers[1].group, 3);
  assert_int_equal (tiers[1].line, 4);
  assert_string_equal (tiers[2].name, "hc-2");
  assert_int_equal (tiers[2].codec.kind, CODEC_LZ4HC);
  assert_int_equal (tiers[2].codec.level, 12);
  assert_string_equal (tiers[3].name, "raw_1");
  assert_int_equal (tiers[3].codec.kind, CODEC_NONE);

  assert_int_equal (config->backings_count, 2);
  assert_string_equal (backings[0].name, "ssd");
  assert_int_equal (backings[0].prio, 1);
  assert_string_equal (backings[0].path, "/var/lib/ssd.img");
  assert_null (backings[0].uri);
  assert_int_equal (backings[0].size, 16384 * MIB);
  assert_true (backings[0].encrypt);
  assert_false (backings[0].promote);
  assert_int_equal (backings[0].line, 10);
  assert_string_equal (backings[1].name, "far");
  assert_int_equal (backings[1].prio, 3);
  assert_null (backings[1].path);
  assert_string_equal (backings[1].uri, "nbds://host/export");
  assert_int_equal (backings[1].size, 0);
  assert_false (backings[1].encrypt);
  assert_true (backings[1].promote);

  assert_int_equal (config->writeback.high, 70);
  assert_int_equal (config->writeback.low, 60);
  assert_int_equal (config->writeback.age, 3600);
  assert_int_equal (config->writeback.limit, 102400 * MIB);

  assert_int_equal (config->cgroups_count, 1);
  assert_int_equal (config->cgroups[0].prio, 2);
  assert_int_equal (config->cgroups[0].writeback_prio, 3);
  assert_int_equal (config->cgroups[0].writeback_size, 4096);
  assert_int_equal (config->cgroups[0].limit, 32 * MIB);
  assert_int_equal (config->cgroups[0].line, 13);
  config_free (config);
}

static void
test_percentages (void **state)
{
  uint64_t memory = config_machine_memory () / 4096;
  struct config *config
      = read_text ("size = 300%\n"
                   "pool { limit = \"40%\" }\n"
                   "tier a { prio = 1  codec = lz4  limit = 20% }\n"
                   "cgroup / { limit = '10%' }\n");

  (void) state;
  assert_int_equal (config->size, memory * 3 * 4096);
  assert_int_equal (config->pool_limit, memory * 40 / 100 * 4096);
  assert_int_equal (config->tiers[0].limit, memory * 20 / 100 * 4096);
  assert_int_equal (config->cgroups[0].limit, memory * 10 / 100 * 4096);
  config_free (config);
}

/* With tiers and backings of one's own, "/" goes to the first of each. */
static void
test_root_cgroup (void **state)
{
  struct config *config = read_text ("tier a { prio = 3 codec = lz4 }\n"
                                     "tier b { prio = 2 codec = none }\n"
                                     "backing c { prio = 4 path = /dev/x }\n"
                                     "backing d { prio = 3 path = /dev/y }\n");

  (void) state;
  assert_int_equal (config->cgroups_count, 1);
  assert_int_equal (config->cgroups[0].prio, 2);
  assert_int_equal (config->cgroups[0].writeback_prio, 3);
  assert_int_equal (config->cgroups[0].writeback_size, 0);
  config_free (config);
}

static const struct config_cgroup *
find_cgroup (const struct config *config, const char *path)
{
  for (unsigned i = 0; i < config->cgroups_count; i++)
    if (strcmp (config->cgroups[i].path, path) == 0)
      return &config->cgroups[i];
  fail_msg ("there is no cgroup %s", path);
  return NULL;
}

static void
check_cgroup (const struct config *config, const char *path, unsigned prio,
              unsigned writeback_prio, unsigned writeback_size, uint64_t limit)
{
  const struct config_cgroup *cgroup = find_cgroup (config, path);

  assert_int_equal (cgroup->prio, prio);
  assert_int_equal (cgroup->writeback_prio, writeback_prio);
  assert_int_equal (cgroup->writeback_size, writeback_size);
  assert_int_equal (cgroup->limit, limit);
}

/* What a cgroup leaves out is its nearest ancestor's, in whatever order they
 * are written; the limit is not passed on.
 */
static void
test_inheritance (void **state)
{
  struct config *config
      = read_text ("pool { limit = 64M }\n"
                   "cgroup /db/replica/1 { writeback_size = 100 }\n"
                   "cgroup /db/replica { writeback_prio = 4 }\n"
                   "cgroup /db-x { writeback_prio = 4 }\n"
                   "cgroup /db { prio = 2 limit = 8M }\n"
                   "cgroup / { writeback_prio = 1 writeback_size = 2000 }\n"
                   "cgroup /other/deep/down { }\n");

  (void) state;
  assert_int_equal (config->cgroups_count, 6);
  assert_string_equal (config->cgroups[0].path, "/");
  check_cgroup (config, "/", 1, 1, 2000, 0);
  check_cgroup (config, "/db", 2, 1, 2000, 8 * MIB);
  check_cgroup (config, "/db-x", 1, 4, 2000, 0);
  check_cgroup (config, "/db/replica", 2, 4, 2000, 0);
  check_cgroup (config, "/db/replica/1", 2, 4, 100, 0);
  check_cgroup (config, "/other/deep/down", 1, 1, 2000, 0);
  config_free (config);
}

/* There are tiers 1 and 2 and no backing: the next higher prio is taken, so
 * these are not mistakes.
 */
static void
test_prios_without_tier (void **state)
{
  struct config *config
      = read_text ("cgroup / { prio = 4 writeback_prio = 3 }\n");

  (void) state;
  check_cgroup (config, "/", 4, 3, 0, 0);
  config_free (config);
}

static void
test_bounds (void **state)
{
  struct config *config = read_text (
      "size = 4096\n"
      "pool { limit = 4M }\n"
      "tier abcdefghijklmnopqrstuvwxyz_-0123 { prio = 1 codec = lz4\n"
      "  level = -65537 limit = 4M demote_age = 4294967295 }\n"
      "tier Z { prio = 4 codec = zstd level = 19 limit = 256K }\n"
      "backing b { prio = 4 path = /x size = 256K }\n"
      "writeback { high = 1 low = 0 age = 4294967295 limit = 7E }\n"
      "cgroup / { prio = 4 writeback_prio = 0 limit = 4M }\n");

  (void) state;
  assert_int_equal (config->size, 4096);
  assert_int_equal (config->pool_limit, 4 * MIB);
  assert_int_equal (config->tiers[0].codec.level, -65537);
  assert_int_equal (config->tiers[0].demote_age, UINT32_MAX);
  assert_int_equal (config->tiers[1].codec.level, 19);
  assert_int_equal (config->backings[0].size, 256 << 10);
  assert_int_equal (config->writeback.high, 1);
  assert_int_equal (config->writeback.low, 0);
  assert_int_equal (config->writeback.age, UINT32_MAX);
  config_free (config);
}

/* Comments and line ends anywhere; quotes of both kinds or none. */
static void
test_layout (void **state)
{
  struct config *config = read_text (
      "/* a\n   b */ size /* c */ = # d\n\n 64M // e\r\n"
      "tier # \"x\" { }\n"
      "'fa' /* { */ { prio /**/ = /***/ 1\r\n\tcodec\n=\nlz4\f}tier b{prio=2 "
      "codec='zstd'}# }\n"
      "backing \"c\" { prio = 1 uri = nbd://host/a//b }\n"
      "backing 'd' { prio = 2 path = '/it\\'s \\\\ \"here\"' }\n"
      "backing \"e\" { prio = 3 path = \"/a # b // {c} \\\" d\" } # end");

  (void) state;
  assert_int_equal (config->size, 64 * MIB);
  assert_int_equal (config->tiers[0].line, 5);
  assert_string_equal (config->tiers[0].name, "fa");
  assert_int_equal (config->tiers[1].line, 9);
  assert_int_equal (config->tiers[1].codec.kind, CODEC_ZSTD);
  assert_string_equal (config->backings[0].uri, "nbd://host/a//b");
  assert_int_equal (config->backings[0].line, 10);
  assert_string_equal (config->backings[1].path, "/it's \\ \"here\"");
  assert_string_equal (config->backings[2].path, "/a # b // {c} \" d");
  config_free (config);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_embedded_default),
    cmocka_unit_test (test_empty_file),
    cmocka_unit_test (test_every_option),
    cmocka_unit_test (test_percentages),
    cmocka_unit_test (test_root_cgroup),
    cmocka_unit_test (test_inheritance),
    cmocka_unit_test (test_prios_without_tier),
    cmocka_unit_test (test_bounds),
    cmocka_unit_test (test_layout),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
