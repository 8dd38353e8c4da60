/* SPDX-License-Identifier: BSD-3-Clause */
/* A fuzz target where there is no libFuzzer: all inputs of a corpus, and then
 * for some time inputs made of them, by changing, cutting and joining.  It
 * measures no coverage, so it finds less; but it needs only the compiler that
 * everything else needs, and runs in every check.
 *
 * usage: TARGET [SECONDS [SEED]]
 *
 * SECONDS is 5 if it is not given; where CI is set, and the address sanitizer
 * looks on, 60.  An input that takes HANG seconds hangs.
 *
 * The corpus is $srcdir/tests/fuzz/corpus/NAME of fuzz-NAME.  An input that
 * crashes is kept as tests/fuzz/crash-NAME in the build folder.
 */
#include <config.h>

#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pages.h"

extern int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

#define SECONDS 5
#define SECONDS_IN_CI 60
#define HANG 300
#define INPUTS 2048
#define INPUT_MOST 8192

static struct {
  uint8_t *data;
  size_t size;
} corpus[INPUTS];
static unsigned corpus_count;
static uint64_t state = 1;
static uint8_t input[INPUT_MOST];
static size_t input_size;
static char crash_path[512];

static uint64_t
pick (uint64_t below)
{
  return random_next (&state) % below;
}

/* What is at work when it ends badly.  (open and write may be called here.) */
static void
keep_input (int signal_number)
{
  FILE *file = fopen (crash_path, "w");

  if (file) {
    fwrite (input, 1, input_size, file);
    fclose (file);
  }
  signal (signal_number, SIG_DFL);
  raise (signal_number);
}

static void
load (const char *path)
{
  FILE *file = fopen (path, "r");

  if (!file || corpus_count == INPUTS)
    exit (EXIT_FAILURE);
  corpus[corpus_count].data = malloc (INPUT_MOST);
  if (!corpus[corpus_count].data)
    exit (EXIT_FAILURE);
  corpus[corpus_count].size
      = fread (corpus[corpus_count].data, 1, INPUT_MOST, file);
  corpus_count++;
  fclose (file);
}

static void
load_corpus (const char *folder)
{
  struct dirent **names;
  char path[1024];
  int count = scandir (folder, &names, NULL, alphasort);

  for (int i = 0; i < count; ++i) {
    if (names[i]->d_name[0] != '.') {
      snprintf (path, sizeof path, "%s/%s", folder, names[i]->d_name);
      load (path);
    }
    free (names[i]);
  }
  if (count > 0)
    free (names);
}

static void
mutate_once (void)
{
  static const uint8_t special[] = { 0, 1, 0x7f, 0x80, 0xff, ' ', '"', '\n' };
  size_t at = input_size ? pick (input_size) : 0, length, from;
  unsigned other = (unsigned) pick (corpus_count);

  switch (pick (7)) {
  case 0: /* a bit */
    if (input_size)
      input[at] ^= (uint8_t) (1 << pick (8));
    break;
  case 1: /* a byte */
    if (input_size)
      input[at]
          = pick (2) ? special[pick (sizeof special)] : (uint8_t) pick (256);
    break;
  case 2: /* cut off */
    input_size = at;
    break;
  case 3: /* cut out */
    length = input_size > at ? pick (input_size - at) : 0;
    memmove (input + at, input + at + length, input_size - at - length);
    input_size -= length;
    break;
  case 4: /* twice */
    length = input_size > at ? pick (input_size - at) : 0;
    if (input_size + length > INPUT_MOST)
      break;
    memmove (input + at + length, input + at, input_size - at);
    input_size += length;
    break;
  default: /* a piece of another */
    if (corpus[other].size == 0)
      break;
    from = pick (corpus[other].size);
    length = 1 + pick (corpus[other].size - from);
    if (at + length > INPUT_MOST)
      length = INPUT_MOST - at;
    memcpy (input + at, corpus[other].data + from, length);
    if (at + length > input_size)
      input_size = at + length;
  }
}

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void
use (unsigned which, unsigned mutations)
{
  input_size = corpus[which].size;
  memcpy (input, corpus[which].data, input_size);
  for (unsigned i = 0; i < mutations; ++i)
    mutate_once ();
  alarm (HANG);
  LLVMFuzzerTestOneInput (input, input_size);
}

static double
usual_seconds (void)
{
  const char *ci = getenv ("CI"), *sanitizer = getenv ("SANITIZER");

  return ci && strcmp (ci, "true") == 0 && sanitizer
                 && strcmp (sanitizer, "address") == 0
             ? SECONDS_IN_CI
             : SECONDS;
}

int
main (int argc, char *argv[])
{
  static const int ends[]
      = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
  const char *source = getenv ("srcdir"), *build = getenv ("builddir");
  const char *name = strrchr (argv[0], '/');
  double until = argc > 1 ? strtod (argv[1], NULL) : usual_seconds ();
  char folder[512];
  unsigned long runs = 0;

  name = name ? name + 1 : argv[0];
  if (strncmp (name, "fuzz-", 5) == 0)
    name += 5;
  if (strncmp (name, "replay-", 7) == 0)
    name += 7;
  if (argc > 2)
    state = strtoull (argv[2], NULL, 0);
  snprintf (folder, sizeof folder, "%s/tests/fuzz/corpus/%s",
            source ? source : ".", name);
  snprintf (crash_path, sizeof crash_path, "%s/tests/fuzz/crash-%s",
            build ? build : ".", name);
  for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; ++i)
    signal (ends[i], keep_input);
  load_corpus (folder);
  if (corpus_count == 0) {
    fprintf (stderr, "%s: there is no corpus\n", folder);
    return EXIT_FAILURE;
  }
  for (unsigned i = 0; i < corpus_count; ++i)
    use (i, 0);
  for (until += now (); now () < until; ++runs)
    use ((unsigned) pick (corpus_count), 1 + (unsigned) pick (6));
  printf ("%s: %u inputs of the corpus, %lu made of them\n", name, corpus_count,
          runs);
  for (unsigned i = 0; i < corpus_count; ++i)
    free (corpus[i].data);
  return EXIT_SUCCESS;
}
