/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/swap.h"
#include "common/protect.h"
#include "control/human.h"

#define SIGNATURE "SWAPSPACE2"
#define LABEL "tierswap"

/* The first page, as the kernel's union swap_header has it. */
struct header {
  unsigned char boot[1024];
  uint32_t version, last_page, bad_pages;
  unsigned char uuid[16], label[16];
  unsigned char unused[SWAP_PAGE - 1024 - 12 - 32 - 10];
  char signature[10];
};
_Static_assert(sizeof (struct header) == SWAP_PAGE, "a header is a page");

static void
uuid_text (const unsigned char uuid[16], char text[SWAP_UUID_ROOM])
{
  for (unsigned i = 0; i < 16; ++i) {
    snprintf (text, 3, "%02x", uuid[i]);
    text += 2;
    if (i == 3 || i == 5 || i == 7 || i == 9)
      *text++ = '-';
  }
  *text = '\0';
}

static void
uuid_bytes (const char text[SWAP_UUID_ROOM], unsigned char uuid[16])
{
  for (unsigned i = 0; i < 16; ++i) {
    char digits[3];

    text += *text == '-';
    memcpy (digits, text, 2);
    digits[2] = '\0';
    uuid[i] = (unsigned char) strtoul (digits, NULL, 16);
    text += 2;
  }
}

int
swap_new_uuid (char text[SWAP_UUID_ROOM], struct why *why)
{
  unsigned char uuid[16];

  if (getrandom (uuid, sizeof uuid, 0) != sizeof uuid)
    return why_set (why, errno, "getrandom: %s", strerror (errno));
  uuid[6] = (unsigned char) ((uuid[6] & 0x0f) | 0x40); /* a random one */
  uuid[8] = (unsigned char) ((uuid[8] & 0x3f) | 0x80);
  uuid_text (uuid, text);
  return 0;
}

bool
swap_read_header (const unsigned char page[SWAP_PAGE],
                  char uuid[SWAP_UUID_ROOM])
{
  const struct header *header = (const struct header *) page;

  if (memcmp (header->signature, SIGNATURE, sizeof header->signature) != 0)
    return false;
  uuid_text (header->uuid, uuid);
  return true;
}

int
swap_make (const char *path, uint64_t size, const char uuid[SWAP_UUID_ROOM],
           struct why *why)
{
  uint64_t pages = size / SWAP_PAGE;
  struct header header = { .version = 1 };
  int fd = open (path, O_WRONLY | O_EXCL | O_CLOEXEC), saved_errno;
  bool done;

  if (fd == -1)
    return why_set (why, errno, "%s: %s", path, strerror (errno));
  header.last_page = (uint32_t) ((pages > UINT32_MAX ? UINT32_MAX : pages) - 1);
  uuid_bytes (uuid, header.uuid);
  memcpy (header.label, LABEL, sizeof LABEL);
  memcpy (header.signature, SIGNATURE, sizeof header.signature);
  done = pwrite (fd, &header, sizeof header, 0) == sizeof header
         && fsync (fd) == 0;
  saved_errno = errno;
  close (fd);
  return done ? 0
              : why_set (why, saved_errno,
                         "%s: a swap area cannot be written to it: %s", path,
                         strerror (saved_errno));
}

int
swap_on (const char *path, int priority, struct why *why)
{
  int flags = SWAP_FLAG_DISCARD;

  if (priority >= 0)
    flags |= SWAP_FLAG_PREFER | (priority & SWAP_FLAG_PRIO_MASK);
  if (swapon (path, flags) == 0)
    return 0;
  switch (errno) {
  case EPERM:
    return why_set (why, EPERM,
                    "%s cannot be swapped on: this needs root, and a kernel "
                    "that takes one swap area more",
                    path);
  default:
    return why_set (why, errno,
                    "%s cannot be swapped on: %s; dmesg may tell "
                    "more",
                    path, strerror (errno));
  }
}

/* A line of /proc/swaps: a path with spaces as \040, then sizes in KiB.  -1 if
 * it cannot be told whether it is the disk's.
 */
static int
take_line (char *line, dev_t number, struct swap_usage *usage)
{
  char *path = strtok (line, " \t"), *size, *used;
  struct stat status;
  uint64_t all, taken;

  if (!path || path[0] != '/' || !strtok (NULL, " \t")
      || !(size = strtok (NULL, " \t")) || !(used = strtok (NULL, " \t")))
    return 0;
  all = strtoull (size, NULL, 10) << 10;
  taken = strtoull (used, NULL, 10) << 10;
  if (stat (path, &status) == -1) {
    if (errno != ENOENT)
      return -1;
    status.st_mode = 0; /* a file that was removed, or is not seen from here */
  }
  if (S_ISBLK (status.st_mode) && status.st_rdev == number) {
    usage->on = true;
    usage->used = taken;
  }
  else
    usage->elsewhere += all > taken ? all - taken : 0;
  return 0;
}

/* TAKE each line of PATH; all of them, for one that is missing would tell that
 * the disk is not swapped on.
 */
static int
each_line (const char *path,
           int (*take) (char *line, dev_t number, struct swap_usage *usage),
           dev_t number, struct swap_usage *usage, struct why *why)
{
  static char line[4352]; /* a path can be long */
  FILE *file = fopen (path, "re");
  int code = file ? 0 : errno;

  while (code == 0 && fgets (line, sizeof line, file))
    code = take (line, number, usage) == -1 ? errno : 0;
  if (code == 0 && ferror (file))
    code = EIO;
  if (file)
    fclose (file);
  return code == 0 ? 0 : why_set (why, code, "%s: %s", path, strerror (code));
}

static int
take_memory (char *line, dev_t number, struct swap_usage *usage)
{
  (void) number;
  if (sscanf (line, "MemAvailable: %" SCNu64, &usage->memory_free) == 1)
    usage->memory_free <<= 10;
  return 0;
}

int
swap_get_usage (dev_t number, struct swap_usage *usage, struct why *why)
{
  *usage = (struct swap_usage){ .on = false };
  if (each_line ("/proc/swaps", take_line, number, usage, why) == -1)
    return -1;
  return each_line ("/proc/meminfo", take_memory, number, usage, why);
}

uint64_t
swap_missing (const struct swap_usage *usage)
{
  uint64_t room = usage->memory_free + usage->elsewhere;

  return usage->on && usage->used > room ? usage->used - room : 0;
}

/* The kernel did not finish.  What is on the disk now is what is missing, as
 * far as can be told.
 */
static int
did_not_finish (const char *path, dev_t number, const char *what,
                struct why *why)
{
  char used[HUMAN_ROOM], memory[HUMAN_ROOM], elsewhere[HUMAN_ROOM];
  struct swap_usage usage;

  if (swap_get_usage (number, &usage, why) == -1)
    return -1;
  return why_set (why, ENOMEM,
                  "%s is still swapped on: %s; %s are on it, and there are %s "
                  "of memory and %s of other swap for them; end programs or "
                  "add swap, and detach it again",
                  path, what, human_bytes (usage.used, used),
                  human_bytes (usage.memory_free, memory),
                  human_bytes (usage.elsewhere, elsewhere));
}

/* When memory is short the kernel kills the process that swaps off before any
 * other.  So that somebody is left to tell, that is a child.
 */
int
swap_off (const char *path, dev_t number, struct why *why)
{
  int status, error;
  pid_t parent = getpid (), child = fork ();

  if (child == -1)
    return why_set (why, errno, "fork: %s", strerror (errno));
  if (child == 0) {
    /* Nobody would know what has become of the disk. */
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (getppid () != parent)
      _exit (EINTR);
    /* -1000, if that is what we have, would keep us from being killed. */
    if (protect_set_oom_score ("0") == -1)
      fputs ("tierswapctl: oom_score_adj stays as it is\n", stderr);
    _exit (swapoff (path) == 0 ? 0 : errno);
  }
  while (waitpid (child, &status, 0) == -1)
    if (errno != EINTR)
      return why_set (why, errno, "waitpid: %s", strerror (errno));
  if (WIFSIGNALED (status))
    return did_not_finish (path, number,
                           WTERMSIG (status) == SIGKILL
                               ? "the kernel ran out of memory"
                               : "it was interrupted",
                           why);
  error = WEXITSTATUS (status);
  switch (error) {
  case 0:
    return 0;
  case ENOMEM:
    return did_not_finish (path, number, "there is not enough memory", why);
  case EINTR:
    return did_not_finish (path, number, "it was interrupted", why);
  default:
    return why_set (why, error, "%s cannot be swapped off: %s", path,
                    strerror (error));
  }
}
