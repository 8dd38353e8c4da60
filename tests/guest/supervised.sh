# SPDX-License-Identifier: BSD-3-Clause
# What the scripts share whose server is replaced while programs swap: a state
# on memory, two backings, a supervisor, and programs of three cgroups that write
# and compare all of their pages over and over. Sourced by bash, after
# functions.sh.

# What a program of a cgroup writes to a tmpfs is swapped out with it, and who
# reads it then waits for a server that may be gone: not so on $memory.
memory=/run/memory
waiting=$memory/waiting
conf=/run/tierswap.conf
supervisor=
programs=()

fail () {
  echo "FAILED: $*"
  tail -n 20 /run/supervisor
  tail -n 3 "$memory"/program[123] || :
  exit 1
}

# What leave() would take back is gone with the guest: a swapoff while there is
# no server would wait for it.
keep_for_the_end () {
  swapped='' attached='' server=''
}

mount_memory () {
  mkdir "$memory"
  mount -t tmpfs -o noswap,mode=0700 none "$memory" 2> /dev/null \
    || mount -t ramfs -o mode=0700 none "$memory"
  say "the state is on $(stat -f -c %T "$memory")"
}

# configure [LINE...]: for programs of $size MiB, with LINE... of backings beside
# the one that is always there. It takes the place of the last in one step.
configure () {
  cat > "$conf.new" <<END
size = "512M"
pool { limit = "$((size / 4))M"  state = "$memory/state" }
tier "fast" { prio = 1  codec = "lz4"  limit = "$((size / 8))M" }
tier "dense" { prio = 2  codec = "zstd" }
backing "far" { prio = 2  path = "$memory/far.img"  size = "64M"  encrypt = true }
writeback { high = 70  low = 50  age = 2 }
$(printf '%s\n' "$@")
END
  mv "$conf.new" "$conf"
}

near="backing \"near\" { prio = 1  path = \"$memory/near.img\"  size = \"8M\" }"

# start_supervisor [WORD...]: with these words for tierswapctl supervise.
start_supervisor () {
  setsid timeout --foreground 7200 "$builddir/tierswapctl" supervise "$device" \
    "socket=$socket" "$@" -- \
    "$nbdkit" -f -t 1 -U "$socket" -P "$pidfile" \
    "${plugin:-tierswap}" "$conf" "control=$control" >> /run/supervisor 2>&1 &
  supervisor=$!
}

supervise_server () {
  load_nbd
  : > /run/supervisor
  start_supervisor "$@"
  wait_until 120 "it is swapped on" is_swapped_on
}

# start_programs: three of a third of $size MiB each, held to a third of that; by
# memory.high, for with all of its memory on the way to a server that is gone, a
# program at memory.max would be killed.
start_programs () {
  local i
  program=
  for i in 1 2 3; do
    make_cgroup "held$i" "$size"
    echo "$((size / 9))M" > "$cgroups/held$i/memory.high"
    (
      echo "$BASHPID" > "$cgroups/held$i/cgroup.procs"
      exec "$touch_pages" -k mixed -s "$i" -w "$waiting$i" \
        -t $((size / 3)) $((size / 3))
    ) > "$memory/program$i" 2>&1 &
    programs[i]=$!
    program+=" $!"
  done
}

# A program whose page is wrong, or that the kernel killed, is gone.
check_programs () {
  local i
  for i in 1 2 3; do
    kill -0 "${programs[i]}" 2> /dev/null && continue
    cat "$memory/program$i"
    fail "program $i has ended"
  done
}

passes () {
  cat "$waiting"[123] 2> /dev/null | awk '{ sum += $1 } END { print sum + 0 }'
}

more_passes () {
  check_programs
  [ "$(passes)" -gt "$before" ]
}

# Some swapping, which goes on.
swap_on_and_on () {
  before=$(passes)
  wait_until 300 "the programs go on" more_passes
}

# Every page of every program is compared once more.
finish_programs () {
  local i status pages stalls
  check_programs
  rm -f "$waiting"[123]
  for i in 1 2 3; do
    status=0
    wait "${programs[i]}" || status=$?
    sed '/^touch-pages: [a-z]*: [0-9]* of/d' "$memory/program$i"
    [ "$status" = 0 ] || fail "program $i ended with status $status"
  done
  program=
  # Passes write and compare; the first and the last are told by themselves.
  pages=$(cat "$memory"/program[123] | awk '
    / pages written, read, right/ { sum += 2 * $6 }
    / pages written [0-9]+ times more/ { sum += 2 * $2 * $5 }
    / pages read again, right/ { sum += $2 }
    END { print sum }')
  stalls=$(sed -n 's/.*longest that one page took was \(.*\) s$/\1/p' \
    "$memory"/program[123] | sort -n | tail -n 1)
  say "$pages pages were touched and right, the longest stall was $stalls s"
}

# Nothing failed, as far as the kernel knows.
check_kernel () {
  dmesg > /run/dmesg
  if grep -iE 'I/O error|read-error|write-error|swap device.*err' /run/dmesg
  then
    fail "the kernel tells of errors"
  fi
}

another_server () {
  [ -s "$pidfile" ] && [ "$(cat "$pidfile")" != "$1" ]
}

end_supervision () {
  kill -TERM "$supervisor"
  wait "$supervisor" || {
    tail -n 20 /run/supervisor
    fail "the supervisor did not end well"
  }
}
