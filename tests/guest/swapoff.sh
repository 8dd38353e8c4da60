#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# When all pages of a program are swapped out, swapoff brings them back, and
# each is right.
#   swapoff.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1

start_server "$builddir/nbdkit" tierswap size=1G
swap_on
make_cgroup asleep $((size * 2))
start_in_cgroup asleep "$touch_pages" -k mixed -w "$waiting" "$size"
wait_until 600 "the program waits" program_waits
wait_until 600 "all of it is swapped out" swap_out_cgroup asleep "$size"
say "$(($(cat "$cgroups/asleep/memory.swap.current") >> 20)) MiB are swapped out"
check_stats ".device.pages_stored >= $size * 256"

reads=$(stats .device.reads)
run swapoff "$device"
swapped=
check_stats \
  ".device.reads >= $reads + $size * 256 * 0.9" \
  '.device.read_errors == 0'
rm "$waiting"
finish_program
