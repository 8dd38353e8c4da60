#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The server of a swap device is killed again and again while programs swap,
# pages are written back, and its configuration is reloaded. Each time another
# one takes its state over, and the kernel sends again what was not answered:
# every page is right, and the kernel tells of no I/O error.
#   restart.sh MEBIBYTES KILLS
. "$srcdir/tests/guest/functions.sh"
size=$1
kills=$2
control=/run/control.sock
memory=/run/memory
supervisor=
restarts=0

ctl () {
  timeout 300 "$builddir/tierswapctl" -s "$control" "$@"
}

mkdir "$memory"
mount -t tmpfs -o noswap,mode=0700 none "$memory" 2> /dev/null \
  || mount -t ramfs -o mode=0700 none "$memory"
stat -f -c 'The state is on %T' "$memory"
cat > /run/tierswap.conf <<END
size = "512M"
pool { limit = "$((size / 4))M"  state = "$memory/state" }
tier "fast" { prio = 1  codec = "lz4"  limit = "$((size / 8))M" }
tier "dense" { prio = 2  codec = "zstd" }
backing "near" { prio = 1  path = "$memory/near.img"  size = "8M" }
backing "far" { prio = 2  path = "$memory/far.img"  size = "64M"  encrypt = true }
writeback { high = 70  low = 50  age = 2 }
END

load_nbd
: > /run/supervisor
timeout --foreground 1800 "$builddir/tierswapctl" supervise "$device" \
  "socket=$socket" timeout=60 -- \
  "$builddir/nbdkit" -f -U "$socket" -P "$pidfile" \
  tierswap /run/tierswap.conf "control=$control" > /run/supervisor 2>&1 &
supervisor=$!

is_swapped_on () {
  grep -q "^$device " /proc/swaps
}
wait_until 120 "it is swapped on" is_swapped_on
swapped=yes attached=yes

another_server () {
  [ -s "$pidfile" ] && [ "$(cat "$pidfile")" != "$killed" ]
}

start_program () {
  start_in_cgroup held "$touch_pages" -k mixed -n 2 "$size"
}

program_ended () {
  ! kill -0 "$program" 2> /dev/null
}

make_cgroup held $((size / 3))
start_program
for ((i = 1; i <= kills; i++)); do
  sleep "$((RANDOM % 2)).$((RANDOM % 10))"
  if program_ended; then
    finish_program
    start_program
  fi
  # Half of the time with one of these just begun.
  case $((RANDOM % 4)) in
    0) ctl reload > /dev/null 2>&1 & ;;
    1) ctl writeback max=4M > /dev/null 2>&1 & ;;
  esac
  killed=$(cat "$pidfile")
  kill -KILL "$killed"
  restarts=$((restarts + 1))
  wait_until 300 "another server is there" another_server
done
finish_program
say "killed $restarts times"
grep -c "is taken over" /run/supervisor || fail "no state was taken over"

# What it did since the last one took over.
check_stats '.device.read_errors == 0' '.device.write_errors == 0' \
  '[.backings[].io_errors] | add == 0'
dmesg > /run/dmesg
if grep -iE 'I/O error|read-error|write-error|swap device.*err' /run/dmesg; then
  fail "the kernel tells of errors"
fi

kill -TERM "$supervisor"
wait "$supervisor" || fail "the supervisor did not end well"
swapped='' attached=''
