/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "control/usage.h"

const struct usage usages[USAGE_COMMANDS] = {
  [USAGE_STATUS] = { "status", "[--json]", "what is stored, and where" },
  [USAGE_GET] = { "get", "[NAME]", "the value of an attribute, or of all" },
  [USAGE_SET] = { "set", "NAME VALUE", "change an attribute" },
  [USAGE_CGROUP]
  = { "cgroup",
      "PATH [prio=N] [writeback_prio=N] [writeback_size=BYTES] [limit=SIZE]",
      "show or change the policy of a cgroup" },
  [USAGE_RELOAD] = { "reload", "", "read the configuration again, apply it" },
  [USAGE_COMPACT] = { "compact", "", "give up dead space in memory" },
  [USAGE_WRITEBACK] = { "writeback",
                        "[age=SECONDS] [size=BYTES] [cgroup=PATH] [tier=NAME] "
                        "[max=BYTES]",
                        "write cold pages to the backings" },
  [USAGE_DRAIN]
  = { "drain", "[--no-wait] BACKING", "move everything off a backing" },
  [USAGE_CHECK] = { "check", "", "prove that the tables agree" },
  [USAGE_WATCH]
  = { "watch", "MAJOR:MINOR", "know whose pages come from a disk" },
  [USAGE_UNWATCH] = { "unwatch", "MAJOR:MINOR", "no longer" },
};

int
usage_find (const char *name)
{
  for (int i = 0; i < USAGE_COMMANDS; ++i)
    if (strcmp (usages[i].name, name) == 0)
      return i;
  return -1;
}

const char *
usage_names (char text[USAGE_ROOM])
{
  size_t length = 0;

  for (int i = 0; i < USAGE_COMMANDS; ++i)
    length += (size_t) snprintf (text + length, USAGE_ROOM - length, "%s%s",
                                 i > 0 ? ", " : "", usages[i].name);
  return text;
}
