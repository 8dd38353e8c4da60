#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The kernel module: it loads, refuses what is wrong, and tags what each of two
# cgroups swaps with its id; it is unloaded and loaded again meanwhile.
#   shim.sh MODULE MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
module=$1
size=$2
shim_reader=$builddir/tests/guest/shim-reader
tags=$TMPDIR/tags
declare -A readers

# start_reader KIND: watch, or watch-bpf.
start_reader () {
  rm -f "$tags.$1" "$tags.$1.ready"
  "$shim_reader" "$1" "$disk" "$tags.$1" &
  readers[$1]=$!
  wait_until 60 "the disk is watched" reader_ready "$1"
}

reader_ready () {
  [ -e "$tags.$1.ready" ] || kill -0 "${readers[$1]}" 2>/dev/null \
    || fail "the reader ended at its start"
  [ -e "$tags.$1.ready" ]
}

stop_reader () {
  kill "${readers[$1]}"
  wait "${readers[$1]}" || fail "the reader ended with status $?"
  unset "readers[$1]"
  say "tags by $1: $(tr '\n' ',' < "$tags.$1")"
}

# check_tags KIND CGROUP...: each swapped out what it has there, and nobody else
# anything; but if the guest is short of memory, a few pages of the root are too.
check_tags () {
  local kind=$1 group ids=" dropped " id pages
  shift
  for group in "$@"; do
    id=$(stat -c %i "$cgroups/$group")
    ids+="$id "
    pages=$(awk -v id="$id" '$1 == id { pages = $2 } END { print pages + 0 }' \
      "$tags.$kind")
    [ "$pages" -ge $((size * 256 / 2)) ] \
      || fail "$pages pages of $group had a tag"
  done
  while read -r id pages; do
    [[ $ids == *" $id "* ]] || [ "$id" = 1 -a "$pages" -lt 200 ] \
      || fail "$pages pages have the tag of $id"
  done < "$tags.$kind"
}

swap_in_cgroup () {
  start_in_cgroup "$1" "$touch_pages" -k mixed "$size"
}

dmesg -C
# Wrong parameters, then right ones.
for records in 0 63 131072; do
  if insmod "$module" records=$records 2>/dev/null; then
    fail "it loads with records=$records"
  fi
done
run insmod "$module" records=65536
wait_until 10 "its device is there" test -c /dev/tierswap-shim
[ "$(stat -c %a /dev/tierswap-shim)" = 600 ] || fail "others may open it"
run "$shim_reader" errors

# nbd is not loaded yet: its first disk is watched by number.
disk=43:0
start_reader watch
if rmmod tierswap_shim 2>/dev/null; then
  fail "it was unloaded while it is open"
fi
start_server "$builddir/nbdkit" tierswap size=256M
swap_on
stop_reader watch
grep -qx '1 [1-9][0-9]*' "$tags.watch" \
  || fail "what mkswap wrote is not of the root cgroup"

mount -t cgroup2 cgroup2 "$cgroups"
echo "+memory +io" > "$cgroups/cgroup.subtree_control"
make_cgroup one $((size / 3))
make_cgroup two $((size / 3))

start_reader watch
swap_in_cgroup one
finish_program
stop_reader watch
check_tags watch one
grep -qx 'dropped 0' "$tags.watch" || fail "there was room for all tags"

# Not watched, it makes no tags; and the module goes and comes while two swap.
swap_in_cgroup one
first=$program
swap_in_cgroup two
run rmmod tierswap_shim
run insmod "$module" records=65536
wait_until 10 "its device is there" test -c /dev/tierswap-shim
run rmmod tierswap_shim
run insmod "$module" records=65536
wait_until 10 "its device is there" test -c /dev/tierswap-shim
finish_program
program=$first
finish_program

# Both at once, and the BPF program beside the module, where it is built in.
kinds=watch
if "$shim_reader" have-bpf; then
  kinds="watch watch-bpf"
else
  say "the BPF program is not built in, and not tested"
fi
for kind in $kinds; do
  start_reader "$kind"
done
swap_in_cgroup two
first=$program
swap_in_cgroup one
finish_program
program=$first
finish_program
for kind in $kinds; do
  stop_reader "$kind"
  check_tags "$kind" one two
done

# The disk vanishes while it is watched.
start_reader watch
swap_off
run rmmod nbd
stop_reader watch
run rmmod tierswap_shim
[ ! -e /dev/tierswap-shim ] || fail "its device is still there"
dmesg > "$TMPDIR/dmesg"
if grep -E 'BUG|Oops|WARNING|refcount' "$TMPDIR/dmesg"; then
  fail "the kernel complains"
fi
