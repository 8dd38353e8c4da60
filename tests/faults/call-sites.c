/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call-sites.h"

#define SITES 4096
#define TAILS 512

static struct call_site sites[SITES];
static unsigned count;
static uintptr_t base;

/* Calls of these do not fail, or only as their arguments are, or there is
 * nothing to be done about it; what gives back is accounted for otherwise.
 */
static const char *const sure[] = {
#include "sure.h"
};

static int
compare_names (const void *a, const void *b)
{
  return strcmp (a, *(const char *const *) b);
}

static bool
is_sure (const char *name)
{
  /* The compiler's and the sanitizers' own. */
  if (strncmp (name, "__asan", 6) == 0 || strncmp (name, "__ubsan", 7) == 0
      || strncmp (name, "__tsan", 6) == 0)
    return true;
  return bsearch (name, sure, sizeof sure / sizeof sure[0], sizeof sure[0],
                  compare_names)
         != NULL;
}

static int
find_base (struct dl_phdr_info *info, size_t size, void *data)
{
  (void) size;
  (void) data;
  base = info->dlpi_addr;
  return 1; /* the first is the program */
}

uintptr_t
call_sites_lying (uintptr_t address)
{
  if (base == 0)
    dl_iterate_phdr (find_base, NULL);
  return address - base;
}

/* Its name may be another one in the name space of mounts that it has made. */
static const char *
program (void)
{
  static char path[32];

  snprintf (path, sizeof path, "/proc/%d/exe", (int) getpid ());
  return path;
}

/* "<__wrap_NAME>" or "<NAME@plt>": the NAME. */
static bool
take_function (const char *line, struct call_site *site)
{
  const char *start = strchr (line, '<'), *end;
  size_t length;

  if (!start)
    return false;
  ++start;
  site->wrapped = strncmp (start, "__wrap_", 7) == 0;
  end = strchr (start, site->wrapped ? '>' : '@');
  if (!end || (!site->wrapped && strncmp (end, "@plt>", 5) != 0))
    return false;
  start += site->wrapped ? 7 : 0;
  length = (size_t) (end - start);
  if (length >= sizeof site->function)
    length = sizeof site->function - 1;
  memcpy (site->function, start, length);
  site->function[length] = '\0';
  return !is_sure (site->function);
}

/* The code of the program, which is read more than once, or NULL. */
static FILE *
disassemble (void)
{
  static char text[65536];
  FILE *pipe, *code = tmpfile ();
  char line[640];
  size_t n;

  snprintf (line, sizeof line, "objdump -d --no-show-raw-insn '%s' 2>/dev/null",
            program ());
  pipe = popen (line, "r");
  while (pipe && code && (n = fread (text, 1, sizeof text, pipe)) > 0)
    fwrite (text, 1, n, code);
  if ((!pipe || pclose (pipe) != 0) && code) {
    fclose (code);
    return NULL;
  }
  return code;
}

/* A jump to it is the last call of a function, and returns to that one's
 * caller.
 */
static struct tail {
  uintptr_t from; /* where the function begins */
  struct call_site site;
} tails[TAILS];
static unsigned tails_count;

static bool
read_tails (FILE *code)
{
  uintptr_t from = 0;
  char line[1024];

  rewind (code);
  while (fgets (line, sizeof line, code)) {
    if (line[0] == '0')
      from = strtoul (line, NULL, 16);
    else if (strstr (line, "\tjmp ") && tails_count < TAILS
             && take_function (line, &tails[tails_count].site))
      tails[tails_count++].from = from;
  }
  return tails_count < TAILS;
}

static bool
take_call (const char *line, struct call_site *site)
{
  const char *call = strstr (line, "\tcall ");
  uintptr_t to;

  if (!call)
    return false;
  if (take_function (call, site))
    return true;
  to = strtoul (call + 6, NULL, 16);
  for (unsigned i = 0; i < tails_count; ++i)
    if (tails[i].from == to) {
      *site = tails[i].site;
      return true;
    }
  return false;
}

static bool
read_calls (FILE *code)
{
  char line[1024];
  bool called = false;

  rewind (code);
  while (count < SITES && fgets (line, sizeof line, code)) {
    char *end;
    uintptr_t address = strtoul (line, &end, 16);

    if (line[0] != ' ' || *end != ':')
      continue;
    if (called)
      sites[count++].address = address;
    called = count < SITES && take_call (line, &sites[count]);
  }
  return count > 0 && count < SITES;
}

/* "folder/file.c:LINE" out of what addr2line says. */
static void
take_place (char *line, struct call_site *site)
{
  static const char *const folders[]
      = { "/server/", "/plugin/", "/tests/", "/shim/" };
  const char *start = NULL;

  line[strcspn (line, " \n")] = '\0';
  for (unsigned i = 0; !start && i < sizeof folders / sizeof folders[0]; ++i)
    start = strstr (line, folders[i]);
  snprintf (site->place, sizeof site->place, "%.63s", start ? start + 1 : line);
}

/* All at once: reading what the compiler noted of the program takes its time.
 */
static bool
read_places (void)
{
  char list[] = "/tmp/tierswap-sites-XXXXXX", line[1024];
  int fd = mkstemp (list);
  FILE *file = fd == -1 ? NULL : fdopen (fd, "w"), *pipe;
  unsigned i = 0;

  if (!file)
    return false;
  for (i = 0; i < count; ++i)
    fprintf (file, "0x%lx\n", (unsigned long) sites[i].address - 1);
  fclose (file);
  snprintf (line, sizeof line, "addr2line -e '%s' <'%s' 2>/dev/null",
            program (), list);
  pipe = popen (line, "r");
  for (i = 0; pipe && i < count && fgets (line, sizeof line, pipe); ++i)
    take_place (line, &sites[i]);
  if (pipe)
    pclose (pipe);
  unlink (list);
  return i == count;
}

bool
call_sites_read (void)
{
  FILE *code;
  bool read;

  for (unsigned i = 1; i < sizeof sure / sizeof sure[0]; ++i)
    if (strcmp (sure[i - 1], sure[i]) >= 0) {
      printf ("sure.h is not in order: %s\n", sure[i]);
      return false;
    }
  code = disassemble ();
  read = code && read_tails (code) && read_calls (code);
  if (code)
    fclose (code);
  return read && read_places ();
}

unsigned
call_sites_count (void)
{
  return count;
}

struct call_site *
call_sites_get (unsigned index)
{
  return &sites[index];
}

static int
compare_addresses (const void *a, const void *b)
{
  const struct call_site *site = b;
  uintptr_t address = *(const uintptr_t *) a;

  return address < site->address ? -1 : address > site->address;
}

const char *
call_sites_place (uintptr_t address)
{
  const uintptr_t lying = call_sites_lying (address);
  const struct call_site *site
      = bsearch (&lying, sites, count, sizeof sites[0], compare_addresses);

  return site ? site->place : "?";
}
