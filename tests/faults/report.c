/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "call-sites.h"
#include "faults.h"
#include "report.h"
#include "scenario.h"

static struct {
  unsigned runs, refused, failed, hidden, unreached, wrong;
} sum;

static FILE *table;
static char table_path[512];

/* "fault-matrix.txt", with another ending. */
static const char *
path_with (const char *folder_of_it, const char *ending, char path[512])
{
  snprintf (path, 512, "%s/fault-matrix.%s", folder_of_it, ending);
  return path;
}

static const char *
out_folder (void)
{
  static char path[400];
  const char *named = getenv ("FAULTS_OUT");

  snprintf (path, sizeof path, "%s%s", named ? named : build_folder,
            named ? "" : "/tests/faults");
  return path;
}

bool
report_open (void)
{
  table = fopen (path_with (out_folder (), "txt", table_path), "w");
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

static void
tell_outcome (char *outcome, size_t room)
{
  if (result->bad[0]) {
    const char *held_by = "";

    if (strstr (result->bad, "memory"))
      held_by = call_sites_place (result->held_at);
    sum.wrong++;
    snprintf (outcome, room, "WRONG: %s %s (%.150s)", result->bad, held_by,
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
            strerrorname_np (error), outcome);
  fputs (row, table);
  if (result->bad[0])
    fputs (row, stdout);
}

void
report_scenario (const char *scenario, double seconds)
{
  static unsigned runs;

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
  printf ("%s does not even work without a fault: %s%s %s (%s)\n", scenario,
          result->bad, result->refused, result->what, result->message);
}

/* ---- layers ---- */

static const struct layer {
  const char *name, *prefix;
} layers[] = {
  { "common", "server/common/" },    { "backing", "server/backing/" },
  { "store", "server/store/" },      { "policy", "server/policy/" },
  { "fuse", "server/control/fuse" }, { "attach", "server/control/ask." },
  { "control", "server/control/" },  { "attach", "server/attach/" },
  { "plugin", "plugin/" },
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

/* Which sites failed, by their place in the program: here, and in the run of
 * the same program whose notes are at $FAULTS_BEFORE.
 */
static uintptr_t before[FAULT_SITES];
static unsigned before_count;

static bool
same_program (FILE *notes)
{
  struct stat st;
  long long size, seconds;

  return stat ("/proc/self/exe", &st) == 0
         && fscanf (notes, "%lld %lld", &size, &seconds) == 2
         && size == (long long) st.st_size && seconds == st.st_mtim.tv_sec;
}

static void
read_before (void)
{
  const char *path = getenv ("FAULTS_BEFORE");
  FILE *notes = path ? fopen (path, "r") : NULL;
  unsigned long address;

  if (!notes)
    return;
  if (same_program (notes))
    while (before_count < FAULT_SITES && fscanf (notes, "%lx", &address) == 1)
      before[before_count++] = address;
  fclose (notes);
}

static void
write_notes (void)
{
  char path[512];
  FILE *notes = fopen (path_with (out_folder (), "notes", path), "w");
  struct stat st;

  if (!notes || stat ("/proc/self/exe", &st) == -1)
    return;
  fprintf (notes, "%lld %lld\n", (long long) st.st_size,
           (long long) st.st_mtim.tv_sec);
  for (unsigned i = 0; i < faults->count; ++i)
    if (atomic_load (&faults->sites[i].failed))
      fprintf (notes, "%lx\n",
               (unsigned long) call_sites_lying (faults->sites[i].address));
  fclose (notes);
}

static bool
has_failed (const struct call_site *site)
{
  for (unsigned i = 0; i < faults->count; ++i)
    if (atomic_load (&faults->sites[i].failed)
        && call_sites_lying (faults->sites[i].address) == site->address)
      return true;
  for (unsigned i = 0; i < before_count; ++i)
    if (before[i] == site->address)
      return true;
  return false;
}

/* On paper and on the table. */
static void
tell (const char *line)
{
  fputs (line, stdout);
  fputs (line, table);
}

static void
tell_layer (const char *name)
{
  unsigned all = 0, failed_there = 0, reasoned = 0;
  char line[256];

  for (unsigned i = 0; i < call_sites_count (); ++i) {
    const struct call_site *site = call_sites_get (i);
    const char *layer = layer_of (site->place);

    if (!layer || strcmp (layer, name) != 0)
      continue;
    all++;
    if (has_failed (site))
      failed_there++;
    else if (reason_of (site)[0])
      reasoned++;
  }
  snprintf (line, sizeof line, "%-10s %10u %12u %10u %10u\n", name, all,
            failed_there, reasoned, all - failed_there - reasoned);
  tell (line);
}

static void
tell_layers (void)
{
  char line[256];

  snprintf (line, sizeof line, "\n%-10s %10s %12s %10s %10s\n", "layer",
            "call sites", "made to fail", "cannot be", "never");
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

/* Those that never failed; only on paper. */
static void
list_rest (void)
{
  fprintf (table, "Call sites that did not fail:\n");
  for (unsigned i = 0; i < call_sites_count (); ++i) {
    const struct call_site *site = call_sites_get (i);

    if (layer_of (site->place) && !has_failed (site))
      fprintf (table, "%-36s %-26s %s\n", site->place, site->function,
               reason_of (site));
  }
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
report_sums (bool all)
{
  char line[1024];
  unsigned sites = 0;

  read_before ();
  if (all) {
    write_notes ();
    tell_layers ();
    list_rest ();
    tell_unknown ();
  }
  for (unsigned i = 0; i < faults->count; ++i)
    sites += atomic_load (&faults->sites[i].failed);
  snprintf (line, sizeof line,
            "%u call sites, %u faults: %u refused with a reason, %u failed and "
            "then worked, %u retried or done otherwise, %u not reached again, "
            "%u wrong (see %s)\n",
            sites, sum.runs, sum.refused, sum.failed, sum.hidden, sum.unreached,
            sum.wrong, table_path);
  tell (line);
  if (sites == 0 && all) {
    printf ("no call site was found: is the program built with -g?\n");
    return false;
  }
  return sum.wrong == 0;
}
