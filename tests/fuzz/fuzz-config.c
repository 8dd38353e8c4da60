/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a configuration: taken or refused, with a message in one line
 * or a configuration that keeps what config.h promises.
 */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"

extern int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define PROMISE(truth)                                                         \
  do {                                                                         \
    if (!(truth))                                                              \
      abort ();                                                                \
  } while (0)

static void
check_tiers (const struct config *config)
{
  PROMISE (config->tiers_count >= 1 && config->tiers_count <= CONFIG_TIERS);
  for (unsigned i = 0; i < config->tiers_count; i++) {
    const struct config_tier *tier = &config->tiers[i];

    PROMISE (tier->name != NULL);
    PROMISE (tier->prio >= 1 && tier->prio <= 4);
    PROMISE (i == 0 || tier[-1].prio < tier->prio);
    PROMISE (codec_level_valid (tier->codec.kind, tier->codec.level));
    PROMISE (tier->limit <= config->pool_limit);
    PROMISE (tier->limit % PAGE_BYTES == 0);
  }
}

static void
check_backings (const struct config *config)
{
  PROMISE (config->backings_count <= CONFIG_BACKINGS);
  for (unsigned i = 0; i < config->backings_count; i++) {
    const struct config_backing *backing = &config->backings[i];

    PROMISE (backing->name != NULL);
    PROMISE (backing->prio >= 1 && backing->prio <= 4);
    PROMISE (i == 0 || backing[-1].prio < backing->prio);
    PROMISE ((backing->path == NULL) != (backing->uri == NULL));
  }
}

static void
check_cgroups (const struct config *config)
{
  PROMISE (config->cgroups_count >= 1);
  PROMISE (strcmp (config->cgroups[0].path, "/") == 0);
  for (unsigned i = 0; i < config->cgroups_count; i++) {
    const struct config_cgroup *cgroup = &config->cgroups[i];

    PROMISE (i == 0 || strcmp (cgroup[-1].path, cgroup->path) < 0);
    PROMISE (cgroup->prio >= 1 && cgroup->prio <= 4);
    PROMISE (cgroup->writeback_prio <= 4);
    PROMISE (cgroup->writeback_size <= PAGE_BYTES);
    PROMISE (cgroup->limit <= config->pool_limit);
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  char *text = malloc (size + 1), *error = NULL;
  struct config *config;

  PROMISE (text != NULL);
  memcpy (text, data, size);
  text[size] = '\0';
  config = config_parse ("fuzz", text, &error);
  if (config != NULL) {
    PROMISE (error == NULL);
    PROMISE (config->size > 0 && config->size % PAGE_BYTES == 0);
    PROMISE (config->pool_limit % PAGE_BYTES == 0);
    PROMISE (config->writeback.low < config->writeback.high);
    check_tiers (config);
    check_backings (config);
    check_cgroups (config);
    config_free (config);
  }
  else {
    PROMISE (error != NULL && strncmp (error, "fuzz:", 5) == 0);
    PROMISE (strchr (error, '\n') == NULL);
  }
  free (error);
  free (text);
  return 0;
}
