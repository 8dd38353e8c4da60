#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A pool holds eight times its size, with a file behind it: 64 MiB hold 512 MiB of
# pages. Then another program fills what is left of memory and of the file, until
# the swap device answers ENOSPC: it may end for that, but nothing that was stored
# is lost, and once it is gone there is room again.
#   full.sh POOL-MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
pool=$1
size=$((pool * 8))
# Its pages take a third of their size and a little more, so that this leaves some
# room for others: less than half of what the second one wants.
file=$((size * 5 / 16))
greedy=$((size / 4))

make_file_system $((file + 32))
cat > "$conf" <<CONF
size = "2G"
pool { limit = "${pool}M" }
tier "only" { prio = 1  codec = "lz4" }
backing "file" { prio = 1  path = "$disk/backing.img"  size = "${file}M" }
CONF
start_server "$builddir/nbdkit" tierswap "$conf"
swap_on

put_to_sleep asleep "$size" -k real -o sequential
stats -c '.device, .backings[]'
check_stats \
  ".device.pages_stored >= $size * 256" \
  ".device.pages_same < $size" \
  ".device.mem_limit_bytes == $pool * 1048576" \
  ".device.mem_used_peak_bytes <= $pool * 1048576" \
  ".device.compr_bytes > 2 * $pool * 1048576" \
  '.device.write_errors == 0'
say "a pool of $pool MiB holds $(($(stats .device.pages_stored) / 256)) MiB of pages"
let_sleep

# More than there is room for: it does not compress.
make_cgroup greedy $((pool / 4))
start_in_cgroup greedy "$touch_pages" -k random -o sequential -w "$waiting" \
  "$greedy"

has_ended () {
  ! kill -0 "$program"
} 2>/dev/null

wait_until 900 "writes are refused, or the other program ends" \
  eval "has_ended || stats_say '.device.write_errors > 0'"
# The kernel may kill it, as it cannot take its memory away; or it just waits.
for _ in {1..100}; do
  ! has_ended || break
  sleep 0.1
done
if has_ended; then
  status=0
  wait "$program" || status=$?
  program=
  [ "$status" = 137 ] || fail "the other program ended with status $status"
  say "the other program was killed"
else
  [ ! -e "$waiting" ] || fail "the other program had room for all of it"
  say "the other program was slowed down, and is killed now"
  kill_program
fi
stats -c '.device, .backings[]'
check_stats '.device.write_errors > 0' \
  ".device.mem_used_peak_bytes <= $pool * 1048576"
say "$(stats .device.write_errors) writes were refused"

# The kernel discards what the other had when it has freed whole clusters of it.
fits () {
  start_in_cgroup greedy "$touch_pages" -k random -o sequential $((pool * 3 / 8))
  if wait "$program"; then
    program=
  else
    program=
    return 1
  fi
}
wait_until 600 "there is room for a third program" fits
say "there is room for another $((pool * 3 / 8)) MiB"

# Nothing that was stored is lost.
echo "$((pool * 2))M" > "$cgroups/asleep/memory.max"
wake_up
check_stats '.device.read_errors == 0' \
  '.backings[0] | .io_errors == 0 and .checksum_errors == 0'
swap_off
