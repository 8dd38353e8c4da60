/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>

#include "control/human.h"

const char *
human_bytes (uint64_t bytes, char text[HUMAN_ROOM])
{
  static const char units[] = "KMGTPE";
  double n = (double) bytes;
  int unit = -1;

  while (n >= 1024 && unit + 1 < (int) sizeof units - 1) {
    n /= 1024;
    unit++;
  }
  if (unit < 0)
    snprintf (text, HUMAN_ROOM, "%llu B", (unsigned long long) bytes);
  else
    snprintf (text, HUMAN_ROOM, "%.1f %ciB", n, units[unit]);
  return text;
}
