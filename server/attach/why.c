/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "attach/why.h"

int
why_set (struct why *why, int error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  vsnprintf (why->text, sizeof why->text, format, args);
  va_end (args);
  errno = error;
  return -1;
}
