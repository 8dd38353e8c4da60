/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config-grammar.h"

#define GIVEN                                                                  \
  (1 << 30) /* a flag of an option that libconfuse has no use for              \
             */

/* What the callbacks, which libconfuse gives no pointer of ours to, work on.
 * Only one thread is here at a time, as the header demands.
 */
static struct {
  const struct config_text *text;
  struct config_report *report;
  unsigned sections_ended;
} reading;

/* The options of a section as a message lists them: "a, b and c". */
static void
list_options (const cfg_opt_t *options, char *list, size_t size)
{
  size_t length = 0;

  for (const cfg_opt_t *option = options; option->name != NULL; option++) {
    const char *before = option == options        ? ""
                         : option[1].name == NULL ? " and "
                                                  : ", ";

    length += (size_t) snprintf (list + length, size - length, "%s%s", before,
                                 option->name);
    if (length >= size)
      return;
  }
}

static bool
is_top (const cfg_t *section)
{
  return strcmp (section->name, "root") == 0;
}

/* libconfuse's messages say what is wrong; put beside them what would be
 * right.
 */
static void
refuse (cfg_t *section, const char *format, va_list args)
{
  struct config_report *report = reading.report;
  int line = section->line;
  char text[256], options[256];

  vsnprintf (text, sizeof text, format, args);
  for (char *p = text; *p != '\0'; p++)
    if (*p == '\'')
      *p = '"';

  if (strstr (format, "no such option") != NULL
      || strstr (format, "no sub-section") != NULL) {
    list_options (section->opts, options, sizeof options);
    config_refuse (report, line, "%s; %s%s has the options %s", text,
                   is_top (section) ? "" : "a section ",
                   is_top (section) ? "the file" : section->name, options);
  }
  else if (strstr (format, "duplicate title") != NULL)
    config_refuse (report, line, "%s; each section of a kind needs its own",
                   text);
  else if (strstr (format, "missing title") != NULL)
    config_refuse (report, line,
                   "%s; write its name before the brace: tier \"fast\" { ... }",
                   text);
  else if (strstr (format, "missing opening brace") != NULL)
    config_refuse (report, line,
                   "%s; write pool { ... }, or tier \"fast\" { ... }", text);
  else if (strstr (format, "unexpected token") != NULL
           || strstr (format, "missing equal sign") != NULL
           || strstr (format, "premature end") != NULL)
    config_refuse (report, line, "%s; write option = \"value\"", text);
  else
    config_refuse (report, line, "%s", text);
}

static int
keep (cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
  struct config_setting *setting;

  if (option->flags & GIVEN) {
    config_refuse (reading.report, section->line,
                   "%s is given a second time%s; keep one of the two",
                   option->name, is_top (section) ? "" : " in this section");
    return -1;
  }
  option->flags |= GIVEN;
  setting = malloc (sizeof *setting + strlen (value) + 1);
  if (setting == NULL) {
    config_refuse_memory (reading.report);
    return -1;
  }
  setting->line = section->line;
  strcpy (setting->text, value);
  *(void **) result = setting;
  return 0;
}

/* Sections are not nested, so they end in the order in which they begin.
 * libconfuse has counted the lines of the section on to its end.
 */
static int
end_section (cfg_t *parent, cfg_opt_t *option)
{
  cfg_t *section = cfg_opt_getnsec (option, cfg_opt_size (option) - 1);

  (void) parent;
  section->line = reading.text->section_lines[reading.sections_ended++];
  return 0;
}

#define OPTION(name) CFG_PTR_CB (name, NULL, CFGF_NODEFAULT, keep, free)

/* All sections may be there any number of times for libconfuse, which would
 * else merge them; that pool and writeback are there once is checked later.
 */
#define SECTION(name, options) CFG_SEC (name, options, CFGF_MULTI)
#define TITLED(name, options)                                                  \
  CFG_SEC (name, options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES)

cfg_t *
config_grammar_read (const struct config_text *text,
                     struct config_report *report)
{
  cfg_opt_t pool[] = { OPTION ("limit"), OPTION ("state"), OPTION ("verify"),
                       OPTION ("wipe"), CFG_END () };
  cfg_opt_t tier[]
      = { OPTION ("prio"),  OPTION ("codec"),      OPTION ("level"),
          OPTION ("limit"), OPTION ("demote_age"), OPTION ("group"),
          CFG_END () };
  cfg_opt_t backing[]
      = { OPTION ("prio"), OPTION ("path"),    OPTION ("uri"),
          OPTION ("size"), OPTION ("encrypt"), OPTION ("promote"),
          CFG_END () };
  cfg_opt_t writeback[] = { OPTION ("high"), OPTION ("low"), OPTION ("age"),
                            OPTION ("limit"), CFG_END () };
  cfg_opt_t cgroup[]
      = { OPTION ("prio"), OPTION ("writeback_prio"), OPTION ("writeback_size"),
          OPTION ("limit"), CFG_END () };
  cfg_opt_t file[] = { OPTION ("size"),
                       OPTION ("shim"),
                       SECTION ("pool", pool),
                       TITLED ("tier", tier),
                       TITLED ("backing", backing),
                       SECTION ("writeback", writeback),
                       TITLED ("cgroup", cgroup),
                       CFG_END () };
  cfg_t *cfg = cfg_init (file, CFGF_NONE);

  if (cfg == NULL) {
    config_refuse_memory (report);
    return NULL;
  }
  reading.text = text;
  reading.report = report;
  reading.sections_ended = 0;
  cfg_set_error_function (cfg, refuse);
  for (const cfg_opt_t *option = file; option->name != NULL; option++)
    if (option->type == CFGT_SEC)
      cfg_set_validate_func (cfg, option->name, end_section);

  if (cfg_parse_buf (cfg, text->text) != CFG_SUCCESS) {
    /* It fails without a word only for want of memory. */
    config_refuse_memory (report);
    cfg_free (cfg);
    cfg = NULL;
  }
  return cfg;
}

const struct config_setting *
config_setting (cfg_t *section, const char *name)
{
  return cfg_getptr (section, name);
}
