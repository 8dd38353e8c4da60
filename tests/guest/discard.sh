#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What a program had swapped out is forgotten once the program has ended: the
# kernel discards it, and the pages stored and their memory fall back.
#   discard.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1

# The kernel discards whole clusters of 512 slots. It keeps the clusters that it
# fills now, and on each CPU the last 64 slots that were freed: these hold back a
# few clusters (8 were seen with two CPUs) of the 48 that 96 MiB take.
few=$((512 * 14))

start_server "$builddir/nbdkit" tierswap size=1G
swap_on
put_to_sleep asleep "$size" -k mixed -o sequential
check_stats ".device.pages_stored >= $size * 256"
before=$(stats .device.mem_used_bytes)
stats -c '.device | {pages_stored, mem_used_bytes, trims}'

kill_program
wait_until 300 "few pages are stored" stats_say ".device.pages_stored < $few"
wait_until 300 "most of the memory is given back" \
  stats_say ".device.mem_used_bytes < $before / 3"
stats -c '.device | {pages_stored, mem_used_bytes, trims}'
swap_off
