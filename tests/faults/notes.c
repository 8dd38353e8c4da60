/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call-sites.h"
#include "faults.h"
#include "notes.h"

#define SCENARIOS 64
#define NAME 32

static char ran[SCENARIOS][NAME];
static unsigned ran_count;

/* Of other runs. */
static struct {
  uintptr_t address;
  enum note note;
} others[2 * FAULT_SITES];
static unsigned others_count;

void
notes_ran (const char *scenario)
{
  if (ran_count < SCENARIOS && !notes_have_run (scenario))
    snprintf (ran[ran_count++], NAME, "%s", scenario);
}

bool
notes_have_run (const char *scenario)
{
  for (unsigned i = 0; i < ran_count; ++i)
    if (strcmp (ran[i], scenario) == 0)
      return true;
  return false;
}

static enum note
note_of (const struct fault_site *site)
{
  if (atomic_load (&site->failed))
    return NOTE_FAILED;
  return site->tried ? NOTE_NOT_AGAIN : NOTE_NEVER;
}

enum note
notes_of (uintptr_t address)
{
  enum note best = NOTE_NEVER;

  for (unsigned i = 0; i < faults->count; ++i)
    if (call_sites_lying (faults->sites[i].address) == address
        && note_of (&faults->sites[i]) > best)
      best = note_of (&faults->sites[i]);
  for (unsigned i = 0; i < others_count; ++i)
    if (others[i].address == address && others[i].note > best)
      best = others[i].note;
  return best;
}

/* ---- files: which program it is, and a line for each site or scenario ---- */

static bool
is_of_this_program (FILE *file)
{
  struct stat st;
  long long size, seconds;

  return stat ("/proc/self/exe", &st) == 0
         && fscanf (file, "%lld %lld", &size, &seconds) == 2
         && size == (long long) st.st_size && seconds == st.st_mtim.tv_sec;
}

bool
notes_read (const char *path)
{
  FILE *file = fopen (path, "r");
  char word[NAME], what[NAME];
  bool same;

  if (!file)
    return false;
  same = is_of_this_program (file);
  while (same && fscanf (file, "%31s %31s", word, what) == 2) {
    unsigned long address;

    if (strcmp (word, "ran") == 0)
      notes_ran (what);
    else if (others_count < sizeof others / sizeof others[0]
             && sscanf (what, "%lx", &address) == 1) {
      others[others_count].address = address;
      others[others_count++].note
          = strcmp (word, "failed") == 0 ? NOTE_FAILED : NOTE_NOT_AGAIN;
    }
  }
  fclose (file);
  return same;
}

bool
notes_write (const char *path)
{
  char unfinished[600];
  struct stat st;
  FILE *file;

  snprintf (unfinished, sizeof unfinished, "%s-new", path);
  file = fopen (unfinished, "w");
  if (!file)
    return false;
  if (stat ("/proc/self/exe", &st) == 0)
    fprintf (file, "%lld %lld\n", (long long) st.st_size,
             (long long) st.st_mtim.tv_sec);
  for (unsigned i = 0; i < ran_count; ++i)
    fprintf (file, "ran %s\n", ran[i]);
  for (unsigned i = 0; i < faults->count; ++i) {
    enum note note = note_of (&faults->sites[i]);

    if (note != NOTE_NEVER)
      fprintf (file, "%s %lx\n", note == NOTE_FAILED ? "failed" : "not-again",
               (unsigned long) call_sites_lying (faults->sites[i].address));
  }
  return fclose (file) == 0 && rename (unfinished, path) == 0;
}
