# SPDX-License-Identifier: BSD-3-Clause
# Steps that the scripts in this folder share; they run as root in a guest (or,
# for the demo, on a host). Sourced by bash.
#
# A script that ends in any way leaves nothing behind: see `leave`.

set -eu -o pipefail

# In a folder that only root can write to; another server may be on a host.
name=/run/tierswap
[ -n "${GUEST:-}" ] || name=/run/tierswap-demo
socket=$name.sock
pidfile=$name.pid
waiting=$name.waiting
device=/dev/nbd0
cgroups=/sys/fs/cgroup
touch_pages=$builddir/tests/guest/touch-pages
server=
program=
swapped=
attached=
groups=()

say () {
  echo "# $*"
}

fail () {
  echo "FAILED: $*"
  exit 1
}

# Show a command as a person would type it.
show () {
  local words=() word
  for word in "$@"; do
    word=${word/#$builddir\//./}
    case $word in
      *[\?\&\;\*\ ]*) word="'$word'" ;;
    esac
    words+=("$word")
  done
  echo "\$ ${words[*]}"
}

run () {
  show "$@"
  "$@"
}

# wait_until SECONDS WHAT COMMAND...: until COMMAND succeeds.
wait_until () {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "waited in vain until $what"
    sleep 0.1
  done
}

# Give back everything that was taken, in the order that never hangs: the
# program first, then the swap, then the server.
leave () {
  local status=$? group
  trap - EXIT
  set +e
  if [ "$status" != 0 ] && [ -n "$server" ]; then
    say "memory and swap when it failed:"
    grep -E '^(Mem|Swap)' /proc/meminfo
    cat /proc/swaps
  fi
  if [ -n "$program" ]; then
    kill -KILL "$program"
    wait "$program"
  fi 2>/dev/null
  [ -z "$swapped" ] || swapoff "$device"
  [ -z "$attached" ] || nbd-client -d "$device"
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
  fi
  for group in "${groups[@]}"; do
    rmdir "$cgroups/$group"
  done
  rm -f "$socket" "$pidfile" "$waiting"
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The nbd driver: in a guest from the folder of its kernel's modules.
load_nbd () {
  [ ! -e "$device" ] || return 0
  if [ -n "${GUEST:-}" ]; then
    insmod "$(find "$GUEST_MODULES" -name 'nbd.ko*')" nbds_max=4
  else
    modprobe nbd
  fi
  wait_until 10 "$device is there" test -b "$device"
}

server_ready () {
  kill -0 "$server" 2>/dev/null || fail "the server ended at its start"
  [ -s "$pidfile" ]
}

# start_server COMMAND...: an nbdkit with its arguments.
start_server () {
  rm -f "$socket" "$pidfile"
  show "$@" -U "$socket"
  "$@" -f -U "$socket" -P "$pidfile" &
  server=$!
  wait_until 60 "the server is ready" server_ready
}

swap_on () {
  load_nbd
  run nbd-client -unix "$socket" "$device" -b 4096 -swap -C 4
  attached=yes
  run mkswap "$device"
  run swapon --discard "$device"
  swapped=yes
}

swap_off () {
  run swapoff "$device"
  swapped=
  run nbd-client -d "$device"
  attached=
}

# make_cgroup NAME MEBIBYTES: a cgroup that is held to so much memory. It is
# throttled from three quarters on, so that what is in it waits for swap rather
# than being killed.
make_cgroup () {
  if ! grep -q "^[^ ]* $cgroups cgroup2 " /proc/mounts; then
    [ -n "${GUEST:-}" ] || fail "$cgroups is not of cgroup2"
    mount -t cgroup2 cgroup2 "$cgroups"
  fi
  grep -qw memory "$cgroups/cgroup.controllers" \
    || fail "cgroup2 has no memory controller"
  grep -qw memory "$cgroups/cgroup.subtree_control" \
    || echo +memory > "$cgroups/cgroup.subtree_control"
  mkdir "$cgroups/$1"
  groups+=("$1")
  echo $(($2 << 20)) > "$cgroups/$1/memory.max"
}

# start_in_cgroup NAME COMMAND...: its process id is left in $program.
start_in_cgroup () {
  local group=$1
  shift
  (
    echo "$BASHPID" > "$cgroups/$group/cgroup.procs"
    exec "$@"
  ) &
  program=$!
}

# swap_out_cgroup NAME MEBIBYTES: until so much of it is swapped out.
swap_out_cgroup () {
  echo "$(($2 + 64))M" > "$cgroups/$1/memory.reclaim" || :
  [ "$(cat "$cgroups/$1/memory.swap.current")" -ge $(($2 << 20)) ]
} 2>/dev/null

# The program is given -w "$waiting" (see touch-pages.c).
program_waits () {
  if ! kill -0 "$program" 2>/dev/null; then
    finish_program
    fail "the program ended too early"
  fi
  [ -e "$waiting" ]
}

kill_program () {
  kill -KILL "$program"
  wait "$program" || :
  program=
} 2>/dev/null

finish_program () {
  local status=0
  wait "$program" || status=$?
  program=
  [ "$status" = 0 ] || fail "the program ended with status $status"
}

# The statistics, as the stats export has them, through jq.
stats () {
  nbdcopy "nbd+unix:///stats?socket=$socket" - | jq "$@"
}

# check_stats EXPRESSION...: each must be true of the statistics, else fail.
check_stats () {
  local json expression
  json=$(stats .)
  for expression in "$@"; do
    jq -e "$expression" > /dev/null <<< "$json" || {
      echo "$json"
      fail "not true of the statistics: $expression"
    }
  done
}

stats_say () {
  stats -e "$1" > /dev/null
}
