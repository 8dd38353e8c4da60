#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A block device under a backing fails: a part of it cannot be read, all of it
# cannot be written to, or what is read is not what was written. Each time EIO is
# answered for the pages concerned alone and nothing wrong for any; what is
# written meanwhile goes elsewhere; and when the device is well again all is.
#   faulty-device.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1
sectors=$((size * 2048))
need dmsetup dmsetup

make_ram_disk "$size"
load_module dm-mod
load_module dm-flakey
export DM_DISABLE_UDEV=1
# The kernel tells of each page that fails: not by a console that costs time.
dmesg -n 3
good="0 $sectors linear /dev/ram0 0"
dmsetup create faulty --table "$good"
faulty=/dev/mapper/faulty
wait_until 10 "$faulty is there" test -b "$faulty"

# device_becomes LINE...: from now on.
device_becomes () {
  printf '%s\n' "$@" | dmsetup load faulty
  dmsetup suspend --nolockfs faulty
  dmsetup resume faulty
}

echo 0 > /proc/sys/vm/page-cluster
cat > "$conf" <<CONF
size = "$((size * 4))M"
pool { limit = "${size}M" }
tier "only" { prio = 1  codec = "lz4" }
backing "disk"  { prio = 1  path = "$faulty" }
backing "spare" { prio = 2  path = "$TMPDIR/spare.img"  size = "${size}M" }
writeback { age = 1 }
CONF
start_server "$builddir/nbdkit" tierswap "$conf"
swap_on

put_to_sleep asleep "$size" -k mixed
wait_until 300 "the pages are on the disk" stats_say '.tiers[0].pages == 0'
let_sleep
stored=$(pages_on disk)
say "$stored pages are on the disk"
save_pages
check_stats '.backings[0].io_errors == 0' '.device.read_errors == 0'

# Half a megabyte that can be neither read nor written, one megabyte on.
device_becomes "0 2048 linear /dev/ram0 0" "2048 1024 error" \
  "3072 $((sectors - 3072)) linear /dev/ram0 3072"
compare_pages "with a part that fails"
[ "$failed" -gt 0 ] || fail "all pages can be read"
[ "$failed" -lt $((stored / 2)) ] || fail "$failed pages cannot be read"
check_stats ".device.read_errors >= $failed" \
  ".backings[0].io_errors >= $failed" '.backings[0].checksum_errors == 0'

# A byte of each read is changed. Of the blocks that hold a page it may be one of
# its neighbours', and then does no harm.
device_becomes "0 $sectors flakey /dev/ram0 0 0 1000 5 corrupt_bio_byte 2049 r 255 0"
compare_pages "with a byte of each read wrong"
[ "$failed" -gt 0 ] || fail "all pages can be read"
check_stats ".backings[0].checksum_errors >= $failed"

device_becomes "$good"
compare_pages "with all of it well again"
[ "$failed" = 0 ] || fail "$failed pages cannot be read"
errors=$(stats .device.read_errors)

# What can be read only.
device_becomes "0 $sectors flakey /dev/ram0 0 0 1000 1 error_writes"
compare_pages "when nothing can be written"
[ "$failed" = 0 ] || fail "$failed pages cannot be read"
make_cgroup meanwhile $((size / 4))
start_in_cgroup meanwhile "$touch_pages" -k mixed -w "$waiting" "$size"
wait_until 600 "another program waits" program_waits
wait_until 300 "its pages are on the spare backing" \
  stats_say '.tiers[0].pages == 0 and .backings[1].pages > 0'
say "in the meantime $(pages_on spare) pages went to the spare backing"
rm "$waiting"
finish_program
stats -c '.device, .backings[]'
check_stats ".device.read_errors == $errors" '.device.write_errors == 0' \
  ".backings[0].pages <= $stored" '.backings[0].io_errors > 0' \
  '.backings[1] | .io_errors == 0 and .checksum_errors == 0'

device_becomes "$good"
wait_until 300 "the disk takes pages again" stats_say '.backings[0].state == "online"'
wake_up
check_stats ".device.read_errors == $errors" '.device.write_errors == 0'
swap_off
kill "$server"
wait "$server"
server=
dmsetup remove faulty
