#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# When all pages of a program are swapped out, swapoff brings them back, and
# each is right.
#   swapoff.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1

start_server "$builddir/nbdkit" tierswap size=1G
swap_on
put_to_sleep asleep "$size" -k mixed
check_stats ".device.pages_stored >= $size * 256"

reads=$(stats .device.reads)
run swapoff "$device"
swapped=
check_stats \
  ".device.reads >= $reads + $size * 256 * 0.9" \
  '.device.read_errors == 0'
rm "$waiting"
finish_program
