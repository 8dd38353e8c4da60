#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The supervisor itself is killed while programs of three cgroups swap, alone and
# with its server, and one with the same words comes in its place, as systemd
# starts it again. That takes the disk over as it is, and the server too: it
# starts it again when it ends, has it upgraded, and ends it at the end. Every
# page of every program is right, and the kernel tells of no I/O error.
#   supervisor.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
. "$srcdir/tests/guest/supervised.sh"
size=$1
nbdkit=$builddir/nbdkit
timeout=timeout=8 # what a kill may make a program wait
disk=/sys/block/${device##*/}

process () {
  pgrep -P "$supervisor" tierswapctl
}

kill_supervisor () {
  kill -KILL "$(process)"
  wait "$supervisor" || :
} 2> /dev/null

supervisor_says () {
  grep -q "$1" /run/supervisor
}

# The disk is the one that it was, with the same swap area.
take_over () {
  cat /run/supervisor
  : > /run/supervisor
  start_supervisor "$timeout"
  wait_until 300 "the disk is looked after" \
    supervisor_says 'looked after from now on'
  is_swapped_on || fail "it is not swapped on any more"
  [ "$(cat "$disk/backend")" = "$area" ] || fail "another swap area is on it"
}

mount_memory
configure "$near"
supervise_server "$timeout"
keep_for_the_end
start_programs
wait_until 300 "the programs swap" ls "$waiting"1 "$waiting"2 "$waiting"3 \
  > /dev/null 2>&1
area=$(cat "$disk/backend")
check_protected "$(process)"
check_protected "$(cat "$pidfile")"

say "The supervisor is killed; the server goes on, and is taken over"
old=$(cat "$pidfile")
kill_supervisor
sleep 1
take_over
swap_on_and_on
[ "$(cat "$pidfile")" = "$old" ] || fail "the server is another one"

! "$builddir/tierswapctl" supervise /dev/nbd1 "socket=$socket" -- false \
  2> /run/refused || fail "two supervisors look after one server"
grep -q "looked after already, by process $(process)" /run/refused \
  || fail "the second one says: $(cat /run/refused)"

say "That server is upgraded, by the supervisor that it has now"
run ctl upgrade
another_server "$old" || fail "the same server is there"
swap_on_and_on
wait_until 120 "the supervisor knows of it" \
  supervisor_says 'the server has ended'
! supervisor_says 'another server, process' || fail "two were started"

say "Both are killed"
old=$(cat "$pidfile")
kill_supervisor
kill -KILL "$old"
take_over
wait_until 300 "another server is there" another_server "$old"
swap_on_and_on

say "The supervisor is killed while it starts a server"
old=$(cat "$pidfile")
kill -KILL "$old"
sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
kill_supervisor
take_over
wait_until 300 "another server is there" another_server "$old"
swap_on_and_on

say "It is told to end while programs swap, and ends the server that it took over"
kill_supervisor
take_over
old=$(cat "$pidfile")
check_programs
# As all processes of a terminal are told that it is gone, and by Ctrl-C.
kill -HUP -- "-$supervisor"
kill -TERM -- "-$supervisor"
wait "$supervisor" || fail "the supervisor did not end well"
! is_swapped_on && [ ! -e "$disk/pid" ] || fail "it has ended, and the disk is there"
wait_until 60 "its server has ended too" test ! -e "/proc/$old"
swap_on_and_on

say "It is killed in the middle of that, and finds the disk without swap"
start_supervisor timeout=300
wait_until 120 "it is swapped on again" is_swapped_on
swap_on_and_on
kill_supervisor
swapoff "$device"
[ -e "$disk/pid" ] || fail "the disk is not connected any more"
start_supervisor "$timeout"
wait_until 120 "it is swapped on again" is_swapped_on
swap_on_and_on

finish_programs
check_stats '.device.read_errors == 0' '.device.write_errors == 0' \
  '[.backings[].io_errors] | add == 0'
ctl check
check_kernel
end_supervision
cat /run/supervisor
