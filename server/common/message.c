/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/message.h"

static void
to_stderr (enum message_kind kind, const char *text)
{
  static const char *const prefix[] = {
    [MESSAGE_ERROR] = "error: ",
    [MESSAGE_WARNING] = "warning: ",
    [MESSAGE_NOTICE] = "",
  };

  fprintf (stderr, "tierswap: %s%s\n", prefix[kind], text);
}

static message_sink sink = to_stderr;

void
message_set_sink (message_sink s)
{
  sink = s ? s : to_stderr;
}

void
message (enum message_kind kind, const char *format, ...)
{
  int saved_errno = errno;
  char text[1024];
  va_list args;

  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  sink (kind, text);
  errno = saved_errno;
}
