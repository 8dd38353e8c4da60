/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads the configuration that is named and prints all that it comes to, or
 * says what is wrong with it.
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/config.h"

static const char *
text (const char *string)
{
  return string != NULL ? string : "";
}

static void
print_tiers (const struct config *config)
{
  for (unsigned i = 0; i < config->tiers_count; i++) {
    const struct config_tier *tier = &config->tiers[i];

    printf ("tier %s prio %u codec %s level %d limit %" PRIu64
            " demote_age %u group %u\n",
            tier->name, tier->prio, codec_name (tier->codec.kind),
            tier->codec.level, tier->limit, tier->demote_age, tier->group);
  }
}

static void
print_backings (const struct config *config)
{
  for (unsigned i = 0; i < config->backings_count; i++) {
    const struct config_backing *backing = &config->backings[i];

    printf ("backing %s prio %u path %s uri %s size %" PRIu64
            " encrypt %d promote %d\n",
            backing->name, backing->prio, text (backing->path),
            text (backing->uri), backing->size, backing->encrypt,
            backing->promote);
  }
}

static void
print_cgroups (const struct config *config)
{
  for (unsigned i = 0; i < config->cgroups_count; i++) {
    const struct config_cgroup *cgroup = &config->cgroups[i];

    printf ("cgroup %s prio %u writeback_prio %u writeback_size %u limit "
            "%" PRIu64 "\n",
            cgroup->path, cgroup->prio, cgroup->writeback_prio,
            cgroup->writeback_size, cgroup->limit);
  }
}

int
main (int argc, char *argv[])
{
  struct config *config;
  char *error = NULL;

  if (argc != 2) {
    fprintf (stderr, "usage: parse-config FILE\n");
    return EXIT_FAILURE;
  }
  config = config_load (argv[1], &error);
  if (config == NULL) {
    fprintf (stderr, "%s\n", error != NULL ? error : "out of memory");
    free (error);
    return EXIT_FAILURE;
  }
  printf ("size %" PRIu64 "\npool limit %" PRIu64 " state %s\n", config->size,
          config->pool_limit, text (config->state));
  print_tiers (config);
  print_backings (config);
  printf ("writeback high %u low %u age %u limit %" PRIu64 "\n",
          config->writeback.high, config->writeback.low, config->writeback.age,
          config->writeback.limit);
  print_cgroups (config);
  config_free (config);
  return EXIT_SUCCESS;
}
