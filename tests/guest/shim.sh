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
reader=

stop_reader () {
  [ -n "$reader" ] || return 0
  kill "$reader"
  wait "$reader" || fail "the reader ended with status $?"
  reader=
  cat "$tags"
}

start_reader () {
  rm -f "$tags" "$tags.ready"
  "$shim_reader" watch "$disk" "$tags" &
  reader=$!
  wait_until 60 "the disk is watched" test -e "$tags.ready"
}

# pages_of CGROUP: that the reader had tags of.
pages_of () {
  awk -v id="$(stat -c %i "$cgroups/$1")" \
    '$1 == id { pages = $2 } END { print pages + 0 }' "$tags"
}

# check_tags CGROUP...: each swapped out what it has there, and nobody else
# anything. None was dropped: the rings have room for all that is written.
check_tags () {
  local group ids=" dropped " pages
  for group in "$@"; do
    ids+="$(stat -c %i "$cgroups/$group") "
    pages=$(pages_of "$group")
    [ "$pages" -ge $((size * 256 / 2)) ] \
      || fail "$pages pages of $group had a tag"
  done
  while read -r id pages; do
    [[ $ids == *" $id "* ]] || fail "$pages pages have the tag of $id"
  done < "$tags"
  grep -qx 'dropped 0' "$tags" || fail "tags were dropped"
}

swap_in_cgroup () {
  start_in_cgroup "$1" "$touch_pages" -k mixed "$size"
}

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
start_reader
if rmmod tierswap_shim 2>/dev/null; then
  fail "it was unloaded while it is open"
fi
start_server "$builddir/nbdkit" tierswap size=256M
swap_on
stop_reader
grep -qx '1 [1-9][0-9]*' "$tags" \
  || fail "what mkswap wrote is not of the root cgroup"

mount -t cgroup2 cgroup2 "$cgroups"
echo "+memory +io" > "$cgroups/cgroup.subtree_control"
make_cgroup one $((size / 3))
make_cgroup two $((size / 3))

start_reader
swap_in_cgroup one
finish_program
stop_reader
check_tags one

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

start_reader
swap_in_cgroup two
first=$program
swap_in_cgroup one
finish_program
program=$first
finish_program
stop_reader
check_tags one two

# The disk vanishes while it is watched.
start_reader
swap_off
run rmmod nbd
stop_reader
run rmmod tierswap_shim
[ ! -e /dev/tierswap-shim ] || fail "its device is still there"
if grep -E 'BUG|Oops|WARNING|refcount' <(dmesg); then
  fail "the kernel complains"
fi
