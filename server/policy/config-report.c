/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config-report.h"

static int
refuse (struct config_report *report, int line, int errnum, const char *format,
        va_list args)
{
  char *what;

  if (report->errnum != 0)
    return -1;
  report->errnum = errnum;
  if (vasprintf (&what, format, args) == -1)
    return -1;
  if (asprintf (&report->text, "%s:%d: %s", report->name, line, what) == -1)
    report->text = NULL;
  free (what);
  return -1;
}

int
config_refuse (struct config_report *report, int line, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  refuse (report, line, EINVAL, format, args);
  va_end (args);
  return -1;
}

int
config_refuse_errno (struct config_report *report, int errnum,
                     const char *format, ...)
{
  va_list args;

  va_start (args, format);
  refuse (report, 0, errnum, format, args);
  va_end (args);
  return -1;
}

int
config_refuse_memory (struct config_report *report)
{
  return config_refuse_errno (report, ENOMEM, "out of memory");
}

struct config_excerpt
config_excerpt (const char *text)
{
  struct config_excerpt excerpt;
  size_t room = sizeof excerpt.text - sizeof "...";
  size_t length = strlen (text);
  bool whole = length <= room;

  if (!whole) {
    length = room;
    /* Do not end inside a character: those bytes are 10xxxxxx. */
    while (length > 0 && ((unsigned char) text[length] & 0xc0) == 0x80)
      length--;
  }
  for (size_t i = 0; i < length; i++)
    excerpt.text[i] = iscntrl ((unsigned char) text[i]) ? '?' : text[i];
  strcpy (excerpt.text + length, whole ? "" : "...");
  return excerpt;
}
