#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# When all pages of a program are swapped out, swapoff brings them back, and
# each is right.
#   swapoff.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1

swapped_out () {
  echo "$((size + 64))M" > "$cgroups/asleep/memory.reclaim" || :
  [ "$(cat "$cgroups/asleep/memory.swap.current")" -ge $((size << 20)) ]
} 2>/dev/null

start_server "$builddir/nbdkit" tierswap size=1G
swap_on
make_cgroup asleep $((size * 2))
start_in_cgroup asleep "$touch_pages" -k mixed -w "$TMPDIR/awake" "$size" \
  > "$TMPDIR/program"
wait_until 120 "the program sleeps" grep -q waiting "$TMPDIR/program"
wait_until 120 "all of it is swapped out" swapped_out
say "asleep, $(($(cat "$cgroups/asleep/memory.swap.current") >> 20)) MiB of it swapped out"
check_stats ".device.pages_stored >= $size * 256"

reads=$(stats .device.reads)
swap_off_started=yes
run swapoff "$device"
swapped=
check_stats ".device.reads >= $reads + $size * 256 * 0.9" '.device.read_errors == 0'
touch "$TMPDIR/awake"
finish_program
cat "$TMPDIR/program"
