#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What attach, detach and the like say where they cannot work.  Where they can,
# the guests show.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"

control --help >"$tmp/help"
for command in attach detach reconnect supervise watch unwatch; do
  grep -q "^  $command [/D]" "$tmp/help" || fail "no help on $command"
  refuses "a device is missing" $command
done
refuses '"now" is not taken here' attach /dev/nbd0 now
refuses '"wait=1" is not taken here' attach /dev/nbd0 wait=1
refuses '"priority=1" is not taken here' detach /dev/nbd0 priority=1
refuses "connections cannot be" attach /dev/nbd0 connections=many
refuses "wait is given twice" detach /dev/nbd0 wait=1 wait=2
refuses "a command is missing after --" supervise /dev/nbd0 --
refuses "is not a block device" watch /dev/null
for disk in /dev/loop[0-9] /dev/ram[0-9] /dev/[sv]d[a-z]; do
  [ -b "$disk" ] || continue
  refuses "no server listens there" watch "$disk"
  serve_control size=1M
  # Here is nothing that could watch, which must be said and no more.
  [ -e /dev/tierswap-shim ] || refuses "" watch "$disk"
  control unwatch "$disk" || :
  control get size >"$tmp/out"
  break
done

if [ "$(id -u)" = 0 ]; then
  refuses "is not a block device" attach /dev/null
  refuses "is not a block device" detach "$tmp"
  refuses "Not a directory" reconnect /dev/null/nbd0
  [ ! -b "$disk" ] ||
    refuses "is not a whole disk of the nbd driver" attach "$disk"
  [ -e /sys/module/nbd ] || [ -e /dev/nbd0 ] ||
    refuses "driver is not loaded: modprobe nbd" attach /dev/nbd0
else
  refuses "this needs root" attach /dev/nbd0
fi
