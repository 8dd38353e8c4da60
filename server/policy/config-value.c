/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config-size.h"
#include "policy/config-value.h"
#include "policy/config.h"

#define PAGES(bytes) ((bytes) - (bytes) % PAGE_BYTES)

int
config_value_number (cfg_t *section, const char *option, unsigned least,
                     unsigned most, unsigned *number,
                     struct config_report *report)
{
  const struct config_setting *setting = config_setting (section, option);
  unsigned long long value;
  char *end;

  if (setting == NULL)
    return 0;
  errno = 0;
  value = strtoull (setting->text, &end, 10);
  if (!isdigit ((unsigned char) setting->text[0]) || *end != '\0' || errno != 0
      || value < least || value > most)
    return config_refuse (report, setting->line,
                          "%s is \"%s\"; it must be a whole number from %u "
                          "to %u",
                          option, config_excerpt (setting->text).text, least,
                          most);
  *number = (unsigned) value;
  return 0;
}

int
config_value_bool (cfg_t *section, const char *option, bool *truth,
                   struct config_report *report)
{
  const struct config_setting *setting = config_setting (section, option);
  int value;

  if (setting == NULL)
    return 0;
  value = cfg_parse_boolean (setting->text);
  if (value == CFG_FAIL)
    return config_refuse (report, setting->line,
                          "%s is \"%s\"; it must be true or false", option,
                          config_excerpt (setting->text).text);
  *truth = value == 1;
  return 0;
}

static int
refuse_size_text (const struct config_setting *setting, const char *option,
                  const struct config_size_rule *rule,
                  struct config_report *report)
{
  struct config_excerpt excerpt = config_excerpt (setting->text);
  size_t length = strlen (setting->text);

  if (errno == ERANGE)
    return config_refuse (report, setting->line,
                          "%s \"%s\" is too large; it must be less than 8E",
                          option, excerpt.text);
  if (rule->memory == 0 && length > 0 && setting->text[length - 1] == '%')
    return config_refuse (report, setting->line,
                          "%s \"%s\" is a percentage, but this is not of "
                          "memory; write a number of bytes, such as \"512M\"",
                          option, excerpt.text);
  return config_refuse (
      report, setting->line,
      "%s \"%s\" is not a size; write a whole number of "
      "bytes, perhaps with K, M, G or T after it, such as "
      "\"512M\"%s",
      option, excerpt.text,
      rule->memory > 0 ? ", or a percentage of memory, such as \"50%\"" : "");
}

int
config_value_size (cfg_t *section, const char *option,
                   const struct config_size_rule *rule, uint64_t *bytes,
                   struct config_report *report)
{
  const struct config_setting *setting = config_setting (section, option);
  struct config_excerpt excerpt;
  uint64_t size;

  if (setting == NULL)
    return 0;
  if (config_parse_size (setting->text, rule->memory, &size) == -1)
    return refuse_size_text (setting, option, rule, report);

  excerpt = config_excerpt (setting->text);
  if (size == 0 && rule->remedy == NULL) {
    *bytes = 0;
    return 0;
  }
  if (size == 0)
    return config_refuse (report, setting->line, "%s \"%s\" is nothing; %s",
                          option, excerpt.text, rule->remedy);
  if (size < rule->least)
    return config_refuse (
        report, setting->line, "%s \"%s\" is too small; write \"%s\" or more",
        option, excerpt.text, config_format_size (rule->least).text);
  if (rule->whole_pages && size % PAGE_BYTES != 0) {
    uint64_t below = PAGES (size);

    return config_refuse (report, setting->line,
                          "%s \"%s\" is not a multiple of 4096; write "
                          "\"%" PRIu64 "\" or \"%" PRIu64 "\"",
                          option, excerpt.text, below, below + PAGE_BYTES);
  }
  if (size > rule->most)
    return config_refuse (report, setting->line,
                          "%s \"%s\" is more than %s; write \"%s\" or less",
                          option, excerpt.text, rule->most_is,
                          config_format_size (PAGES (rule->most)).text);
  *bytes = size;
  return 0;
}

int
config_value_path (cfg_t *section, const char *option, char **path,
                   struct config_report *report)
{
  const struct config_setting *setting = config_setting (section, option);

  if (setting == NULL || setting->text[0] == '\0')
    return 0;
  if (setting->text[0] != '/')
    return config_refuse (report, setting->line,
                          "%s \"%s\" depends on the working folder; write the "
                          "whole path, from / on",
                          option, config_excerpt (setting->text).text);
  *path = strdup (setting->text);
  return *path != NULL ? 0 : config_refuse_memory (report);
}
