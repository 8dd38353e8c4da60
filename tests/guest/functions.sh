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
control=$name.control
conf=$name.conf
device=/dev/nbd0
cgroups=/sys/fs/cgroup
touch_pages=$builddir/tests/guest/touch-pages
device_pages=$builddir/tests/guest/device-pages
server=
program=
sleeper=
helpers=()
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

# need PROGRAM PACKAGE: or else this is skipped.
need () {
  command -v "$1" > /dev/null || {
    echo "skipped: $1 is not here: install $2"
    exit 77
  }
}

# comes_true SECONDS COMMAND...: whether COMMAND succeeds within that time. What
# takes longer is asked for less often, for asking takes a guest's only CPU.
comes_true () {
  local end=$((SECONDS + $1)) pause=0.1 tries=0
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    [ $((tries += 1)) -lt 20 ] || pause=1
    sleep "$pause"
  done
}

# wait_until SECONDS WHAT COMMAND...: until COMMAND succeeds.
wait_until () {
  comes_true "$1" "${@:3}" || fail "waited in vain until $2"
}

# Give back everything that was taken, in the order that never hangs: the
# program first, then the swap, then the server.
leave () {
  local status=$? group helper
  trap - EXIT
  set +e
  if [ "$status" != 0 ] && [ -n "$server" ]; then
    say "memory and swap when it failed:"
    grep -E '^(Mem|Swap)' /proc/meminfo
    cat /proc/swaps
  fi
  for program in $program $sleeper; do
    kill -KILL "$program"
    wait "$program"
  done 2>/dev/null
  [ -z "$swapped" ] || swapoff "$device"
  [ -z "$attached" ] || nbd-client -d "$device"
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
  fi
  for helper in "${helpers[@]}"; do
    kill "$helper"
    wait "$helper"
  done 2>/dev/null
  for group in "${groups[@]}"; do
    rmdir "$cgroups/$group"
  done
  rm -f "$socket" "$pidfile" "$name.waiting"* "$control" "$conf"
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# load_module NAME [PARAMETER...]: in a guest, of its kernel, with the modules
# that it needs; what is there already, or built in, is left as it is.
load_module () {
  local wanted=$1 file name
  shift
  # modules.dep names what a module needs from the nearest to the farthest.
  for file in $(sed -n "s,^\(.*/$wanted\.ko[.a-z]*\):\(.*\),\1\2,p" \
                  "$GUEST_MODULES/modules.dep" | tr ' ' '\n' | tac); do
    name=${file##*/}
    name=${name%%.*}
    [ ! -e "/sys/module/${name//-/_}" ] || continue
    if [ "$name" = "$wanted" ]; then
      insmod "$GUEST_MODULES/$file" "$@"
    else
      insmod "$GUEST_MODULES/$file"
    fi
  done
}

# The nbd driver: in a guest from the folder of its kernel's modules.
load_nbd () {
  [ ! -e "$device" ] || return 0
  if [ -n "${GUEST:-}" ]; then
    load_module nbd nbds_max=4
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
  wait_until 300 "the server is ready" server_ready
}

# start_helper NAME COMMAND...: an nbdkit that is not the one under test, on the
# socket NAME.sock in $TMPDIR; its process id is left in $helper.
helper_ready () {
  kill -0 "$helper" 2>/dev/null || fail "the server $1 ended at its start"
  [ -s "$TMPDIR/$1.pid" ]
}

start_helper () {
  local name=$1
  shift
  rm -f "$TMPDIR/$name.sock" "$TMPDIR/$name.pid"
  show "$@" -U "$TMPDIR/$name.sock"
  "$@" -f -U "$TMPDIR/$name.sock" -P "$TMPDIR/$name.pid" &
  helper=$!
  helpers+=("$helper")
  wait_until 60 "the server $name is ready" helper_ready "$name"
}

# kill_helper: at once, as if its machine were gone.
kill_helper () {
  kill -KILL "$helper"
  wait "$helper" || :
  helpers=()
} 2>/dev/null

# make_ram_disk MEBIBYTES: /dev/ram0. Its pages are never swapped out.
make_ram_disk () {
  load_module brd rd_nr=1 rd_size=$(($1 << 10))
  wait_until 10 "the RAM disk is there" test -b /dev/ram0
}

# make_file_system MEBIBYTES: of a RAM disk, on $disk.
make_file_system () {
  need mkfs.ext4 e2fsprogs
  make_ram_disk "$1"
  if ! grep -qw ext4 /proc/filesystems; then
    load_module crc32c_generic
    load_module ext4
  fi
  disk=$TMPDIR/disk
  mkdir "$disk"
  mkfs.ext4 -q -m 0 -O ^has_journal /dev/ram0
  mount /dev/ram0 "$disk"
}

swap_on () {
  load_nbd
  run nbd-client -unix "$socket" "$device" -b 4096 -swap -C 4
  attached=yes
  run mkswap "$device"
  run swapon --discard "$device"
  swapped=yes
}

is_swapped_on () {
  grep -q "^$device " /proc/swaps
}

swap_off () {
  run swapoff "$device"
  swapped=
  run nbd-client -d "$device"
  attached=
}

# check_protected PROCESS: no page of it is or will be swapped, the OOM killer
# leaves it, it is real-time, and no thread of it waits for reclaim I/O.
check_protected () {
  local process=$1 line task stat
  for line in VmLck VmSwap; do
    line=$(grep "^$line:" "/proc/$process/status")
    say "process $process: ${line//[[:space:]]/ }"
    case $line in
      VmLck:*[!0-9]0\ kB) fail "it is not locked" ;;
      VmSwap:*[1-9]*) fail "pages of it are swapped out" ;;
    esac
  done
  [ "$(cat "/proc/$process/oom_score_adj")" = -1000 ] \
    || fail "process $process can be killed for lack of memory"
  for task in "/proc/$process/task/"*; do
    line=$(cat "$task/stat" 2> /dev/null) || continue
    read -r -a stat <<< "${line##*) }"
    # PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE; SCHED_RR.
    [ $((stat[6] & 0x180000)) = $((0x180000)) ] \
      || fail "thread ${task##*/} may wait for reclaim I/O"
    [ "${task##*/}" != "$process" ] || [ "${stat[38]}" = 2 ] \
      || fail "process $process is not real-time"
  done
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

# put_to_sleep NAME MEBIBYTES ARGUMENT...: a program of the cgroup NAME, which is
# made, waits with all of its memory swapped out, each page once.
put_to_sleep () {
  make_cgroup "$1" $(($2 * 2))
  start_in_cgroup "$1" "$touch_pages" "${@:3}" -w "$waiting" "$2"
  wait_until 600 "the program waits" program_waits
  wait_until 600 "all of it is swapped out" swap_out_cgroup "$1" "$2"
  say "$(($(cat "$cgroups/$1/memory.swap.current") >> 20)) MiB are swapped out"
}

# What was put to sleep stays so while others run, until it is woken up.
let_sleep () {
  sleeper=$program
  program=
  waiting=$name.waiting-too
}

wake_up () {
  rm "$name.waiting"
  program=$sleeper
  sleeper=
  finish_program
}

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

# tierswapctl, of a server with control="$control".
ctl () {
  "$builddir/tierswapctl" -s "$control" "$@"
}

# What is swapped out, as it is read from the device itself: see device-pages.c.
# Nothing else may be swapped between the two.
save_pages () {
  run "$device_pages" save "$device" "$TMPDIR/pages"
}

# compare_pages WHEN: sets $right and $failed.
compare_pages () {
  local answer wrong
  answer=$("$device_pages" compare "$device" "$TMPDIR/pages")
  say "$1: $answer"
  read -r _ right _ failed _ wrong <<< "$answer"
  [ "$wrong" = 0 ] || fail "$wrong pages are wrong"
  [ "$right" != 0 ] || fail "no page at all can be read"
}

# pages_on BACKING
pages_on () {
  stats ".backings[] | select(.name == \"$1\") | .pages"
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
