/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a request to the control socket: words, or a refusal in one
 * line; and any words quoted in an answer make one line of JSON.
 */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"
#include "control/usage.h"

extern int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define PROMISE(truth)                                                         \
  do {                                                                         \
    if (!(truth))                                                              \
      abort ();                                                                \
  } while (0)

static void
is_one_line (char *line, const char *key)
{
  json_t *json;

  PROMISE (line != NULL && strlen (line) > 0);
  PROMISE (strchr (line, '\n') == line + strlen (line) - 1);
  json = json_loads (line, 0, NULL);
  PROMISE (json_string_value (json_object_get (json, key)) != NULL);
  json_decref (json);
  free (line);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct request request;
  char *error, *text = malloc (size + 1);

  PROMISE (text != NULL);
  memcpy (text, data, size);
  text[size] = '\0';
  is_one_line (protocol_error (text, EINVAL), "error");
  is_one_line (protocol_progress (text), "progress");

  if (protocol_parse (text, size, &request, &error) == 0) {
    PROMISE (error == NULL);
    PROMISE (request.count >= 1 && request.count <= PROTOCOL_WORDS);
    for (unsigned i = 0; i < request.count; i++)
      is_one_line (protocol_error (request.words[i], ENOENT), "error");
    PROMISE (usage_find (request.words[0]) < USAGE_COMMANDS);
    request_free (&request);
  }
  else {
    PROMISE (errno == EINVAL);
    PROMISE (error != NULL && strchr (error, '\n') == NULL);
    PROMISE (request.json == NULL && request.count == 0);
    free (error);
  }
  free (text);
  return 0;
}
