/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policy/config-size.h"
#include "policy/config.h"

static const char suffixes[] = "KMGTPE"; /* each 1024 of the one before */

/* NUMBER percent of MEMORY, in whole pages. */
static bool
percent (uint64_t number, uint64_t memory, uint64_t *bytes)
{
  uint64_t pages;

  return !__builtin_mul_overflow (memory / PAGE_BYTES, number, &pages)
         && !__builtin_mul_overflow (pages / 100, (uint64_t) PAGE_BYTES, bytes);
}

int
config_parse_size (const char *text, uint64_t memory, uint64_t *bytes)
{
  const char *p = text;
  uint64_t number = 0;
  bool fits = true;

  if (!isdigit ((unsigned char) *p)) {
    errno = EINVAL;
    return -1;
  }
  for (; isdigit ((unsigned char) *p); p++)
    fits = fits && !__builtin_mul_overflow (number, UINT64_C (10), &number)
           && !__builtin_add_overflow (number, (uint64_t) (*p - '0'), &number);

  if (*p == '%' && memory > 0) {
    fits = fits && percent (number, memory, &number);
    p++;
  }
  else if (*p != '\0') {
    const char *suffix = strchr (suffixes, toupper ((unsigned char) *p));

    if (suffix != NULL) {
      unsigned shift = 10 * (unsigned) (suffix - suffixes + 1);

      fits
          = fits
            && !__builtin_mul_overflow (number, UINT64_C (1) << shift, &number);
      p++;
    }
  }
  if (*p != '\0') {
    errno = EINVAL;
    return -1;
  }

  /* Offsets in files and of NBD are signed. */
  if (!fits || number > INT64_MAX) {
    errno = ERANGE;
    return -1;
  }
  *bytes = number;
  return 0;
}

struct config_size_text
config_format_size (uint64_t bytes)
{
  struct config_size_text size;
  char suffix[2] = "";

  for (const char *p = suffixes; *p != '\0'; p++) {
    if (bytes == 0 || bytes % 1024 != 0)
      break;
    bytes /= 1024;
    suffix[0] = *p;
  }
  snprintf (size.text, sizeof size.text, "%" PRIu64 "%s", bytes, suffix);
  return size;
}
