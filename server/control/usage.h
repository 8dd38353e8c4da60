/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands that there are: what the server takes and tierswapctl tells. */
#ifndef TIERSWAP_USAGE_H
#define TIERSWAP_USAGE_H

#include <stdio.h>

enum usage_command {
  USAGE_STATUS,
  USAGE_GET,
  USAGE_SET,
  USAGE_CGROUP,
  USAGE_RELOAD,
  USAGE_COMPACT,
  USAGE_WRITEBACK,
  USAGE_DRAIN,
  USAGE_CHECK,
  USAGE_WATCH,
  USAGE_UNWATCH,
  USAGE_COMMANDS
};

struct usage {
  const char *name, *arguments, *help;
};

extern const struct usage usages[USAGE_COMMANDS];

/* The command NAME, or -1. */
extern int usage_find (const char *name);

/* Their names, "status, get, ...", into TEXT, which is returned. */
#define USAGE_ROOM 160
extern const char *usage_names (char text[USAGE_ROOM]);

#endif /* TIERSWAP_USAGE_H */
