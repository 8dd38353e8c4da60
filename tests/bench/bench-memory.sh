#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "memory": bench-memory for lz4 and zstd, each beside a zram
# device made for it where the kernel has one.
# usage: bench-memory.sh PAGES
set -eu
: "${builddir:=.}"
pages=$1
number=
node=

remove_zram () {
  if [ -n "$number" ]; then
    echo 1 > "/sys/block/zram$number/reset" || :
    echo "$number" > /sys/class/zram-control/hot_remove || :
  fi
  if [ -n "$node" ]; then
    rm -f "$node"
  fi
  number=
  node=
}
trap remove_zram EXIT

# Make a zram device with codec $1, as large as the pages; or say why not.
add_zram () {
  local sys
  if ! [ -e /sys/class/zram-control/hot_add ]; then
    modprobe -q zram num_devices=0 2> /dev/null || :
  fi
  if ! number=$(cat /sys/class/zram-control/hot_add 2> /dev/null); then
    number=
    echo "No zram to hold beside it: this kernel has none, or we are not root."
    return
  fi
  sys=/sys/block/zram$number
  if ! grep -qw "$1" "$sys/comp_algorithm"; then
    echo "No zram to hold beside it: this kernel's has no $1."
    remove_zram
    return
  fi
  echo "$1" > "$sys/comp_algorithm"
  stat -L -c %s "$pages" > "$sys/disksize"
  device=/dev/zram$number
  if ! [ -b "$device" ]; then
    node=$device
    IFS=: read -r major minor < "$sys/dev"
    mknod -m 600 "$device" b "$major" "$minor"
  fi
}

for codec in lz4 zstd; do
  add_zram "$codec"
  if [ -n "$number" ]; then
    "$builddir/bench-memory" "$pages" "$codec:1" "$device" \
      "/sys/block/zram$number/mm_stat"
  else
    "$builddir/bench-memory" "$pages" "$codec:1"
  fi
  remove_zram
done
