/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config-text.h"

#define LONGEST_STRING 4095 /* bytes: a path */

struct scan {
  char *p; /* the next character */
  int line;
  unsigned depth; /* open braces */
  int begun;      /* line of the last word outside of any section */
  struct config_text *ready;
  struct config_report *report;
};

static bool
in_word (char c)
{
  return isalnum ((unsigned char) c) || (c != '\0' && strchr ("_-.:/%@~", c));
}

static void
blank (struct scan *scan, size_t length)
{
  for (; length > 0; length--, scan->p++) {
    if (*scan->p == '\n')
      scan->line++;
    else
      *scan->p = ' ';
  }
}

static int
skip_comment (struct scan *scan)
{
  const char *end = strstr (scan->p + 2, "*/");

  if (end == NULL)
    return config_refuse (scan->report, scan->line,
                          "the comment that begins here has no end; "
                          "write \"*/\" after it");
  blank (scan, (size_t) (end + 2 - scan->p));
  return 0;
}

static int
skip_string (struct scan *scan)
{
  const char *begin = scan->p;
  char quote = *scan->p++;

  for (; *scan->p != quote; scan->p++) {
    if (*scan->p == '\n' || *scan->p == '\0')
      return config_refuse (scan->report, scan->line,
                            "the string that begins with %c here has no end; "
                            "write another %c after it on the same line",
                            quote, quote);
    if (iscntrl ((unsigned char) *scan->p))
      return config_refuse (scan->report, scan->line,
                            "a string contains the control character 0x%02x; "
                            "leave it out",
                            (unsigned char) *scan->p);
    if (*scan->p == '\\') {
      if (scan->p[1] != quote && scan->p[1] != '\\')
        return config_refuse (scan->report, scan->line,
                              "a string contains a single \\; write \\\\ for "
                              "the character itself, or \\%c for a quote",
                              quote);
      scan->p++;
    }
    /* libconfuse would put a variable of the environment there. */
    if (quote == '"' && scan->p[0] == '$' && scan->p[1] == '{')
      return config_refuse (scan->report, scan->line,
                            "a string contains ${; write the value itself, "
                            "the environment is not used");
    if (scan->p - begin > LONGEST_STRING)
      return config_refuse (scan->report, scan->line,
                            "the string that begins here is too long; "
                            "at most %d bytes are allowed",
                            LONGEST_STRING);
  }
  scan->p++;
  return 0;
}

static int
open_section (struct scan *scan)
{
  struct config_text *ready = scan->ready;

  if (scan->depth++ == 0) {
    /* It grows by doubling: there is room unless the count is a power of 2. */
    if ((ready->sections_count & (ready->sections_count - 1)) == 0) {
      size_t room = ready->sections_count > 0 ? 2 * ready->sections_count : 1;
      int *lines = reallocarray (ready->section_lines, room, sizeof lines[0]);

      if (lines == NULL)
        return config_refuse_memory (scan->report);
      ready->section_lines = lines;
    }
    ready->section_lines[ready->sections_count++] = scan->begun;
  }
  scan->p++;
  return 0;
}

static int
close_section (struct scan *scan)
{
  if (scan->depth == 0)
    return config_refuse (scan->report, scan->line,
                          "there is no section here to end with \"}\"; "
                          "leave it out");
  scan->depth--;
  scan->p++;
  return 0;
}

static int
refuse_character (struct scan *scan)
{
  unsigned char c = (unsigned char) *scan->p;

  if (c < 0x80 && isprint (c))
    return config_refuse (scan->report, scan->line,
                          "\"%c\" is not expected here; leave it out, or put "
                          "the value that it belongs to in quotes",
                          c);
  return config_refuse (scan->report, scan->line,
                        "the byte 0x%02x is not expected here; leave it out, "
                        "or put the value that it belongs to in quotes",
                        c);
}

static int
scan_token (struct scan *scan)
{
  char c = *scan->p;

  if (c == '\n') {
    scan->line++;
    scan->p++;
  }
  else if (isspace ((unsigned char) c))
    blank (scan, 1);
  else if (c == '#' || (c == '/' && scan->p[1] == '/'))
    blank (scan, strcspn (scan->p, "\n"));
  else if (c == '/' && scan->p[1] == '*')
    return skip_comment (scan);
  else if (c == '"' || c == '\'')
    return skip_string (scan);
  else if (c == '{')
    return open_section (scan);
  else if (c == '}')
    return close_section (scan);
  else if (c == '=')
    scan->p++;
  else if (in_word (c)) {
    if (scan->depth == 0)
      scan->begun = scan->line;
    while (in_word (*scan->p))
      scan->p++;
  }
  else
    return refuse_character (scan);
  return 0;
}

int
config_text_read (const char *text, struct config_text *ready,
                  struct config_report *report)
{
  struct scan scan
      = { .line = 1, .begun = 1, .ready = ready, .report = report };
  int result = 0;

  *ready = (struct config_text){ .text = strdup (text) };
  if (ready->text == NULL)
    return config_refuse_memory (report);

  scan.p = ready->text;
  while (result == 0 && *scan.p != '\0')
    result = scan_token (&scan);
  if (result == 0 && scan.depth > 0)
    result = config_refuse (
        report, ready->section_lines[ready->sections_count - 1],
        "the section that begins here has no end; write \"}\" after it");
  if (result == -1)
    config_text_free (ready);
  return result;
}

void
config_text_free (struct config_text *ready)
{
  free (ready->text);
  free (ready->section_lines);
  *ready = (struct config_text){ 0 };
}
