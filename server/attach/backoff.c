/* SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "attach/backoff.h"

void
backoff_start (struct backoff *backoff, int64_t now)
{
  backoff->started = now;
}

void
backoff_end (struct backoff *backoff, int64_t now)
{
  if (now - backoff->started > BACKOFF_MOST)
    backoff->delay = 0;
  else
    backoff->delay = backoff->delay == 0 ? BACKOFF_LEAST : 2 * backoff->delay;
  if (backoff->delay > BACKOFF_MOST)
    backoff->delay = BACKOFF_MOST;
}

bool
backoff_is_over (const struct backoff *backoff, int64_t now)
{
  return now >= backoff->started + backoff->delay;
}
