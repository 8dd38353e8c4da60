/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/message.h"
#include "common/refuse.h"

int
refuse (char **error, int code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (vasprintf (error, format, args) == -1)
    *error = NULL;
  va_end (args);
  errno = code;
  return -1;
}

int
refuse_tell (char *error)
{
  int saved_errno = errno;

  message (MESSAGE_ERROR, "%s", error ? error : "out of memory");
  free (error);
  errno = saved_errno;
  return -1;
}
