#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# This very machine swaps on the FUSE disk through a loop device: a program in a
# memory cgroup of less than it needs, so that the machine itself is never short.
# Then the server is told to end too early: it serves on until the swap is off.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/fuse.sh"
need losetup mount
need mkswap util-linux
[ "${SANITIZER:-no}" = no ] || skip "a server with a sanitizer cannot be locked"
mebibytes=96
bound=48

# The cgroup, of either version.
group=
if [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
  group=/sys/fs/cgroup/memory/tierswap-test.$$
  file=memory.limit_in_bytes
elif grep -qw memory /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null; then
  group=/sys/fs/cgroup/tierswap-test.$$
  file=memory.max
fi
[ -n "$group" ] || skip "there are no memory cgroups"
mkdir "$group" 2>"$tmp/err" || skip "no cgroup can be made: $(cat "$tmp/err")"

loop=
swapped=
program=
give_back ()
{
  if [ -n "$program" ]; then
    kill -KILL "$program" 2>/dev/null
    wait "$program" 2>/dev/null
  fi
  [ -z "$swapped" ] || swapoff "$loop"
  [ -z "$loop" ] || losetup -d "$loop"
  [ ! -d "$group" ] || rmdir "$group"
  loop=
}
echo $((bound << 20)) >"$group/$file"

cat >"$tmp/conf" <<END
size = "512M"
pool { limit = "256M" }
tier "fast" { prio = 1  codec = "lz4" }
END
serve_fuse "$tmp/conf"
loop=$(losetup --show -f --direct-io=on "$dir/disk" 2>"$tmp/err") ||
  { loop=; skip "no loop device: $(cat "$tmp/err")"; }
mkswap "$loop" >"$tmp/out"
# Before any other swap there may be.
swapon --discard -p 32767 "$loop" 2>"$tmp/err" ||
  skip "this machine cannot swap: $(cat "$tmp/err")"
swapped=yes

(
  echo "$BASHPID" >"$group/cgroup.procs"
  exec "$builddir/tests/guest/touch-pages" -k mixed -w "$tmp/waiting" \
    $mebibytes
) >"$tmp/program.log" 2>&1 &
program=$!
waits ()
{
  [ -e "$tmp/waiting" ] || gone $program
}
limit=600 wait_until "the program to have all its pages" waits
[ -e "$tmp/waiting" ] || fail "the program ended too early"

used=$(awk -v loop="$loop" '$1 == loop { print $4 }' /proc/swaps)
[ "$used" -ge $(((mebibytes - bound - 8) << 10)) ] ||
  fail "only $used KiB are swapped out"
read -r -a mm <"$dir/mm_stat"
[ "${mm[0]}" -ge $(((mebibytes - bound - 8) << 20)) ] ||
  fail "mm_stat while swapping: ${mm[*]}"
expect "errors" "$(tr -s ' ' <"$dir/io_stat" | cut -d ' ' -f 2-4)" "0 0 0"

# All these pages would be lost.
kill $server
wait_until "the server to say what is to be done" \
  grep -qF "to end it: swapoff $loop; losetup -d $loop" "$tmp/server.log"
rm "$tmp/waiting"
status=0
wait $program || status=$?
program=
expect "exit status of the program that swaps" $status 0

swapoff "$loop"
swapped=
losetup -d "$loop"
loop=
wait_until "the server to end" gone $server
wait $server
mountpoint -q "$dir" && fail "it is still mounted"
rmdir "$group"
