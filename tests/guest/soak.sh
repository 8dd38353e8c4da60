#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A mixed load for as long as one likes: programs whose pages are compared, those
# of stress-ng (its own pages compared, a heap that grows and shrinks, swap areas
# of its own that come and go, fork storms), cgroups that are made, given a policy and
# removed with pages stored, two backings that are written to, one of which is
# drained and added again, the configuration reloaded, the store compacted. In
# the end the server is as it was: no more memory, no more file descriptors.
#   soak.sh MODULE|none MEBIBYTES SECONDS
#
# The time is cut into rounds of equal length, of two minutes at most. Each
# ends with a quiet point: everything has exited but one program that sleeps from
# before the first round to after the last, and all that takes room is on the
# backings, so that the same pages are stored in the same places each time. What
# the server has in memory there is compared with the first quiet point, which
# ends the warm-up, a round like the others. Before that the whole device was
# written to once, so that its tables are as large as they will ever be.
. "$srcdir/tests/guest/functions.sh"
module=$1
size=$2
seconds=$3
rounds=$(((seconds + 119) / 120))
[ "$rounds" -ge 2 ] || rounds=2
length=$((seconds / rounds))
# What may be resident at a later quiet point beyond the first one: the malloc
# arenas of threads, pages of programs and libraries not used until then, and those
# of the table of cgroups, where each new one has a place of its own at random.
bound=$((2 << 10)) # KiB
# Each of the four threads that serve the kernel has a ring of its own for the
# backings, from when it first reads from them.
rings=4
device_size=$((size * 4))
need stress-ng stress-ng
shim=
stress=
steady=
visitor=
visitors=0

make_file_system $((size * 4))
mkdir "$disk/stress"
# The kernel tells of each swap area: not by a console that costs time.
dmesg -n 3

backing () {
  echo "backing \"$1\" { prio = $2  path = \"$disk/$1.img\"  size = \"${3}M\" ${4:-} }"
}
near=$(backing near 1 $((size / 4)))
far=$(backing far 2 $((size * 2)) "encrypt = true")

# configure LINE...: the configuration, with these lines.
configure () {
  cat > "$conf" <<CONF
size = "${device_size}M"
pool { limit = "${size}M"  wipe = true }
tier "fast"  { prio = 1  codec = "lz4"  limit = "$((size / 2))M"  demote_age = 5 }
tier "dense" { prio = 2  codec = "zstd"  level = 1 }
writeback { high = 70  low = 50  age = 4 }
$(printf '%s\n' "$@")
CONF
}

# What the server has: KiB resident, file descriptors, threads. Those that the kernel
# makes when a request of a ring has to sleep are not counted: it keeps the last of
# each ring.
look () {
  resident=$(awk '/^VmRSS/ { print $2 }' "/proc/$server/status")
  threads=$(cat "/proc/$server/task/"*/comm 2> /dev/null | grep -cv '^iou-wrk' || :)
  workers=$(cat "/proc/$server/task/"*/comm 2> /dev/null | grep -c '^iou-wrk' || :)
  descriptors=$(ls "/proc/$server/fd" | wc -l)
}

# report WHAT: one line.
report () {
  look
  say "$SECONDS s, $1: resident $resident KiB, $descriptors descriptors," \
    "$threads threads and $workers of the kernel's;" \
    "$(stats -r '"pool \(.device.mem_used_bytes / 1024 | floor) KiB and reserve "
      + "\(.device.reserve_bytes / 1024 | floor), stored \(.device.pages_stored) "
      + "pages, \([.backings[] | "\(.pages) \(.name)"] | join(", ")); "
      + "\(.cgroups | length) cgroups, \(.device.reads) reads, "
      + "\(.device.writes) writes"')"
}

# The walk over what is stored: nothing may be wrong.
check () {
  ctl check > "$TMPDIR/check" 2>&1 || {
    cat "$TMPDIR/check"
    fail "check, after $SECONDS s"
  }
}

# A cgroup of NAME with a policy of its own, not the same each time.
make_visiting_cgroup () {
  make_cgroup "$1" "$2"
  ctl cgroup "/$1" prio=$((RANDOM % 2 + 1)) writeback_prio=$((RANDOM % 3)) \
    writeback_size=$((RANDOM % 2 * 1024))
}

remove_cgroup () {
  local group left=()
  rmdir "$cgroups/$1"
  for group in "${groups[@]}"; do
    [ "$group" = "$1" ] || left+=("$group")
  done
  groups=("${left[@]}")
}

# visit: a program swaps in a cgroup of its own; half of them leave it before
# that is removed, so that it goes with its pages stored.
visit () {
  local group=visitor-$((visitors += 1)) file=$TMPDIR/visitor
  make_visiting_cgroup "$group" $((size / 12))
  start_in_cgroup "$group" "$touch_pages" -k mixed -s "$visitors" \
    -w "$file" $((size / 4)) > "$TMPDIR/visitor.log" 2>&1
  visitor=$program
  program=
  wait_until 600 "the visitor waits" visitor_waits "$file"
  if [ $((visitors % 2)) = 0 ]; then
    swap_out_cgroup "$group" $((size / 8)) || :
    echo "$visitor" > "$cgroups/rest/cgroup.procs"
    remove_cgroup "$group"
    [ $((visitors % 4)) = 0 ] || check
  fi
  rm "$file"
  program=$visitor
  visitor=
  finish_visitor
  [ $((visitors % 2)) = 0 ] || remove_cgroup "$group"
}

visitor_waits () {
  program=$visitor
  if ! kill -0 "$visitor" 2>/dev/null; then
    finish_visitor
    fail "the visitor ended too early"
  fi
  program=
  [ -e "$1" ]
}

finish_visitor () {
  local status=0
  wait "$program" || status=$?
  program=
  [ "$status" = 0 ] || {
    cat "$TMPDIR/visitor.log"
    fail "a visitor ended with status $status"
  }
}

# start_load SECONDS
start_load () {
  start_in_cgroup steady "$touch_pages" -k mixed -s "$SECONDS" \
    -w "$TMPDIR/steady" -t $((size / 4)) $((size / 2)) \
    > "$TMPDIR/steady.log" 2>&1
  steady=$program
  # It is killed for want of memory there, never elsewhere, and then goes on.
  start_in_cgroup storm stress-ng --temp-path "$disk/stress" --timeout "$1" \
    --verify --vm 2 --vm-bytes $((size / 3))M --brk 1 --swap 1 \
    --fork 1 --vfork 1 --forkheavy 1 --forkheavy-procs 16 \
    > "$TMPDIR/stress.log" 2>&1
  stress=$program
  program=
}

finish_load () {
  local status=0
  wait "$stress" || status=$?
  stress=
  say "stress-ng ended with $status:" \
    "$(grep -c . "$TMPDIR/stress.log" || :) lines"
  sed 's/^/    /' "$TMPDIR/stress.log"
  ! grep -E 'fail:' "$TMPDIR/stress.log" || fail "stress-ng found what is wrong"
  rm "$TMPDIR/steady"
  wait "$steady" || {
    cat "$TMPDIR/steady.log"
    fail "the steady program ended with another status than 0"
  }
  steady=
  tail -n 2 "$TMPDIR/steady.log"
}

# One round of the load, for $length seconds.
round () {
  local end=$((SECONDS + length)) next=$((SECONDS + 2)) steps=0
  start_load "$length"
  wait_until 600 "the steady program waits" test -e "$TMPDIR/steady"
  while [ "$steps" = 0 ] || [ "$SECONDS" -lt "$end" ]; do
    visit
    case $((steps++ % 6)) in
      0) ctl writeback max=4M > /dev/null ;;
      1) configure "$near" && ctl reload ;;
      2) ctl compact > /dev/null ;;
      3) ctl set tier.dense.level $((RANDOM % 3 + 1)) > /dev/null ;;
      4) configure "$near" "$far" && ctl reload ;;
    esac
    if [ "$SECONDS" -ge "$next" ]; then
      check
      report "round $number"
      next=$((SECONDS + length / 5))
    fi
  done
  finish_load
}

is_cold () {
  stats_say '([.tiers[].pages] | add) == 0 and (.backings | length) == 2'
}

no_more_than () {
  look
  [ "$descriptors" -le "$1" ] && [ "$threads" -le "$2" ]
}

# Sets $resident, ...: with all that takes room on the backings.
quiet_point () {
  configure "$near" "$far"
  ctl reload
  wait_until 300 "all cgroups that are gone are forgotten" stats_say \
    '[.cgroups[] | select(.path | startswith("/visitor"))] == []'
  ctl compact > /dev/null
  wait_until 600 "all pages are on the backings" is_cold
  check
  report "quiet after $1"
  check_stats '.device.read_errors == 0' '.device.write_errors == 0' \
    '[.backings[] | .io_errors + .checksum_errors] | add == 0'
  stored=$(stats .device.pages_stored)
}

if [ "$module" != none ]; then
  run insmod "$module"
  shim=/dev/tierswap-shim
  wait_until 10 "the module's device is there" test -c "$shim"
fi
mount -t cgroup2 cgroup2 "$cgroups"
echo +memory > "$cgroups/cgroup.subtree_control"
[ -z "$shim" ] || echo +io > "$cgroups/cgroup.subtree_control"
configure "$near" "$far"
start_server "$builddir/nbdkit" -t 1 tierswap "$conf" control="$control" \
  ${shim:+shim="$shim"}
# Each slot's word and pattern: the tables are as large then as they ever are.
(yes pattern 2> /dev/null || :) | head -c "${device_size}M" \
  | nbdcopy - "nbd+unix:///?socket=$socket"
swap_on
[ -z "$shim" ] || run ctl watch "$device"

SECONDS=0
put_to_sleep asleep $((size / 4)) -k mixed
let_sleep
make_cgroup rest $((size / 4))
make_visiting_cgroup steady $((size / 6))
make_visiting_cgroup storm $((size * 2 / 3))
echo $((size * 3))M > "$cgroups/storm/memory.swap.max"

number=0
round
quiet_point "the warm-up"
first_resident=$resident
first_descriptors=$descriptors
first_threads=$threads
points=
for ((number = 1; number <= rounds; number++)); do
  round
  quiet_point "round $number"
  points+="$number $((resident - first_resident)) "
  # A connection that asked for the statistics may be just ending.
  wait_until 60 "there are as many descriptors and threads as before" \
    no_more_than $((first_descriptors + rings)) "$first_threads"
  # Beside the sleeper's: what the system has swapped out, and what the kernel
  # does not need any more and has not discarded yet.
  [ "$stored" -ge $((size / 4 * 256)) ] || fail "only $stored pages are stored"
  [ $((resident - first_resident)) -le "$bound" ] \
    || fail "$resident KiB are resident, not $first_resident"
done
say "KiB resident more than after the warm-up, by round: $points"

wake_up
run swapoff "$device"
swapped=
# Swapping off discards nothing.
blkdiscard "$device"
run nbd-client -d "$device"
attached=
report "swapped off"
check_stats '.device.pages_stored == 0' \
  '[.backings[].pages, .tiers[].pages] | add == 0'
check
kill -0 "$server" || fail "the server is gone"
dmesg > "$TMPDIR/dmesg"
if grep -iE 'I/O error|read-error|write-error|swap device.*err|Oops' \
     "$TMPDIR/dmesg"; then
  fail "the kernel tells of errors"
fi
! grep -E 'Killed process.*(nbdkit|tierswapctl)' "$TMPDIR/dmesg" \
  || fail "the server was killed"
say "$visitors cgroups came and went;" \
  "$(grep -c 'Killed process' "$TMPDIR/dmesg" || :) programs of stress-ng were" \
  "killed in their cgroup"
