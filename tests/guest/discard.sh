#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What a program had swapped out is forgotten once the program has ended: the
# kernel discards it, and the pages stored and their memory fall back.
#   discard.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1

# The kernel discards whole clusters of 512 slots; those that it fills now, one
# for each CPU and order, it keeps.
few=$((512 * 4))

start_server "$builddir/nbdkit" tierswap size=1G
swap_on
make_cgroup held $((size / 3))
start_in_cgroup held "$touch_pages" -k mixed -w "$TMPDIR/end" "$size" \
  > "$TMPDIR/program"
wait_until 120 "the program sleeps" grep -q waiting "$TMPDIR/program"
check_stats ".device.pages_stored >= $size * 256 / 2"
stored=$(stats -c '.device | {pages_stored, mem_used_bytes, trims}')
say "while the program lives: $stored"

kill -KILL "$program"
wait "$program" || :
program=
wait_until 60 "the pages stored are few" stats_say ".device.pages_stored < $few"
left=$(stats -c '.device | {pages_stored, mem_used_bytes, trims}')
say "after its end: $left"
swap_off
