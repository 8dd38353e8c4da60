#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The server is killed again and again, at any moment, while programs of three
# cgroups swap and pages are written to two backings. Each time another one takes
# its state over, and the kernel sends again what was not answered: every page is
# right, and the kernel tells of no I/O error. With "busy" it is also made to
# write back, to compact, to reload, and to drain and close a backing and open
# it again, all the time.
#   restart.sh MEBIBYTES KILLS [busy]
. "$srcdir/tests/guest/functions.sh"
. "$srcdir/tests/guest/supervised.sh"
size=$1
kills=$2
busy=${3:-}
nbdkit=$builddir/nbdkit

# Commands that the server may be killed in; each notes when it was done.
keep_busy () {
  local i
  while :; do
    configure
    ! ctl reload || echo drain >> /run/done
    for i in 1 2 3; do
      ! ctl writeback max=2M || echo writeback >> /run/done
      ! ctl compact || echo compact >> /run/done
    done
    configure "$near"
    ! ctl reload || echo reload >> /run/done
    ! ctl check || echo check >> /run/done
  done > /dev/null 2> /run/busy
}

times_given_up () {
  dmesg | grep -c 'nbd.*[Cc]onnection timed out' || :
}

was_given_up () {
  [ "$(times_given_up)" -gt "$given_up" ]
}

# What the supervisor learned of connections as they ended, not at its looks:
# "given ended", as it tells them.
connections_told () {
  awk -v disk="$device" '
    / is swapped on, with / { given += $(NF - 1) }
    / has [0-9]+ new connection/ { given += $4 }
    $5 == disk && $NF == "ended" { ended += $2 }
    END { print given + 0, ended + 0 }' /run/supervisor
}

end_was_told () {
  [ "$(connections_told | cut -d ' ' -f 2)" -gt "$ends" ]
}

# is_connected SINCE: the kernel has a connection, and was given one since it had
# been given so many.
is_connected () {
  local given ended
  read -r given ended <<< "$(connections_told)"
  [ "$given" -gt "$1" ] && [ "$given" -gt "$ended" ]
}

# The server is alive, but too slow. If the kernel has just lost its connection
# there is none that it could give up: once more, then.
stop_for_a_while () {
  local stopped given_up ends times
  for times in 1 2 3 4 5; do
    given_up=$(times_given_up)
    read -r _ ends <<< "$(connections_told)"
    stopped=$(cat "$pidfile")
    kill -STOP "$stopped"
    if comes_true 30 was_given_up; then
      wait_until 60 "the supervisor is told of that" end_was_told
      kill -CONT "$stopped"
      return
    fi
    kill -CONT "$stopped"
    wait_until 120 "the kernel has a connection" is_connected 0
  done
  fail "the kernel never gives a connection up"
}

mount_memory
configure "$near"
supervise_server timeout=5
keep_for_the_end
start_programs
: > /run/done
if [ -n "$busy" ]; then
  keep_busy &
  helpers+=($!)
fi

for ((i = 1; i <= kills; i++)); do
  sleep "$((RANDOM % 6)).$((RANDOM % 10))"
  check_programs
  killed=$(cat "$pidfile")
  read -r given _ <<< "$(connections_told)"
  kill -KILL "$killed"
  wait_until 300 "another server is there" another_server "$killed"
  wait_until 120 "the kernel is given a connection" is_connected "$given"
  [ $((i % 10)) != 0 ] || say "killed $i times"
  [ $((i % 4)) != 2 ] || stop_for_a_while
done
finish_programs
say "killed $kills times; $(times_given_up) connections were given up;" \
  "$(grep -c "is taken over" /run/supervisor) servers took over"
grep -q "is taken over" /run/supervisor || fail "no state was taken over"
if [ -n "$busy" ]; then
  kill "${helpers[0]}"
  wait "${helpers[0]}" || :
  helpers=()
  sort /run/done | uniq -c
  for what in drain writeback compact reload check; do
    grep -q "$what" /run/done || fail "no $what was done between kills"
  done
fi

# What it did since the last one took over.
check_stats '.device.read_errors == 0' '.device.write_errors == 0' \
  '[.backings[].io_errors] | add == 0'
ctl check
check_kernel
end_supervision
