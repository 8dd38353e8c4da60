#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The server is upgraded in mid-swap, twice. A downgrade that cannot be is refused,
# and the server goes on. Every page of every program is right, and the kernel tells of no I/O error.
#   upgrade.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
. "$srcdir/tests/guest/supervised.sh"
size=$1
nbdkit=nbdkit
plugin=/run/lib/nbdkit-tierswap-plugin.so

# As make install does it: another file of that name.
install_plugin () {
  cp "$builddir/.libs/nbdkit-tierswap-plugin.so" "$plugin.new"
  mv "$plugin.new" "$plugin"
}

is_of_removed_file () {
  grep -q "$plugin (deleted)" "/proc/$(cat "$pidfile")/maps"
}

# As supervise said, also after the upgrade had the kernel hurry.
check_timeout () {
  local milliseconds
  milliseconds=$(cat "/sys/block/${device#/dev/}/queue/io_timeout")
  [ "$milliseconds" = 20000 ] || fail "requests are given $milliseconds ms"
}

upgrade () {
  local old
  swap_on_and_on
  old=$(cat "$pidfile")
  run ctl upgrade
  another_server "$old" || fail "the same server is there"
  ! is_of_removed_file || fail "it is the old one"
  check_timeout
}

mkdir /run/lib
install_plugin
mount_memory
configure "$near"
supervise_server
keep_for_the_end
start_programs
wait_until 300 "the programs swap" ls "$waiting"1 "$waiting"2 "$waiting"3 \
  > /dev/null 2>&1

install_plugin
is_of_removed_file || fail "nothing was installed"
upgrade

say "A downgrade that cannot be"
swap_on_and_on
server=$(cat "$pidfile")
"$builddir/tests/nbd/state-format" "$memory/state" 9 9
! ctl upgrade 2> /run/refused || fail "it was taken"
cat /run/refused
grep -q "needs a server of format 9 or later" /run/refused || fail "not said why"
[ "$(cat "$pidfile")" = "$server" ] || fail "the server is another one"
check_timeout
"$builddir/tests/nbd/state-format" "$memory/state" 1 1
server=
swap_on_and_on

say "And again"
install_plugin
upgrade

swap_on_and_on
finish_programs
check_stats '.device.read_errors == 0' '.device.write_errors == 0'
ctl check
check_kernel
end_supervision
