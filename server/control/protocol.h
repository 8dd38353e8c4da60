/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket's protocol: lines of JSON.
 *
 * A request is an array of strings, the words of a command:
 *     ["set","pool.limit","2G"]
 * Its answer is any number of lines that tell how far it is, then one line
 * with its result or why there is none:
 *     {"progress":"12.5 MiB are left on ssd"}
 *     {"result":{"pool.limit":"2147483648"}}
 *     {"error":"there is no attribute \"pool.colour\"","code":"ENOENT"}
 * Requests of one connection are answered in their order.
 */
#ifndef TIERSWAP_PROTOCOL_H
#define TIERSWAP_PROTOCOL_H

#include <stddef.h>

#include <jansson.h>

#define PROTOCOL_LINE 4096 /* bytes of a request, its newline not counted */
#define PROTOCOL_WORDS 16

struct request {
  json_t *json; /* where the words live */
  const char *words[PROTOCOL_WORDS];
  unsigned count; /* at least 1 */
};

/* Take a request from a line of LENGTH bytes.  -1 with errno EINVAL, and
 * *ERROR is one line to free().
 */
extern int protocol_parse (const char *line, size_t length,
                           struct request *request, char **error);
extern void request_free (struct request *request);

/* Lines of an answer, newline included, to free(); NULL: no memory.  RESULT
 * is taken.
 */
extern char *protocol_result (json_t *result);
extern char *protocol_progress (const char *text);
extern char *protocol_error (const char *text, int code);

#endif /* TIERSWAP_PROTOCOL_H */
