#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The disk of a backing loses its last writes: once under a server that goes on,
# and once with the server killed at that moment and followed by another one,
# which takes over its state. What the disk comes back with is what it had some
# time before: other pages at the same places, for their extents were used again.
# What was written before that is right, what was written since is an I/O error
# and never wrong; and with the writes back all of it is right.
#   power-cut.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1
memory=/run/memory
sectors=$((size * 2048))
supervisor=
need dmsetup dmsetup

# The disk, and what it was at an earlier moment.
load_module brd rd_nr=2 rd_size=$((size << 10))
wait_until 10 "the RAM disks are there" test -b /dev/ram1
load_module dm-mod
export DM_DISABLE_UDEV=1
# The kernel tells of each page that fails: not by a console that costs time.
dmesg -n 3
dmsetup create cut --table "0 $sectors linear /dev/ram0 0"
wait_until 10 "the disk is there" test -b /dev/mapper/cut

disk_becomes () {
  dmsetup load cut --table "0 $sectors linear $1 0"
  dmsetup suspend --nolockfs cut
  dmsetup resume cut
}

# copy OPERAND...: from the one disk to the other, past all caches, which neither
# the server's requests nor each other's go through.
copy () {
  dd if=/dev/ram0 of=/dev/ram1 iflag=direct oflag=direct status=none "$@"
}

mkdir "$memory"
mount -t tmpfs -o noswap,mode=0700 none "$memory" 2> /dev/null \
  || mount -t ramfs -o mode=0700 none "$memory"
# No page is swapped in unasked.
echo 0 > /proc/sys/vm/page-cluster
# All pages are as long, or same-filled; none leaves memory by itself.
cat > "$conf" <<CONF
size = "$((size * 4))M"
pool { limit = "${size}M"  state = "$memory/state" }
tier "only" { prio = 1  codec = "none" }
backing "disk" { prio = 1  path = "/dev/mapper/cut" }
writeback { high = 100  low = 99 }
CONF

load_nbd
timeout --foreground 1800 "$builddir/tierswapctl" supervise "$device" \
  "socket=$socket" timeout=120 -- \
  "$builddir/nbdkit" -f -t 1 -U "$socket" -P "$pidfile" \
  tierswap "$conf" "control=$control" > "$TMPDIR/log" 2>&1 &
supervisor=$!
# When it ends it swaps off and ends the server, too.
helpers+=("$supervisor")

wait_until 120 "it is swapped on" is_swapped_on

all_written () {
  ctl writeback > /dev/null
  stats_say '.tiers[0].pages == 0'
}

# What stays from the first moment on.
put_to_sleep before $((size / 4)) -k mixed -s 1
wait_until 120 "it is on the disk" all_written
let_sleep
# What is on the disk then, and is gone after: its extents are used again, by the
# same kind of pages in the same order.
put_to_sleep gone $((size / 4)) -k random -o sequential -s 2
wait_until 120 "it is on the disk" all_written
copy bs=1M
kill_program
rm "$waiting"
put_to_sleep after $((size / 4)) -k random -o sequential -s 3
wait_until 120 "it is on the disk" all_written
say "$(pages_on disk) pages are on the disk"
save_pages
compare_pages "before"
[ "$failed" = 0 ] || fail "$failed pages cannot be read"
everything=$right

# compare_cut WHEN: with the disk as it was at the earlier moment.
compare_cut () {
  local errors
  compare_pages "$1"
  [ "$failed" -gt $((size / 4 * 256 / 2)) ] \
    || fail "only $failed pages cannot be read"
  [ "$right" -gt $((size / 4 * 256 / 2)) ] || fail "only $right pages are right"
  check_stats ".backings[0].checksum_errors >= $failed" \
    ".device.read_errors >= $failed" '.backings[0].io_errors == 0'
  errors=$(grep -c 'what was read is not what was written there' \
    "$TMPDIR/log" || :)
  [ "$errors" = "$2" ] || fail "it is told $errors times, not $2"
  ctl check > /dev/null || fail "check"
}

compare_well () {
  compare_pages "$1"
  [ "$failed" = 0 ] && [ "$right" = "$everything" ] \
    || fail "$failed pages cannot be read"
}

disk_becomes /dev/ram1
compare_cut "with the last writes lost" 1
disk_becomes /dev/ram0
compare_well "with them back"

# The server is killed with the disk.
another_server () {
  [ -s "$pidfile" ] && [ "$(cat "$pidfile")" != "$killed" ] \
    && ctl status > /dev/null 2>&1
}
killed=$(cat "$pidfile")
kill -KILL "$killed"
disk_becomes /dev/ram1
wait_until 300 "another server is there" another_server
grep -q 'is taken over' "$TMPDIR/log" || fail "no state was taken over"
compare_cut "with the last writes lost and the server killed" 2
kept=$right

# Of each write the first half came to the disk.
for ((extent = 0; extent < size * 4; extent++)); do
  copy bs=128K count=1 seek=$((extent * 2)) skip=$((extent * 2))
done
compare_pages "with the last writes torn"
[ "$failed" -gt 0 ] || fail "all pages can be read"
[ "$right" -gt "$kept" ] || fail "no page of the first halves can be read"

disk_becomes /dev/ram0
compare_well "with them back"
rm "$waiting"
finish_program
wake_up
check_stats '.device.write_errors == 0'
helpers=()
kill -TERM "$supervisor"
wait "$supervisor" || fail "the supervisor did not end well"
dmsetup remove cut
