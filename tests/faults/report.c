/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call-sites.h"
#include "faults.h"
#include "notes.h"
#include "report.h"
#include "scenario.h"

static struct {
  unsigned runs, refused, failed, hidden, unreached, wrong;
} sum;

static FILE *table;
static char table_path[512];

const char *
report_path (const char *ending, char path[512])
{
  const char *named = getenv ("FAULTS_OUT");

  snprintf (path, 512, "%s%s/fault-matrix%s", named ? named : build_folder,
            named ? "" : "/tests/faults", ending);
  return path;
}

bool
report_open (const char *ending)
{
  table = fopen (report_path (ending, table_path), "w");
  if (!table) {
    perror (table_path);
    return false;
  }
  setvbuf (table, NULL, _IOLBF, BUFSIZ);
  fprintf (table, "%-10s %-36s %-26s %-12s %s\n", "scenario", "call site",
           "call", "fault", "outcome");
  return true;
}

void
report_close (void)
{
  fclose (table);
}

/* ---- rows ---- */

static char usual[sizeof result->message];

void
report_usual (void)
{
  strcpy (usual, result->message);
}

/* Where something was taken that was not given back. */
static const char *
held_by (void)
{
  return result->held_at ? call_sites_place (result->held_at) : "";
}

static void
tell_outcome (char *outcome, size_t room)
{
  if (result->bad[0]) {
    sum.wrong++;
    snprintf (outcome, room, "WRONG: %s %s (%.150s)", result->bad, held_by (),
              result->message);
  }
  else if (!atomic_load (&faults->armed[0].fired)) {
    sum.unreached++;
    snprintf (outcome, room, "not reached this time");
  }
  else if (result->refused[0]) {
    sum.refused++;
    snprintf (outcome, room, "%s refused: %.120s", result->refused,
              result->message[0] ? result->message : strerror (result->error));
  }
  else if (result->requests || result->commands) {
    sum.failed++;
    snprintf (outcome, room, "%s failed (%s), then worked", result->what,
              result->error ? strerror (result->error) : "exit status 1");
  }
  else {
    const char *told
        = strcmp (result->message, usual) == 0 ? "" : result->message;

    sum.hidden++;
    snprintf (outcome, room, "retried or done otherwise%s%.120s",
              told[0] ? ": " : "", told);
  }
}

void
report_row (const char *scenario, const struct fault_site *site, int error)
{
  char outcome[512], row[768];

  sum.runs++;
  tell_outcome (outcome, sizeof outcome);
  snprintf (row, sizeof row, "%-10s %-36s %-26s %-12s %s\n", scenario,
            call_sites_place (site->address), site->function,
            error == FAULT_HALF ? "half" : strerrorname_np (error), outcome);
  fputs (row, table);
  if (result->bad[0])
    fputs (row, stdout);
}

void
report_scenario (const char *scenario, double seconds)
{
  static unsigned runs;

  notes_ran (scenario);
  printf ("%-10s %4u faults, %.0f s\n", scenario, sum.runs - runs, seconds);
  runs = sum.runs;
}

void
report_left_out (const char *scenario, const char *why)
{
  printf ("%s is left out: %s\n", scenario, why);
  fprintf (table, "%-10s left out: %s\n", scenario, why);
}

void
report_wrong (const char *scenario)
{
  sum.wrong++;
  printf ("%s does not even work without a fault: %s%s %s %s (%s)\n", scenario,
          result->bad, result->refused, result->what, held_by (),
          result->message);
}

/* ---- layers ---- */

static const struct layer {
  const char *name, *prefix;
} layers[] = {
  { "common", "server/common/" },    { "backing", "server/backing/" },
  { "store", "server/store/" },      { "policy", "server/policy/" },
  { "fuse", "server/control/fuse" }, { "attach", "server/control/ask." },
  { "control", "server/control/" },  { "attach", "server/attach/" },
  { "plugin", "plugin/" },           { "policy", "shim/" },
};
#define LAYERS (sizeof layers / sizeof layers[0])

static const char *
layer_of (const char *place)
{
  for (unsigned i = 0; i < LAYERS; ++i)
    if (strncmp (place, layers[i].prefix, strlen (layers[i].prefix)) == 0)
      return layers[i].name;
  return NULL;
}

bool
report_is_of_layer (const char *place)
{
  return layer_of (place) != NULL;
}

/* Why a call is not come to here; of a whole file where FUNCTION is NULL. */
static const struct reason {
  const char *file, *function, *why;
} reasons[] = {
#include "reasons.h"
};

static const char *
reason_of (const struct call_site *site)
{
  for (unsigned i = 0; i < sizeof reasons / sizeof reasons[0]; ++i) {
    size_t length = strlen (reasons[i].file);

    if (strncmp (site->place, reasons[i].file, length) == 0
        && site->place[length] == ':'
        && (!reasons[i].function
            || strcmp (reasons[i].function, site->function) == 0))
      return reasons[i].why;
  }
  return "";
}

/* On paper and on the table. */
static void
tell (const char *line)
{
  fputs (line, stdout);
  fputs (line, table);
}

/* A call site that did not fail, and for which there is no reason. */
static bool
is_open (const struct call_site *site)
{
  return layer_of (site->place) && notes_of (site->address) == NOTE_NEVER
         && !reason_of (site)[0];
}

unsigned
report_count_open (void)
{
  unsigned count = 0;

  for (unsigned i = 0; i < call_sites_count (); ++i)
    count += is_open (call_sites_get (i));
  return count;
}

static void
tell_layer (const char *name)
{
  unsigned all = 0, reasoned = 0, never = 0, notes[3] = { 0 };
  char line[256];

  for (unsigned i = 0; i < call_sites_count (); ++i) {
    const struct call_site *site = call_sites_get (i);
    const char *layer = layer_of (site->place);

    if (!layer || strcmp (layer, name) != 0)
      continue;
    all++;
    notes[notes_of (site->address)]++;
    never += is_open (site);
  }
  reasoned = notes[NOTE_NEVER] - never;
  snprintf (line, sizeof line, "%-10s %10u %12u %10u %10u %10u\n", name, all,
            notes[NOTE_FAILED], notes[NOTE_NOT_AGAIN], reasoned, never);
  tell (line);
}

static void
tell_layers (void)
{
  char line[256];

  snprintf (line, sizeof line, "\n%-10s %10s %12s %10s %10s %10s\n", "layer",
            "call sites", "made to fail", "not again", "cannot be", "never");
  tell (line);
  for (unsigned i = 0; i < LAYERS; ++i) {
    bool told = false;

    for (unsigned j = 0; j < i; ++j)
      told |= strcmp (layers[j].name, layers[i].name) == 0;
    if (!told)
      tell_layer (layers[i].name);
  }
  tell ("\n");
}

static void
tell_rest (void)
{
  char line[512];

  tell ("Call sites that did not fail:\n");
  for (unsigned i = 0; i < call_sites_count (); ++i) {
    const struct call_site *site = call_sites_get (i);
    enum note note = notes_of (site->address);

    if (!layer_of (site->place) || note == NOTE_FAILED)
      continue;
    snprintf (line, sizeof line, "%-36s %-26s %s\n", site->place,
              site->function,
              note == NOTE_NOT_AGAIN ? "not come to when it was to fail"
                                     : reason_of (site));
    tell (line);
  }
  tell ("\n");
}

/* Calls that nobody thought of. */
static void
tell_unknown (void)
{
  for (unsigned i = 0; i < call_sites_count (); ++i) {
    const struct call_site *site = call_sites_get (i);

    if (site->wrapped || !layer_of (site->place) || reason_of (site)[0])
      continue;
    printf ("%s calls %s, which is neither wrapped (faults_wrapped in "
            "local.mk) nor known not to fail (sure.h)\n",
            site->place, site->function);
  }
}

bool
report_coverage (const char *left_out)
{
  unsigned open = report_count_open ();

  tell_layers ();
  tell_rest ();
  if (left_out[0]) {
    printf ("%u call sites are left to what was not run so far:%s\n", open,
            left_out);
    return true;
  }
  if (open == 0)
    return true;
  tell_unknown ();
  printf ("%u call sites never failed, and reasons.h does not tell why: see "
          "above\n",
          open);
  return false;
}

bool
report_sums (void)
{
  char line[1024];
  unsigned sites = 0;

  for (unsigned i = 0; i < faults->count; ++i)
    sites += atomic_load (&faults->sites[i].failed);
  snprintf (line, sizeof line,
            "%u call sites, %u faults: %u refused with a reason, %u failed and "
            "then worked, %u retried or done otherwise, %u not reached again, "
            "%u wrong (see %s)\n",
            sites, sum.runs, sum.refused, sum.failed, sum.hidden, sum.unreached,
            sum.wrong, table_path);
  tell (line);
  if (sites == 0) {
    printf ("no call site was found: is the program built with -g?\n");
    return false;
  }
  return sum.wrong == 0;
}
