#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The part of bench-hold.sh that runs in the guest: the same memory and the
# same file, on a tmpfs, first for zram and then for tierswap.
# usage: hold-in-guest.sh PAGES MEMORY-MIB FILE-MIB
set -eu
pages=$1 memory=$2 file=$3
tmp=${TMPDIR:-/tmp}
mount -o "remount,size=$((file + 16))m" /tmp

add () {
  insmod "$(find "$GUEST_MODULES" -name "$1.ko*" | head -n 1)" "${@:2}"
}
for module in lz4_compress lz4hc_compress; do
  add "$module"
done
add zram num_devices=1
# Built into no kernel of Debian's, but then it would be there already.
[ -e /dev/loop-control ] || add loop

sys=/sys/block/zram0
truncate -s "${file}M" "$tmp/zram.img"
loop=$(losetup --find --show --direct-io=on "$tmp/zram.img" ||
  losetup --find --show "$tmp/zram.img")
echo lz4 > "$sys/comp_algorithm"
echo "$loop" > "$sys/backing_dev"
echo "$(((memory + file) * 8))M" > "$sys/disksize"
echo "${memory}M" > "$sys/mem_limit"
echo "zram $("$builddir/bench-hold" "$pages" /dev/zram0 "$sys")"
echo 1 > "$sys/reset"
losetup -d "$loop"
rm "$tmp/zram.img"

echo "tierswap $("$builddir/bench-hold" "$pages" "$memory" "$tmp/hold.img" "$file")"
