#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The demonstration: a kernel swaps a program's memory onto tierswap, and the
# statistics are read. Run by ./bootstrap demo in a guest, and by
# ./bootstrap demo --host on the machine itself.
. "$srcdir/tests/guest/functions.sh"
cd "$srcdir"

size=96
held=$((size / 3))
group=tierswap-demo

# An unused device on a host; in a guest all are.
if [ -z "${GUEST:-}" ]; then
  load_nbd
  for device in /dev/nbd{0..15} ""; do
    if [ -b "$device" ] && [ ! -e "/sys/block/${device##*/}/pid" ] \
         && [ "$(cat "/sys/block/${device##*/}/size")" = 0 ]; then
      break
    fi
  done
  [ -n "$device" ] || fail "all nbd devices are in use"
fi

say "This is $(uname -sr), $(nproc) CPU, with" \
  "$(($(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo) >> 10)) MiB."
start_server "$builddir/nbdkit" tierswap conf/tierswap.conf
swap_on
cat /proc/swaps
echo
say "A program writes, reads and compares $size MiB three times. Its cgroup is held to"
say "$held MiB, so two thirds of its memory are always swapped out."
echo "\$ echo ${held}M > $cgroups/$group/memory.max"
make_cgroup "$group" "$held"
show "$touch_pages" -k mixed -n 3 "$size"
start_in_cgroup "$group" "$touch_pages" -k mixed -n 3 -w "$waiting" "$size"
wait_until 600 "the program waits" program_waits
echo
say "While it waits, with two thirds of its memory on the device:"
run nbdinfo "nbd+unix:///?socket=$socket"
run nbdinfo --list "nbd+unix://?socket=$socket"
run nbdinfo --map --totals "nbd+unix:///?socket=$socket"
echo "\$ nbdcopy 'nbd+unix:///stats?socket=$socket' - | jq ."
stats .
echo
say "swapoff brings every page back, so there must be room for them; then the program"
say "compares all of them once more."
echo "\$ echo max > $cgroups/$group/memory.max"
echo max > "$cgroups/$group/memory.max"
run swapoff "$device"
swapped=
rm "$waiting"
finish_program
run nbd-client -d "$device"
attached=
