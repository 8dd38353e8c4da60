/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"

static int
refuse (struct request *request, char **error, const char *why)
{
  request_free (request);
  *error = strdup (why);
  errno = EINVAL;
  return -1;
}

int
protocol_parse (const char *line, size_t length, struct request *request,
                char **error)
{
  size_t count;

  *request = (struct request){ .json = NULL };
  *error = NULL;
  request->json = json_loadb (line, length, 0, NULL);
  count = json_array_size (request->json); /* 0: something else */
  if (count == 0)
    return refuse (request, error,
                   "this is not a request; send a JSON array of strings in "
                   "one line, such as [\"status\"]");
  if (count > PROTOCOL_WORDS)
    return refuse (request, error, "a request has at most 16 words");
  for (size_t i = 0; i < count; ++i) {
    const char *word = json_string_value (json_array_get (request->json, i));

    if (!word)
      return refuse (request, error, "each word of a request is a string");
    request->words[request->count++] = word;
  }
  return 0;
}

void
request_free (struct request *request)
{
  json_decref (request->json);
  *request = (struct request){ .json = NULL };
}

/* JSON is taken. */
static char *
line_of (json_t *json)
{
  char *text = json ? json_dumps (json, JSON_COMPACT) : NULL;
  size_t length = text ? strlen (text) : 0;
  char *line = text ? realloc (text, length + 2) : NULL;

  json_decref (json);
  if (!line) {
    free (text);
    return NULL;
  }
  line[length] = '\n';
  line[length + 1] = '\0';
  return line;
}

char *
protocol_result (json_t *result)
{
  return line_of (json_pack ("{s:o}", "result", result));
}

/* One line of plain text, whatever was quoted in it. */
static json_t *
plain (const char *text)
{
  char *copy = strdup (text);
  json_t *json;

  if (!copy)
    return NULL;
  for (char *p = copy; *p; ++p)
    if ((unsigned char) *p < ' ' || *p == 0x7f)
      *p = '?';
  json = json_string (copy);
  if (!json) { /* it is not UTF-8 */
    for (char *p = copy; *p; ++p)
      if ((unsigned char) *p >= 0x80)
        *p = '?';
    json = json_string (copy);
  }
  free (copy);
  return json;
}

char *
protocol_progress (const char *text)
{
  return line_of (json_pack ("{s:o}", "progress", plain (text)));
}

char *
protocol_error (const char *text, int code)
{
  const char *name = strerrorname_np (code);

  return line_of (json_pack ("{s:o s:s}", "error", plain (text), "code",
                             name ? name : "EIO"));
}
