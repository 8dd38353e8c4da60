/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/options.h"

#define DEFAULT_PATIENCE 600
#define A_DAY 86400

static const struct number {
  const char *key;
  unsigned option;
  size_t place;
  long least, most;
} numbers[] = {
  { "priority", OPTION_PRIORITY, offsetof (struct options, priority), 0,
    32767 },
  { "connections", OPTION_CONNECTIONS, offsetof (struct options, connections),
    1, OPTIONS_MOST_CONNECTIONS },
  { "timeout", OPTION_TIMES, offsetof (struct options, timeout), 1, A_DAY },
  { "patience", OPTION_TIMES, offsetof (struct options, patience), 1, A_DAY },
  { "wait", OPTION_WAIT, offsetof (struct options, wait), 0, 7 * A_DAY },
};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

static long
default_timeout (unsigned taken)
{
  if (taken & OPTION_COMMAND)
    return OPTIONS_TIMEOUT_SUPERVISED;
  if ((taken & OPTION_TIMES) && !(taken & OPTION_CONNECTIONS))
    return 0;
  return OPTIONS_TIMEOUT;
}

static void
set_defaults (struct options *options, unsigned taken, const char *control)
{
  const char *slash = strrchr (control, '/');
  int length = slash ? (int) (slash - control) + 1 : 0;

  *options = (struct options){ .control = control,
                               .priority = -1,
                               .timeout = default_timeout (taken),
                               .patience = DEFAULT_PATIENCE };
  snprintf (options->socket, sizeof options->socket, "%.*snbd.sock", length,
            control);
}

/* 0: WORD is no number that is taken. */
static int
take_number (struct options *options, unsigned taken, const char *word,
             struct why *why)
{
  size_t length = strcspn (word, "=");

  for (unsigned i = 0; i < NUMBERS; ++i) {
    const struct number *n = &numbers[i];
    char *end;
    long value;

    if (!(taken & n->option) || word[length] != '=' || strlen (n->key) != length
        || strncmp (word, n->key, length) != 0)
      continue;
    errno = 0;
    value = strtol (word + length + 1, &end, 10);
    if (errno != 0 || *end != '\0' || end == word + length + 1
        || value < n->least || value > n->most)
      return why_set (why, EINVAL,
                      "%s cannot be \"%.100s\": it is a whole number from %ld "
                      "to %ld",
                      n->key, word + length + 1, n->least, n->most);
    *(long *) ((char *) options + n->place) = value;
    return 1;
  }
  return 0;
}

/* 0: WORD is nothing that is taken. */
static int
take_word (struct options *options, unsigned taken, const char *word,
           struct why *why)
{
  if ((taken & OPTION_SOCKET) && strncmp (word, "socket=", 7) == 0) {
    if (word[7] == '\0' || strlen (word + 7) >= sizeof options->socket)
      return why_set (why, EINVAL,
                      "socket cannot be \"%.300s\": it is the path that nbdkit "
                      "was given with -U",
                      word + 7);
    strcpy (options->socket, word + 7);
    return 1;
  }
  if ((taken & OPTION_FORCE) && strcmp (word, "--force") == 0) {
    options->force = true;
    return 1;
  }
  return take_number (options, taken, word, why);
}

/* Whether the key of WORDS[I] was there before. */
static bool
is_twice (char *const words[], unsigned i)
{
  size_t length = strcspn (words[i], "=");

  for (unsigned j = 0; j < i; ++j)
    if (strcspn (words[j], "=") == length
        && strncmp (words[j], words[i], length) == 0)
      return true;
  return false;
}

int
options_parse (struct options *options, unsigned taken, char *const words[],
               const char *control, struct why *why)
{
  set_defaults (options, taken, control);
  for (unsigned i = 0; words[i]; ++i) {
    int r;

    if ((taken & OPTION_COMMAND) && strcmp (words[i], "--") == 0) {
      if (!words[i + 1])
        return why_set (why, EINVAL, "a command is missing after --");
      options->command = &words[i + 1];
      return 0;
    }
    r = take_word (options, taken, words[i], why);
    if (r == -1)
      return -1;
    if (r == 0)
      return why_set (why, EINVAL,
                      "\"%.100s\" is not taken here; see "
                      "tierswapctl --help",
                      words[i]);
    if (is_twice (words, i))
      return why_set (why, EINVAL, "%.*s is given twice",
                      (int) strcspn (words[i], "="), words[i]);
  }
  return 0;
}
