/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/config-check.h"
#include "policy/config-grammar.h"
#include "policy/config-report.h"
#include "policy/config-text.h"
#include "policy/config.h"

#define LARGEST_FILE (1 << 20) /* bytes */

/* The lexer of libconfuse has one state for the whole process. */
static pthread_mutex_t lexer = PTHREAD_MUTEX_INITIALIZER;

static int
parse_text (const struct config_text *text, struct config *config,
            struct config_report *report)
{
  cfg_t *file;
  int result = -1;

  pthread_mutex_lock (&lexer);
  file = config_grammar_read (text, report);
  if (file != NULL) {
    result = config_check (file, config_machine_memory (), config, report);
    cfg_free (file);
  }
  pthread_mutex_unlock (&lexer);
  return result;
}

/* NULL, and the report says why. */
static struct config *
parse (const char *text, struct config_report *report)
{
  struct config *config = calloc (1, sizeof *config);
  struct config_text ready;
  int result;

  if (config == NULL) {
    config_refuse_memory (report);
    return NULL;
  }
  if (config_text_read (text, &ready, report) == -1) {
    free (config);
    return NULL;
  }
  result = parse_text (&ready, config, report);
  config_text_free (&ready);
  if (result == -1) {
    config_free (config);
    return NULL;
  }
  return config;
}

/* Hand over what is to be said of a failure, NULL, or the result. */
static struct config *
finish (struct config *config, struct config_report *report, char **error)
{
  if (config == NULL) {
    *error = report->text;
    errno = report->errnum;
  }
  return config;
}

struct config *
config_parse (const char *name, const char *text, char **error)
{
  struct config_report report = { .name = name };
  struct config *config = parse (text, &report);

  if (config != NULL) {
    config->file = strdup (name);
    if (config->file == NULL) {
      config_refuse_memory (&report);
      config_free (config);
      config = NULL;
    }
  }
  return finish (config, &report, error);
}

static int
refuse_file (struct config_report *report)
{
  return config_refuse_errno (report, errno,
                              "the file cannot be read: %s; see that it is "
                              "there and may be read by this user",
                              strerror (errno));
}

static int
check_file (int fd, struct config_report *report)
{
  struct stat status;

  if (fstat (fd, &status) == -1)
    return refuse_file (report);
  if (S_ISDIR (status.st_mode))
    return config_refuse_errno (report, EISDIR,
                                "this is a directory; name a file in it");
  if (!S_ISREG (status.st_mode))
    return config_refuse_errno (report, EINVAL,
                                "this is not a regular file; name one");
  return 0;
}

/* Read the file whole, as text that ends with a NUL.  It may change while it
 * is read, so its size is not asked for.
 */
static int
read_text (int fd, char *text, struct config_report *report)
{
  size_t length = 0;
  const char *nul;
  ssize_t count;

  while ((count = read (fd, text + length, LARGEST_FILE + 1 - length)) != 0) {
    if (count == -1 && errno != EINTR)
      return refuse_file (report);
    if (count > 0)
      length += (size_t) count;
    if (length > LARGEST_FILE)
      return config_refuse_errno (report, EFBIG,
                                  "the file is larger than 1M; "
                                  "that is no configuration");
  }
  text[length] = '\0';

  nul = memchr (text, '\0', length);
  if (nul != NULL) {
    int line = 1;

    for (const char *p = text; p < nul; p++)
      line += *p == '\n';
    return config_refuse (report, line,
                          "there is a NUL byte in the file; write plain text");
  }
  return 0;
}

static struct config *
load (const char *file, struct config_report *report)
{
  struct config *config = NULL;
  char *text = malloc (LARGEST_FILE + 1);
  int fd;

  if (text == NULL) {
    config_refuse_memory (report);
    return NULL;
  }
  /* Not waiting for the other end, should it be a pipe. */
  fd = open (file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd == -1)
    refuse_file (report);
  else {
    if (check_file (fd, report) == 0 && read_text (fd, text, report) == 0)
      config = parse (text, report);
    close (fd);
  }
  free (text);
  return config;
}

struct config *
config_load (const char *file, char **error)
{
  struct config_report report
      = { .name = file != NULL ? file : "(built-in configuration)" };
  /* What stands in for all that is not given is the embedded default. */
  struct config *config
      = file != NULL ? load (file, &report) : parse ("", &report);

  if (config != NULL && file != NULL) {
    config->file = strdup (file);
    if (config->file == NULL) {
      config_refuse_memory (&report);
      config_free (config);
      config = NULL;
    }
  }
  return finish (config, &report, error);
}

void
config_free (struct config *config)
{
  if (config == NULL)
    return;
  free (config->file);
  free (config->state);
  free (config->shim);
  for (unsigned i = 0; i < config->tiers_count; i++)
    free (config->tiers[i].name);
  for (unsigned i = 0; i < config->backings_count; i++) {
    free (config->backings[i].name);
    free (config->backings[i].path);
    free (config->backings[i].uri);
  }
  for (unsigned i = 0; i < config->cgroups_count; i++)
    free (config->cgroups[i].path);
  free (config->cgroups);
  free (config);
}
