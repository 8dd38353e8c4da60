#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "fuse": a program that swaps end to end, on tierswap's FUSE disk
# through a loop device, beside nbdkit's memory plugin through nbdfuse and a loop
# device, and beside a zram device with lz4.  One process of BENCH_MEBIBYTES in a
# memory cgroup of half as much, so that the machine itself is never short.  The
# three take turns, BENCH_ROUNDS times; each one's best time counts.
# usage: bench-fuse.sh PAGES
set -eu
: "${builddir:=.}" "${BENCH_ROUNDS:=3}" "${BENCH_TOUCHES:=60000}"
: "${BENCH_MEBIBYTES:=512}"
pages=$1
mebibytes=$BENCH_MEBIBYTES
limit=$((mebibytes << 19))

leave_out () {
  echo "The section fuse is left out: $*."
  exit 0
}
for program in nbdkit nbdfuse losetup mkswap swapon; do
  command -v "$program" > /dev/null ||
    leave_out "$program is missing (packages nbdkit, libnbd-bin, mount, util-linux)"
done
[ "$(id -u)" = 0 ] || leave_out "only root may swap"
[ -w /dev/fuse ] && [ -w /dev/loop-control ] ||
  leave_out "this kernel has no FUSE or no loop devices"
[ "$(wc -l < /proc/swaps)" = 1 ] ||
  leave_out "this machine swaps already, which would be measured with it"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tierswap-bench.XXXXXX")
servers=()
swap=     # what is swapped on
loop=     # the loop device
number=   # of the zram device
node=     # made for it
group=

swap_off () {
  if [ -n "$swap" ]; then
    swapoff "$swap"
  fi
  swap=
  if [ -n "$loop" ]; then
    losetup -d "$loop"
  fi
  loop=
}
stop () {
  swap_off || :
  if [ -n "$number" ]; then
    echo 1 > "/sys/block/zram$number/reset" || :
    echo "$number" > /sys/class/zram-control/hot_remove || :
  fi
  [ -z "$node" ] || rm -f "$node"
  [ -z "$group" ] || rmdir "$group" || :
  if [ ${#servers[@]} -gt 0 ]; then
    kill "${servers[@]}" 2> /dev/null || :
    wait "${servers[@]}" 2> /dev/null || :
  fi
  ! mountpoint -q "$scratch/nbdfuse" || umount -l "$scratch/nbdfuse" || :
  rm -rf --one-file-system "$scratch"
}
trap stop EXIT
trap 'exit 1' HUP INT TERM

if [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
  group=/sys/fs/cgroup/memory/tierswap-bench.$$
  mkdir "$group"
  echo "$limit" > "$group/memory.limit_in_bytes"
elif grep -qw memory /sys/fs/cgroup/cgroup.controllers 2> /dev/null; then
  echo +memory > /sys/fs/cgroup/cgroup.subtree_control
  group=/sys/fs/cgroup/tierswap-bench.$$
  mkdir "$group"
  echo "$limit" > "$group/memory.max"
else
  leave_out "there are no memory cgroups"
fi

cat > "$scratch/conf" <<CONF
size = "1G"
pool { limit = "1G" }
tier "fast" { prio = 1  codec = "lz4" }
CONF
mkdir "$scratch/tierswap" "$scratch/nbdfuse"

# wait_for FILE
wait_for () {
  local tries=600
  until [ -e "$1" ]; do
    [ $((tries -= 1)) -gt 0 ] || {
      echo "bench-fuse.sh: waited in vain for $1" >&2
      exit 1
    }
    sleep 0.05
  done
}
"$builddir/nbdkit" -f -U "$scratch/tierswap.sock" tierswap "$scratch/conf" \
  fuse="$scratch/tierswap" 2> "$scratch/tierswap.log" &
servers+=($!)
nbdkit -f -U "$scratch/memory.sock" memory 1G &
servers+=($!)
wait_for "$scratch/tierswap/disk"
wait_for "$scratch/memory.sock"
nbdfuse "$scratch/nbdfuse" "nbd+unix:///?socket=$scratch/memory.sock" &
servers+=($!)
wait_for "$scratch/nbdfuse/nbd"

add_zram () {
  if ! number=$(cat /sys/class/zram-control/hot_add 2> /dev/null); then
    number=
    echo "No zram to hold beside it: this kernel has none."
  elif ! echo lz4 > "/sys/block/zram$number/comp_algorithm"; then
    echo "No zram to hold beside it: this kernel's has no lz4."
  else
    echo 1G > "/sys/block/zram$number/disksize"
    zram=/dev/zram$number
    if ! [ -b "$zram" ]; then
      node=$zram
      IFS=: read -r major minor < "/sys/block/zram$number/dev"
      mknod -m 600 "$node" b "$major" "$minor"
    fi
    kinds+=(zram)
  fi
}
zram=
kinds=(tierswap nbdfuse)
add_zram

swap_on () {
  case $1 in
  tierswap) loop=$(losetup --show -f --direct-io=on "$scratch/tierswap/disk") ;;
  nbdfuse) loop=$(losetup --show -f --direct-io=on "$scratch/nbdfuse/nbd") ;;
  zram) ;;
  esac
  mkswap "${loop:-$zram}" > /dev/null
  swapon "${loop:-$zram}"
  swap=${loop:-$zram}
}

# The best times of each, in order and at random.
declare -A sequential random
round () {
  local seconds
  swap_on "$1"
  seconds=$(
    echo "$BASHPID" > "$group/cgroup.procs"
    exec "$builddir/swap-load" "$pages" $mebibytes "$BENCH_TOUCHES"
  )
  swap_off
  sequential[$1]=$(printf '%s\n' "${sequential[$1]:-999}" "${seconds% *}" |
    sort -n | head -n 1)
  random[$1]=$(printf '%s\n' "${random[$1]:-999}" "${seconds#* }" |
    sort -n | head -n 1)
}
for ((i = 0; i < BENCH_ROUNDS; i++)); do
  for kind in "${kinds[@]}"; do
    round "$kind"
  done
done

# figure TITLE OURS PEER-NAME PEER LIMIT
figure () {
  printf 'figure\t%s\t%s\t%s %s\t%s\t%s\t\n' "$1" "$2 s" "$3" "$4 s" \
    "$(awk "BEGIN { printf \"%.3f\", $2 / $4 }")" "$5"
}
printf 'heading\tfuse: seconds of a program of %d MiB in a cgroup of %d MiB\n' \
  $mebibytes $((limit >> 20))
for peer in "${kinds[@]:1}"; do
  aim='<=0.60'
  [ "$peer" = nbdfuse ] || aim=-
  figure "all pages in order" "${sequential[tierswap]}" "$peer" \
    "${sequential[$peer]}" "$aim"
  figure "$BENCH_TOUCHES pages at random" "${random[tierswap]}" "$peer" \
    "${random[$peer]}" "$aim"
done
