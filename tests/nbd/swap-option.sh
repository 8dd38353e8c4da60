#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# With nbdkit --swap the whole process is locked, yet a large device does not
# become resident: its tables and frames stay sparse.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
[ "${SANITIZER:-no}" = no ] || skip "a sanitizer's shadow memory is locked too"

# field NAME: of the server's /proc/PID/status, in KiB.
field ()
{
  awk -v name="$1:" '$1 == name { print $2 }' /proc/$server/status
}

# What nbdkit itself comes to when it locks all it has.
launch bare -U "$tmp/bare" --swap null size=1G ||
  skip "this user may not lock memory"
bare=$(field VmRSS)
stop $server

# The pool is larger than what may become resident, and the device far larger.
printf 'size = "2T"\npool { limit = "60%%" }\n' >"$tmp/conf"
printf 'tier "only" { prio = 1  codec = "lz4" }\n' >>"$tmp/conf"
if ! launch server -U "$tmp/server" --swap tierswap "$tmp/conf"; then
  grep -q 'mlockall' "$tmp/server.log" &&
    skip "this user may not lock memory"
  fail "the server did not start"
fi

{ seq 1 1000000 | head -c $((4 << 20)) || :; } >"$tmp/data"
timeout $limit nbdcopy "$tmp/data" "$(uri server)" 2>"$tmp/nbdcopy.log" || {
  cat "$tmp/nbdcopy.log" >&2
  fail "writing failed"
}
text server stats >"$tmp/stats.json"

[ "$(field VmLck)" -gt 0 ] || fail "nothing is locked"
expect "swapped memory" "$(field VmSwap)" 0
resident=$(field VmRSS)
[ "$resident" -lt $((bare + (128 << 10))) ] ||
  fail "$resident KiB are resident for 4 MiB of data, $bare without tierswap"
stop $server
