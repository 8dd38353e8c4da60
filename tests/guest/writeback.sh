#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A program has four times the memory that its cgroup is held to, and goes on
# with one half of it. The other half ends up on a backing by itself. Meanwhile
# another backing is added, and the first one is drained and removed. In the end
# every page is read back right.
#   writeback.sh MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$1
hot=$((size / 2))
# In pages, and without the eighth that is the same all over: it stays in memory.
cold=$(((size - hot) * 256 * 7 / 8))

make_file_system $((size * 3))
# What is swapped in is then what the program touches, and nothing beside it.
echo 0 > /proc/sys/vm/page-cluster

backing () {
  echo "backing \"$1\" { prio = $2  path = \"$disk/$1.img\"  size = \"${size}M\" }"
}

# configure LINE...: the configuration, with these backings.
configure () {
  cat > "$conf" <<CONF
size = "1G"
pool { limit = "$((size * 3 / 8))M" }
tier "only"  { prio = 1  codec = "lz4" }
writeback { high = 90  low = 80 }
$(printf '%s\n' "$@")
CONF
}

rounds () {
  program_waits || fail "the program does not wait"
  echo $(($(cat "$waiting")))
}

# more_rounds COUNT: until the program was through with its hot half so often.
more_rounds () {
  local target=$(($(rounds) + $1))
  wait_until 900 "the program goes on with its hot half" rounds_done "$target"
}

rounds_done () {
  [ "$(rounds)" -ge "$1" ]
}

# holds_the_cold BACKING
holds_the_cold () {
  [ "$(pages_on "$1")" -ge $((cold * 9 / 10)) ]
}

# Pages read from the device, and those of them read from the backing.
reads () {
  stats -r '"\(.device.reads) \(.backings[0].read_ios)"'
}

is_empty () {
  [ "$(stat -c %b "$1")" = 0 ]
}

configure "$(backing first 1)"
start_server "$builddir/nbdkit" tierswap "$conf" control="$control"
swap_on
make_cgroup held $((size / 4))
start_in_cgroup held "$touch_pages" -k mixed -w "$waiting" -t "$hot" "$size"
wait_until 900 "the program waits" program_waits
wait_until 900 "as many pages as are cold are on the backing" \
  holds_the_cold first
more_rounds 1
read -r all slow <<< "$(reads)"
more_rounds 1
holds_the_cold first || fail "the cold pages do not stay on the backing"
say "by itself $(pages_on first) pages went to the backing, $cold are cold"
read -r all slow <<< "$(reads | awk "{ print \$1 - $all, \$2 - $slow }")"
say "of $all pages swapped in since, $slow were read from it"
[ "$slow" -lt $((all / 2)) ] || fail "the hot half is on the backing, too"

configure "$(backing first 1)" "$(backing second 2)"
ctl reload
check_stats '[.backings[] | [.name, .state]]
  == [["first", "online"], ["second", "online"]]'
configure "$(backing second 2)"
before=$(rounds)
ctl reload
wait_until 900 "the first backing is drained and removed" \
  stats_say '[.backings[].name] == ["second"]'
wait_until 300 "its file is empty" is_empty "$disk/first.img"
wait_until 900 "as many pages as are cold are on the other" \
  holds_the_cold second
more_rounds 1
say "drained and removed within $(($(rounds) - before)) rounds of the program," \
  "$(pages_on second) pages are on the other backing"
stats -c '.device, .tiers[], .backings[], .writeback'

read -r all slow <<< "$(reads)"
rm "$waiting"
finish_program
read -r all slow <<< "$(reads | awk "{ print \$1 - $all, \$2 - $slow }")"
say "of $all pages swapped in then, $slow were read from it"
[ "$slow" -ge $((cold / 2)) ] || fail "the cold half was not on the backing"
check_stats '.device.read_errors == 0' '.device.write_errors == 0' \
  '.backings[0] | .io_errors == 0 and .checksum_errors == 0' \
  '.device.mem_used_peak_bytes <= .device.mem_limit_bytes'
swap_off
