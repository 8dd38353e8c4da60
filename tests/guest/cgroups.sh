#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Programs in three cgroups swap at once on one device, and the kernel's module
# tells whose the pages are: each page is counted for its cgroup, in the tier
# and on the backing that its policy says. Then the policy of one is changed
# while it swaps, a child inherits, and a cgroup is removed with pages stored.
#   cgroups.sh MODULE MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
module=$1
size=$2
conf=$TMPDIR/conf
control=$name.control
held=$((size / 3))

tierswapctl () {
  "$builddir/tierswapctl" -s "$control" "$@"
}

# value_of CGROUP KEY, of the statistics; 0 if it is not there.
value_of () {
  stats ".cgroups | map(select(.path == \"$1\")) | .[0].$2 // 0"
}

# check_cgroup PATH EXPRESSION...: each is true of its object.
check_cgroup () {
  local path=$1 expression
  shift
  for expression in "$@"; do
    check_stats \
      ".cgroups | map(select(.path == \"$path\")) | .[0] | $expression"
  done
}

# A program in a cgroup that goes on once the file $waiting-NAME is gone.
start () {
  start_in_cgroup "$1" "$touch_pages" -k "$2" -n 2 -w "$waiting-$1" "$size"
  programs+=("$program")
}

all_wait () {
  local group
  for program in "${programs[@]}"; do
    kill -0 "$program" 2>/dev/null || finish_program
  done
  for group in "$@"; do
    [ -e "$waiting-$group" ] || return 1
  done
}

cat > "$conf" <<END
size = "512M"
pool { limit = "128M" }
tier "fast" { prio = 1  codec = "lz4" }
tier "dense" { prio = 2  codec = "zstd"  level = 1 }
backing "one" { prio = 1  path = "$TMPDIR/one"  size = "64M" }
backing "two" { prio = 2  path = "$TMPDIR/two"  size = "64M" }
writeback { high = 100  low = 90 }
cgroup "/" { prio = 1  writeback_prio = 0 }
cgroup "/hot" { prio = 1  writeback_prio = 0 }
cgroup "/cold" { prio = 2  writeback_prio = 2 }
cgroup "/big" { writeback_prio = 1  writeback_size = 4096 }
END

run insmod "$module"
wait_until 10 "the module's device is there" test -c /dev/tierswap-shim
mount -t cgroup2 cgroup2 "$cgroups"
echo "+memory +io" > "$cgroups/cgroup.subtree_control"
start_server "$builddir/nbdkit" tierswap "$conf" control="$control"
swap_on
run tierswapctl watch "$device"
programs=()
make_cgroup hot "$held"
make_cgroup cold "$held"
make_cgroup big "$held"
start hot real
start cold text
start big random
wait_until 300 "all programs have touched their memory" all_wait hot cold big
run tierswapctl writeback
stats .cgroups

# What each has swapped out now is on the device, or about to be read back; a
# thousandth and a request of 64 pages may be in neither place.
for group in hot cold big; do
  stored=$(($(value_of /$group pages_memory) + $(value_of /$group pages_backing)
    + $(value_of /$group pages_same)))
  out=$(($(cat "$cgroups/$group/memory.swap.current") / 4096))
  say "$group: $stored pages stored, $out swapped out"
  [ "$stored" -ge $((out * 999 / 1000 - 64)) ] \
    || fail "$stored of $out pages of $group are counted for it"
done
check_cgroup /hot '.pages_backing == 0' ".pages_memory > 256 * $size / 3"
check_cgroup /cold '.pages_memory < .pages_backing' '.pages_backing > 0'
check_cgroup /big '.pages_backing > 0'
# What of /cold is in memory is in the dense tier, and nothing else is.
check_stats \
  '(.tiers[] | select(.name == "dense").pages)
    == (.cgroups[] | select(.path == "/cold").pages_memory)' \
  '(.backings[] | select(.name == "two").pages)
    == (.cgroups[] | select(.path == "/cold").pages_backing)' \
  '(.backings[] | select(.name == "one").pages)
    == (.cgroups[] | select(.path == "/big").pages_backing)'

# Another policy for what comes from now on; what is stored stays where it is.
before=$(value_of /cold pages_backing)
run tierswapctl cgroup /cold prio=1 writeback_prio=0
check_cgroup /cold '.prio == 1' '.writeback_prio == 0' \
  ".pages_backing <= $before" ".pages_backing > 0"

# A child inherits, and is removed while its pages are stored.
mkdir "$cgroups/cold/child"
groups=(cold/child "${groups[@]}")
start_in_cgroup cold/child "$touch_pages" -k text -n 1 -w "$waiting-child" 8
programs+=("$program")
wait_until 120 "the child has touched its memory" all_wait child
echo 8M > "$cgroups/cold/child/memory.reclaim" || :
check_cgroup /cold/child '.prio == 1' '.writeback_prio == 0' '.pages_memory > 0'
echo "$program" > "$cgroups/cold/cgroup.procs"
rmdir "$cgroups/cold/child"
groups=("${groups[@]:1}")

# All go on, and find every page right.
rm -f "$waiting"-*
for program in "${programs[@]}"; do
  finish_program
done
programs=()
run tierswapctl unwatch "$device"
swap_off
run rmmod tierswap_shim
