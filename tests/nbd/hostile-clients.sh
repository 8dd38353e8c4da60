#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Clients lie, stall, flood and vanish while another swaps: what that one wrote
# is right, it is served, and when they are gone all that they took is given
# back.  Of connections there are so many and no more.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need jq jq

# One thread a connection: what is known of nbdkit before 1.34.
printf '%s\n' 'size = "64M"' 'pool { limit = "32M" }' \
  'tier "only" { prio = 1  codec = "lz4" }' >"$tmp/conf"
serve server -t 1 tierswap "$tmp/conf"
tierswap=$server

threads ()
{
  find "/proc/$tierswap/task" -mindepth 1 -maxdepth 1 | wc -l
}

descriptors ()
{
  find "/proc/$tierswap/fd" -mindepth 1 | wc -l
}

resident ()
{
  awk '/^VmRSS:/ { print $2 }' "/proc/$tierswap/status"
}

at_rest ()
{
  [ "$(threads)" -le $threads ] && [ "$(descriptors)" -le $descriptors ]
}

ready ()
{
  grep -q ready "$tmp/hostile.out"
}

# hostile COUNT: so many of each kind, held by descriptor 9.
hostile ()
{
  rm -f "$tmp/hold"
  mkfifo "$tmp/hold"
  : >"$tmp/hostile.out"
  "$builddir/tests/nbd/hostile" "$tmp/server" "$1" \
    <"$tmp/hold" >"$tmp/hostile.out" 2>"$tmp/hostile.log" &
  hostile=$!
  exec 9>"$tmp/hold"
  wait_until "the hostile clients" ready
}

goodbye ()
{
  exec 9>&-
  wait $hostile
  wait_until "what they took to be given back" at_rest
}

count=1000
expect "what is written before" "$(pages write 0 $count 1 half)" \
  "written $count refused 0"
threads=$(threads) descriptors=$(descriptors)
hostile 4
goodbye
before=$(resident)
for round in 1 2 3; do
  hostile 4
  # They write too, to the first MiB: what is behind it is not theirs.
  expect "what is read meanwhile" "$(pages check 300 700 1 half)" \
    "right 700 failed 0 wrong 0"
  expect "what is written meanwhile" \
    "$(pages write $count $count $round random)" "written $count refused 0"
  [ "$(threads)" -le $((threads + 40)) ] ||
    fail "$(threads) threads, $threads before"
  expect "it" "$(pages check $count $count $round random)" \
    "right $count failed 0 wrong 0"
  goodbye
done
# A buffer a thread may stay with the heap; nothing that grows by round.
[ "$(resident)" -le $((before + 64 * 1024)) ] ||
  fail "$(resident) KiB are resident, $before before"

# More connections than there may be: they are refused, the device is served.
hostile 60
wait_until "connections to be refused" \
  grep -q "connections already" "$tmp/server.log"
goodbye
expect "what is read at last" "$(pages check 300 700 1 half)" \
  "right 700 failed 0 wrong 0"
stop $tierswap
