#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The server of an NBD backing is killed while a program's pages are on it, and
# brought back. In the meantime these pages alone read EIO, and those of another
# program go to the next backing; then all are there again.
#   killed-backing.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1

start_far () {
  start_helper far nbdkit file "$TMPDIR/far.img"
}

# As for a swap device that is read by hand: no page is swapped in unasked. One
# that could not be read would be kept as such, and kill who asks for it later.
echo 0 > /proc/sys/vm/page-cluster
truncate -s "${size}M" "$TMPDIR/far.img"
start_far
cat > "$conf" <<CONF
size = "$((size * 4))M"
pool { limit = "${size}M" }
tier "only" { prio = 1  codec = "lz4" }
backing "far"  { prio = 1  uri = "nbd+unix:///?socket=$TMPDIR/far.sock" }
backing "near" { prio = 2  path = "$TMPDIR/near.img"  size = "${size}M" }
writeback { age = 1 }
CONF
start_server "$builddir/nbdkit" tierswap "$conf"
swap_on

# All that takes room leaves memory by its age.
put_to_sleep asleep "$size" -k mixed
wait_until 300 "the pages are on the far backing" stats_say '.tiers[0].pages == 0'
let_sleep
stored=$(pages_on far)
say "$stored pages are on the far backing, $(stats .device.pages_same) need no room"
save_pages

kill_helper
wait_until 300 "it is seen that the far backing is lost" \
  stats_say '.backings[0].state == "failed"'
compare_pages "with the far backing lost"
[ "$failed" = "$stored" ] || fail "$failed pages cannot be read, not $stored"
errors=$(stats .device.read_errors)
[ "$errors" -ge "$failed" ] || fail "only $errors of them are counted"

make_cgroup meanwhile $((size / 4))
start_in_cgroup meanwhile "$touch_pages" -k mixed -w "$waiting" "$size"
wait_until 600 "another program waits" program_waits
wait_until 300 "its pages are on the near backing" \
  stats_say '.tiers[0].pages == 0 and .backings[1].pages > 0'
say "in the meantime $(pages_on near) pages went to the near backing"

rm "$waiting"
finish_program
check_stats ".device.read_errors == $errors" ".backings[0].pages == $stored" \
  '.backings[1] | .io_errors == 0 and .checksum_errors == 0'

start_far
wait_until 300 "the far backing is back" stats_say '.backings[0].state == "online"'
wake_up
check_stats ".device.read_errors == $errors" '.device.write_errors == 0' \
  '[.backings[].checksum_errors] == [0, 0]'
swap_off
