#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A backing's server hangs: reads of its pages hold as many threads of their
# connections and no others, whether there is one for each or many; and pages
# that leave memory meanwhile go to the next backing.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "${srcdir:-.}/tests/nbd/written-back.sh"

stopped ()
{
  [ "$(cut -d' ' -f3 /proc/"$1"/task/*/stat | sort -u)" = T ]
}

on_near ()
{
  [ "$(value '.backings[] | select(.name == "near") | .pages')" -gt 500 ]
}

for threads in 16 1; do
  server_threads=$threads
  truncate -s 16M "$tmp/far.img"
  serve far file "$tmp/far.img"
  far=$server
  serve_far_and_near 200
  tierswap=$server
  kill -STOP $far
  wait_until "the server to stop" stopped $far
  # They are on their way to it, and then to the other one.
  expect "what was written meanwhile" "$(pages write 1000 2000 1 half)" \
    "written 2000 refused 0"
  wait_until "pages to go to the next backing" on_near
  timeout $limit "$builddir/tests/nbd/hung-reads" "$(uri server)" $threads \
    2500 $far || fail "reads of what does not hang, with $threads threads"
  wait $far 2>/dev/null || :
  expect "what was written meanwhile" "$(pages check 1000 2000 1 half)" \
    "right 2000 failed 0 wrong 0"
  stop $tierswap
  rm "$tmp"/*.img
done
