/* SPDX-License-Identifier: BSD-3-Clause */
/* touch-pages: a program whose memory is worth swapping.
 *
 *   touch-pages [-k KIND] [-n PASSES] [-o ORDER] [-s SEED]
 *               [-w FILE [-t HOT]] MEBIBYTES
 *
 * It maps MEBIBYTES of anonymous memory.  Each pass writes every page, then
 * reads every page back and compares all of it; a pass that is not the first
 * also compares what the last one left before it writes over it.  What a page
 * holds is a function of its number, the pass and SEED, so that a page that
 * comes back from another place, another time or half is found out.
 *
 * With -w it then makes FILE, waits until somebody removes FILE, and compares
 * all pages once more.  With -t, too, it does not only wait: the first HOT MiB
 * are written, read and compared in one more pass after another, while the rest
 * is left alone and so gets cold.  FILE tells the number of passes of that kind
 * that are done.
 *
 * Exit status: 0; 1 and one line on standard error for the first page that is
 * wrong; 2 for a mistake in the arguments, no memory, or no FILE.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define WORDS (PAGE / sizeof (uint64_t))

enum kind {
  KIND_REAL,   /* pointers, counters, gaps: what heaps look like */
  KIND_TEXT,   /* words of a language */
  KIND_SAME,   /* one 8-byte pattern all over */
  KIND_RANDOM, /* does not compress */
  KIND_MIXED   /* by page: 5 of 8 real, and one of each other */
};

static const char *const kind_names[] = {
  [KIND_REAL] = "real",     [KIND_TEXT] = "text",   [KIND_SAME] = "same",
  [KIND_RANDOM] = "random", [KIND_MIXED] = "mixed",
};

struct work {
  uint64_t (*memory)[WORDS];
  size_t pages;
  enum kind kind;
  uint64_t seed;
  unsigned passes;
  bool sequential;
  size_t hot_pages; /* the first ones, and what they have more of passes */
  unsigned hot_passes;
};

static void __attribute__ ((noreturn, format (printf, 2, 3)))
give_up (int status, const char *format, ...)
{
  va_list arguments;

  fputs ("touch-pages: ", stderr);
  va_start (arguments, format);
  vfprintf (stderr, format, arguments);
  va_end (arguments);
  fputc ('\n', stderr);
  exit (status);
}

/* The finalizer of splitmix64: every bit of the result depends on every bit
 * of X.
 */
static uint64_t
mix (uint64_t x)
{
  x ^= x >> 30;
  x *= UINT64_C (0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C (0x94d049bb133111eb);
  return x ^ (x >> 31);
}

/* xorshift64*; the state is never 0. */
static uint64_t
next_random (uint64_t *state)
{
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C (0x2545f4914f6cdd1d);
}

static void
fill_real (uint64_t *words, uint64_t *state)
{
  uint64_t heap = UINT64_C (0x7f0000000000) | (next_random (state) >> 20 << 12);

  heap &= UINT64_C (0x7fffffffffff);
  for (size_t i = 0; i < WORDS; ++i) {
    uint64_t r = next_random (state);

    switch (r >> 60) {
    case 0 ... 5:
      words[i] = 0;
      break;
    case 6 ... 8:
      words[i] = heap + (r & 0xfff0);
      break;
    case 9 ... 10:
      words[i] = r & 0x3f;
      break;
    case 11:
      words[i] = r & 0xffffffff;
      break;
    default:
      words[i] = i < 8 ? heap : words[i - 8 + (r & 3)];
    }
  }
}

static void
fill_text (uint64_t *words, uint64_t *state)
{
  static const char vocabulary[32][12] = {
    "the ",     "of ",      "memory ", "page ",   "kernel ", "and ",
    "is ",      "written ", "back ",   "to ",     "a ",      "segment ",
    "which ",   "holds ",   "every ",  "object ", "in ",     "tier ",
    "swapped ", "out ",     "when ",   "cold; ",  "it ",     "returns ",
    "again, ",  "faster ",  "than ",   "disk.\n", "never ",  "waiting ",
    "for ",     "others. ",
  };
  char *text = (char *) words;
  size_t used = 0;

  while (used < PAGE) {
    const char *word = vocabulary[next_random (state) >> 59];
    size_t length = strlen (word);

    if (length > PAGE - used)
      length = PAGE - used;
    memcpy (text + used, word, length);
    used += length;
  }
}

static void
fill_page (const struct work *work, size_t page, unsigned pass,
           uint64_t words[WORDS])
{
  uint64_t state = mix (work->seed + mix (pass + mix (page + 1))) | 1;
  enum kind kind = work->kind;

  if (kind == KIND_MIXED)
    kind = mix (page) % 8 > KIND_RANDOM ? KIND_REAL : mix (page) % 8;
  switch (kind) {
  case KIND_REAL:
  case KIND_MIXED:
    fill_real (words, &state);
    words[0] = state;
    break;
  case KIND_TEXT:
    fill_text (words, &state);
    break;
  case KIND_SAME:
    for (size_t i = 0; i < WORDS; ++i)
      words[i] = state;
    break;
  case KIND_RANDOM:
    for (size_t i = 0; i < WORDS; ++i)
      words[i] = next_random (&state);
    break;
  }
}

static void
check_page (const struct work *work, size_t page, unsigned pass)
{
  uint64_t expected[WORDS];

  if (page < work->hot_pages)
    pass += work->hot_passes;
  fill_page (work, page, pass, expected);
  if (memcmp (expected, work->memory[page], PAGE) == 0)
    return;
  for (size_t i = 0; i < WORDS; ++i)
    if (work->memory[page][i] != expected[i])
      give_up (1,
               "page %zu is wrong at byte %zu after pass %u: "
               "%016jx, not %016jx",
               page, i * sizeof (uint64_t), pass,
               (uintmax_t) work->memory[page][i], (uintmax_t) expected[i]);
}

/* The NUMBERth page of an order over all pages. */
struct order {
  uint64_t state, mask, step;
};

static struct order
start_order (const struct work *work, unsigned pass)
{
  struct order order = { .state = 0, .mask = 1 };

  while (order.mask < work->pages)
    order.mask <<= 1;
  order.mask--;
  order.step = mix (work->seed + pass) | 1;
  return order;
}

static size_t
next_page (const struct work *work, struct order *order, size_t number)
{
  if (work->sequential)
    return number;
  /* A linear congruential generator of full period over the next power of
   * two, of which the values that are no page are left out.
   */
  do
    order->state
        = (order->state * UINT64_C (1664525) + order->step) & order->mask;
  while (order->state >= work->pages);
  return order->state;
}

/* Say how far it is, at most every two seconds. */
static void
progress (const struct work *work, const char *what, size_t number)
{
  static struct timespec last;
  struct timespec now;

  if (number % 256 != 0)
    return;
  clock_gettime (CLOCK_MONOTONIC, &now);
  if (number == 0)
    last = now;
  if (now.tv_sec - last.tv_sec < 2)
    return;
  last = now;
  printf ("touch-pages: %s: %zu of %zu MiB\n", what, number * PAGE >> 20,
          work->pages * PAGE >> 20);
}

static void
write_pages (const struct work *work, unsigned pass)
{
  struct order order = start_order (work, pass);

  for (size_t i = 0; i < work->pages; ++i) {
    size_t page = next_page (work, &order, i);

    if (pass > 1)
      check_page (work, page, pass - 1);
    fill_page (work, page, pass, work->memory[page]);
    progress (work, "writing", i);
  }
}

static void
check_pages (const struct work *work, unsigned pass)
{
  struct order order = start_order (work, pass + 1);

  for (size_t i = 0; i < work->pages; ++i) {
    check_page (work, next_page (work, &order, i), pass);
    progress (work, "reading", i);
  }
}

/* One more pass over the pages that are kept hot. */
static void
touch_hot_pages (struct work *work)
{
  const struct work hot = {
    .memory = work->memory,
    .pages = work->hot_pages,
    .kind = work->kind,
    .seed = work->seed,
    .sequential = work->sequential,
  };
  unsigned pass = work->passes + work->hot_passes + 1;

  write_pages (&hot, pass);
  check_pages (&hot, pass);
  work->hot_passes++;
}

static void
wait_for_removal (struct work *work, const char *file)
{
  int fd = open (file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

  if (fd == -1)
    give_up (2, "%s: %s", file, strerror (errno));
  printf ("touch-pages: waiting until %s is removed\n", file);
  while (access (file, F_OK) == 0)
    if (work->hot_pages == 0)
      usleep (50000);
    else {
      touch_hot_pages (work);
      if (lseek (fd, 0, SEEK_SET) == -1
          || dprintf (fd, "%u\n", work->hot_passes) < 0)
        give_up (2, "%s: %s", file, strerror (errno));
    }
  close (fd);
}

static uint64_t
parse_number (const char *text, uint64_t least, uint64_t most)
{
  char *end;
  uintmax_t number;

  errno = 0;
  number = strtoumax (text, &end, 10);
  if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || number < least
      || number > most)
    give_up (2, "%s is not a number from %ju to %ju", text, (uintmax_t) least,
             (uintmax_t) most);
  return number;
}

static enum kind
parse_kind (const char *text)
{
  for (enum kind kind = KIND_REAL; kind <= KIND_MIXED; ++kind)
    if (strcmp (text, kind_names[kind]) == 0)
      return kind;
  give_up (2, "%s is not a kind: real, text, same, random or mixed", text);
}

static void
parse_arguments (int argc, char *argv[], struct work *work, const char **file)
{
  uint64_t hot = 0;
  int option;

  while ((option = getopt (argc, argv, "k:n:o:s:t:w:")) != -1)
    switch (option) {
    case 'k':
      work->kind = parse_kind (optarg);
      break;
    case 'n':
      work->passes = parse_number (optarg, 1, 1000000);
      break;
    case 'o':
      work->sequential = strcmp (optarg, "sequential") == 0;
      if (!work->sequential && strcmp (optarg, "random") != 0)
        give_up (2, "%s is not an order: sequential or random", optarg);
      break;
    case 's':
      work->seed = parse_number (optarg, 0, UINT64_MAX);
      break;
    case 't':
      hot = parse_number (optarg, 1, SIZE_MAX >> 20);
      break;
    case 'w':
      *file = optarg;
      break;
    default:
      exit (2);
    }
  if (optind != argc - 1)
    give_up (2, "how many MiB?");
  work->pages
      = parse_number (argv[optind], 1, SIZE_MAX >> 20) * ((1 << 20) / PAGE);
  work->hot_pages = hot * ((1 << 20) / PAGE);
  if (work->hot_pages > work->pages)
    give_up (2, "-t: the hot pages are a part of all");
  if (hot != 0 && *file == NULL)
    give_up (2, "-t goes with -w");
}

int
main (int argc, char *argv[])
{
  struct work work = { .passes = 1, .seed = 1 };
  const char *file = NULL;

  setvbuf (stdout, NULL, _IOLBF, 0);
  parse_arguments (argc, argv, &work, &file);
  work.memory = mmap (NULL, work.pages * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (work.memory == MAP_FAILED)
    give_up (2, "%zu pages: %s", work.pages, strerror (errno));

  for (unsigned pass = 1; pass <= work.passes; ++pass) {
    write_pages (&work, pass);
    check_pages (&work, pass);
    printf ("touch-pages: pass %u of %u: %zu pages written, read, right\n",
            pass, work.passes, work.pages);
  }
  if (file != NULL) {
    wait_for_removal (&work, file);
    check_pages (&work, work.passes);
    if (work.hot_pages != 0)
      printf ("touch-pages: %zu pages written %u times more\n", work.hot_pages,
              work.hot_passes);
    printf ("touch-pages: %zu pages read again, right\n", work.pages);
  }
  return 0;
}
