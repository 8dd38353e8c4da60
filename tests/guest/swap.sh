#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A program that is held to a third of the memory that it touches finds every
# page right in each of three passes; nbdinfo and the statistics tell of it.
#   swap.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1

start_server "$builddir/nbdkit" tierswap size=1G
swap_on
make_cgroup held $((size / 3))
start_in_cgroup held "$touch_pages" -k mixed -n 3 "$size"
finish_program
grep '^pswp' /proc/vmstat

run nbdinfo "nbd+unix:///?socket=$socket"
run nbdinfo --list "nbd+unix://?socket=$socket" | tee "$TMPDIR/list"
grep -q 'export="stats"' "$TMPDIR/list" \
  || fail "nbdinfo --list does not have the statistics"
for tier in $(stats -r '.tiers[].name'); do
  grep -q "export=\"$tier\"" "$TMPDIR/list" \
    || fail "nbdinfo --list does not have the tier $tier"
done
run nbdinfo --map --totals "nbd+unix:///?socket=$socket"

run stats .
# At least what does not fit was written, in each pass.
check_stats \
  '.device.size == 1073741824' \
  '.device.page_size == 4096' \
  ".device.writes >= $size * 256 * 2" \
  ".device.reads >= $size * 256" \
  '.device.trims > 0' \
  '.device.read_errors == 0' \
  '.device.write_errors == 0' \
  '.device.pages_stored > 0' \
  '.device.mem_used_bytes > 0' \
  '.device.mem_used_bytes <= .device.mem_used_peak_bytes' \
  '.device.mem_used_peak_bytes <= .device.mem_limit_bytes' \
  '[.tiers[] | [.prio, .codec]] == [[1, "lz4"], [2, "zstd"]]' \
  '.cgroups[0].path == "/"'
swap_off
