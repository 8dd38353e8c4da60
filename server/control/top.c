/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ncurses.h>

#include "control/ask.h"
#include "control/screen.h"
#include "control/top.h"

#define BATCH_ROWS 60
#define MOST_SECONDS 3600

struct top {
  bool batch;
  long left;    /* times to show it, -1: without end */
  double delay; /* seconds */
  struct ask server;
  json_t *now, *before;
  double taken, taken_before; /* when, in seconds */
};

static int
take_count (const char *word, long *count, struct why *why)
{
  char *end;

  errno = 0;
  *count = word ? strtol (word, &end, 10) : 0;
  if (!word || errno != 0 || *end != '\0' || *count < 1)
    return why_set (why, EINVAL,
                    "-n takes how many times: a whole number from "
                    "1 on");
  return 0;
}

static int
take_delay (const char *word, double *delay, struct why *why)
{
  char *end;

  *delay = word ? strtod (word, &end) : 0;
  if (!word || *end != '\0' || !(*delay >= 0.1 && *delay <= MOST_SECONDS))
    return why_set (why, EINVAL, "-d takes seconds: a number from 0.1 to %d",
                    MOST_SECONDS);
  return 0;
}

static int
take_arguments (struct top *t, char *const words[], struct why *why)
{
  *t = (struct top){ .left = -1, .delay = 2 };
  for (; *words; ++words) {
    int r = 0;

    if (strcmp (*words, "-b") == 0)
      t->batch = true;
    else if (strcmp (*words, "-n") == 0)
      r = take_count (words[1], &t->left, why);
    else if (strcmp (*words, "-d") == 0)
      r = take_delay (words[1], &t->delay, why);
    else
      return why_set (why, EINVAL,
                      "\"%.100s\" is not taken here; top takes -b, "
                      "-n COUNT and -d SECONDS",
                      *words);
    if (r == -1)
      return -1;
    if (words[0][1] != 'b')
      words++;
  }
  return 0;
}

static double
seconds_now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);
  return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

/* The next sample.  A server that was restarted is found again. */
static int
take_sample (struct top *t, struct why *why)
{
  char *const words[] = { (char *) "status", NULL };
  json_t *sample;

  if (!t->server.answers && ask_open (&t->server, t->server.path, why) == -1)
    return -1;
  sample = ask (&t->server, words, why);
  if (!sample) {
    ask_close (&t->server);
    return -1;
  }
  json_decref (t->before);
  t->before = t->now;
  t->taken_before = t->taken;
  t->now = sample;
  t->taken = seconds_now ();
  return 0;
}

static void
print (FILE *out, const struct top *t, unsigned rows)
{
  time_t now = time (NULL);
  struct tm local;
  char text[16];

  localtime_r (&now, &local);
  strftime (text, sizeof text, "%H:%M:%S", &local);
  screen_print (out, &(struct screen){ .now = t->now,
                                       .before = t->before,
                                       .seconds = t->taken - t->taken_before,
                                       .clock = text,
                                       .rows = rows });
}

static int
run_batch (struct top *t, struct why *why)
{
  const struct timespec delay
      = { (time_t) t->delay,
          (long) ((t->delay - (double) (time_t) t->delay) * 1e9) };

  for (;;) {
    if (take_sample (t, why) == -1)
      return -1;
    print (stdout, t, BATCH_ROWS);
    if (t->left > 0 && --t->left == 0)
      return 0;
    putchar ('\n');
    /* Who reads a pipe no more has seen enough. */
    if (fflush (stdout) == EOF)
      return errno == EPIPE ? 0
                            : why_set (why, errno, "standard output: %s",
                                       strerror (errno));
    nanosleep (&delay, NULL);
  }
}

/* A message, if there is one, stands in the last line. */
static void
draw (const struct top *t, const char *message)
{
  char *lines = NULL, *line, *end;
  size_t length;
  FILE *out = open_memstream (&lines, &length);
  int row = 0;

  if (!out)
    return;
  if (t->now)
    print (out, t, (unsigned) (message ? LINES - 1 : LINES));
  fclose (out);
  erase ();
  for (line = lines; (end = strchr (line, '\n')); line = end + 1) {
    *end = '\0';
    if (strncmp (line, "TIER ", 5) == 0 || strncmp (line, "BACKING ", 8) == 0
        || strncmp (line, "CGROUP ", 7) == 0)
      attron (A_REVERSE);
    mvaddnstr (row++, 0, line, COLS);
    attroff (A_REVERSE);
  }
  if (message)
    mvaddnstr (LINES - 1, 0, message, COLS);
  refresh ();
  free (lines);
}

/* Wait for keys until it is time for the next sample.  False: it is q. */
static bool
wait_for_keys (const struct top *t, const char *message)
{
  double until = seconds_now () + t->delay, left;

  while ((left = until - seconds_now ()) > 0) {
    timeout ((int) ceil (left * 1000));
    switch (getch ()) {
    case 'q':
    case 'Q':
      return false;
    case KEY_RESIZE:
      draw (t, message);
      break;
    case ' ':
      return true;
    default:
      break;
    }
  }
  return true;
}

static int
run_terminal (struct top *t, struct why *why)
{
  const char *term = getenv ("TERM");
  struct why lost;
  const char *message;
  SCREEN *terminal;

  if (!isatty (STDIN_FILENO) || !isatty (STDOUT_FILENO))
    return why_set (why, ENOTTY,
                    "there is no terminal to show this on: use top -b");
  setlocale (LC_ALL, "");
  if (take_sample (t, why) == -1)
    return -1;
  terminal = newterm (NULL, stdout, stdin);
  if (!terminal)
    return why_set (why, ENOTTY,
                    "the terminal \"%s\" is not known here: set $TERM, or use "
                    "top -b",
                    term ? term : "");
  cbreak ();
  noecho ();
  keypad (stdscr, TRUE);
  curs_set (0);
  do {
    message = NULL;
    if (t->taken < seconds_now () - t->delay / 2
        && take_sample (t, &lost) == -1)
      message = lost.text;
    draw (t, message);
    if (t->left > 0 && --t->left == 0)
      break;
  } while (wait_for_keys (t, message));
  endwin ();
  delscreen (terminal);
  return 0;
}

int
top (const char *socket, char *const arguments[], struct why *why)
{
  struct top t;
  int r;

  if (take_arguments (&t, arguments, why) == -1)
    return -1;
  t.server.path = socket;
  r = t.batch ? run_batch (&t, why) : run_terminal (&t, why);
  ask_close (&t.server);
  json_decref (t.now);
  json_decref (t.before);
  return r;
}
