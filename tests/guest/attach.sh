#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswapctl attach, detach, reconnect and supervise: real swap on a disk that
# they connected; a program finds every page right although the server was
# killed, while it slept and while it swapped; what cannot be is refused, and
# changes nothing.
#   attach.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1
control=/run/control.sock
files=/run/files # not a tmpfs: the pages of one may be swapped out
supervisor=

ctl () {
  timeout 300 "$builddir/tierswapctl" -s "$control" "$@"
}

# refuses PATTERN ARGUMENT...: it ends with 1 and one line with PATTERN.
refuses () {
  local pattern=$1 status=0
  shift
  ctl "$@" > /tmp/out 2> /tmp/err || status=$?
  cat /tmp/out /tmp/err
  [ "$status" = 1 ] || fail "$* ended with $status"
  [ "$(wc -l < /tmp/err)" = 1 ] || fail "$* does not tell one line"
  grep -qF -- "$pattern" /tmp/err || fail "$* does not say '$pattern'"
}

# says PATTERN ARGUMENT...: it ends well, and says PATTERN.
says () {
  local pattern=$1
  shift
  show "$@"
  ctl "$@" > /tmp/out
  cat /tmp/out
  grep -qE -- "$pattern" /tmp/out || fail "$* does not say '$pattern'"
}

is_connected () {
  [ -e "/sys/block/${device##*/}/pid" ]
}

server_of_file () {
  start_server nbdkit "$@" file "$files/disk"
}

kill_server () {
  kill -KILL "$server"
  wait "$server" || :
} 2>/dev/null

# sleep_swapped_out MEBIBYTES: start a program that sleeps, swapped out.
sleep_swapped_out () {
  rm -f "$waiting"
  start_in_cgroup held "$touch_pages" -k mixed -w "$waiting" "$1"
  wait_until 300 "the program waits" program_waits
  wait_until 300 "most of it is swapped out" swap_out_cgroup held $(($1 * 9 / 10))
}

wake_up () {
  rm "$waiting"
  finish_program
}

mkdir "$files"
mount -t ramfs ramfs "$files"
make_cgroup held 4096

say "Before there is a driver, and with what is no disk of it"
[ -e "$device" ] || refuses "driver is not loaded: modprobe nbd" attach "$device"
load_nbd
refuses "a device is missing" attach
refuses "is not there: ls /dev/nbd*" attach /dev/nbd99
refuses "is not a block device" attach /dev/null
refuses "no server listens there" attach "$device"
refuses "is not attached" detach "$device"
refuses "is not connected" reconnect "$device"
# What anybody may do, a user may not do.
if type setpriv > /dev/null; then
  status=0
  setpriv --reuid 65534 --clear-groups "$builddir/tierswapctl" attach "$device" \
    2> /tmp/err || status=$?
  [ "$status" = 1 ] && grep -q "this needs root" /tmp/err \
    || fail "a user is told: $(cat /tmp/err)"
fi

say "Swap on tierswap"
start_server "$builddir/nbdkit" tierswap size=1G "control=$control"
refuses "it is a whole number from 0 to 32767" attach "$device" priority=top
says "$device is swapped on, with 4 connections" \
  attach "$device" "socket=$socket" priority=7 connections=4 timeout=300
swapped=yes attached=yes
cat /proc/swaps
grep -Eq "^$device .*[[:space:]]7$" /proc/swaps || fail "the priority is not 7"
refuses "is swapped on already" attach "$device" "socket=$socket"
refuses "is attached already, as $device" attach /dev/nbd1 "socket=$socket"
refuses "no connection of $device is dead" reconnect "$device" "socket=$socket"
echo $((size / 3))M > "$cgroups/held/memory.max"
start_in_cgroup held "$touch_pages" -k mixed -n 2 "$size"
finish_program
check_stats ".device.writes >= $size * 256" '.device.trims > 0'
echo max > "$cgroups/held/memory.max"

say "Detach it when there is no room for what is swapped out"
sleep_swapped_out $size
available=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
head -c $((available - size / 2))M /dev/zero > "$files/ballast"
grep -E '^(MemAvailable|SwapFree)' /proc/meminfo
refuses "are missing" detach "$device"
refuses "are missing" detach "$device" wait=2
is_swapped_on || fail "it is not swapped on any more"
rm "$files/ballast"
wake_up
says "is detached" detach "$device"
swapped='' attached=''
! is_swapped_on && ! is_connected || fail "it is still there"
kill "$server"
wait "$server"

say "The server is killed, and one comes in its place"
truncate -s 64M "$files/disk"
server_of_file
says "with 2 connections" \
  attach "$device" "socket=$socket" connections=2 timeout=300
swapped=yes attached=yes
sleep_swapped_out 12
kill_server
refuses "no server listens there" reconnect "$device" "socket=$socket"
start_server nbdkit memory 64M
refuses "does not have what was swapped out" \
  reconnect "$device" "socket=$socket"
kill_server
start_server nbdkit memory 32M
refuses "the server has 32.0 MiB" reconnect "$device" "socket=$socket"
kill_server
server_of_file
says "has 2 new connections" reconnect "$device" "socket=$socket"
wake_up
says "is detached" detach "$device"
swapped='' attached=''
kill "$server"
wait "$server"
server=

supervise () {
  timeout --foreground 900 "$builddir/tierswapctl" supervise "$device" \
    "socket=$socket" timeout=10 -- \
    nbdkit -f -U "$socket" -P "$pidfile" file "$files/disk" \
    2>> /tmp/supervisor &
  supervisor=$!
}

supervisor_says () {
  grep -q "$1" /tmp/supervisor
}

another_server () {
  [ -s "$pidfile" ] && [ "$(cat "$pidfile")" != "$server" ]
}

# By the supervisor: it is no child of ours.
kill_its_server () {
  server=$(cat "$pidfile")
  show kill -KILL "the server"
  kill -KILL "$server"
  wait_until 300 "another server is there" another_server
  server=
}

say "The same with a supervisor"
: > /tmp/supervisor
supervise
wait_until 300 "it is swapped on" is_swapped_on
swapped=yes attached=yes
sleep_swapped_out 12
kill_its_server
wait_until 300 "it is connected again" supervisor_says 'new connection'
wake_up

swaps () {
  [ "$(cat "$cgroups/held/memory.swap.current")" -ge $((4 << 20)) ]
}

say "While a program swaps"
echo 4M > "$cgroups/held/memory.max"
start_in_cgroup held "$touch_pages" -k mixed -n 3 12
wait_until 300 "it swaps" swaps
kill_its_server
finish_program

say "The supervisor itself is killed, and another one looks after it"
kill -KILL "$(pgrep -f -x "$builddir/tierswapctl supervise .*")"
wait "$supervisor" || :
is_swapped_on && [ -e "/proc/$(cat "$pidfile")" ] || fail "it took others along"
: > /tmp/supervisor
supervise
wait_until 300 "it is looked after" supervisor_says 'looked after from now on'
echo max > "$cgroups/held/memory.max"
sleep_swapped_out 12
kill_its_server
wait_until 300 "it is connected again" supervisor_says 'new connection'
wake_up

say "It ends when it is told to, and takes all of it away"
server=$(cat "$pidfile")
kill -TERM "$supervisor"
wait "$supervisor"
swapped='' attached=''
cat /tmp/supervisor
! is_swapped_on && ! is_connected || fail "it is still there"
wait_until 60 "the server has ended too" test ! -e "/proc/$server"
server=
