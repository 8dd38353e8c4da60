#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A server with pool.state is killed while it is written to, and another one
# takes its pages over: those in memory, on a file and on an encrypted one.
# What the state must not be on is refused when the server is started.
. "${srcdir:-.}/tests/nbd/own-mounts.sh"
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need jq jq

mount_memory

count=2000 # pages
# configure STATE
configure ()
{
  cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "8M"  state = "$1" }
tier "fast" { prio = 1  codec = "lz4"  limit = "2M" }
tier "dense" { prio = 2  codec = "zstd" }
backing "near" { prio = 1  path = "$tmp/near.img"  size = "1M" }
backing "far" { prio = 2  path = "$tmp/far.img"  size = "16M"  encrypt = true }
writeback { high = 60  low = 40  age = 1 }
END
}

# right FIRST COUNT SEED: how many of the pages are those of that seed.
right ()
{
  local a b c d e f
  read -r a b c d e f <<<"$(pages check "$1" "$2" "$3" half)"
  expect "what cannot be read" "$a $c $d $e" "right failed 0 wrong"
  expect "what was looked at" $((b + f)) "$2"
  echo "$b"
}

on_both ()
{
  [ "$(value '[.backings[].pages] | min')" -gt 0 ]
}

# Not where it would be swapped out or written to a disk.
configure "$tmp/state"
if "$nbdkit" -U "$tmp/none" --run true tierswap "$tmp/conf" \
  >"$tmp/refused.log" 2>&1; then
  fail "a state on a disk was taken"
fi
grep -q "mount -t tmpfs -o noswap" "$tmp/refused.log" ||
  fail "the remedy was not told: $(cat "$tmp/refused.log")"
[ ! -e "$tmp/state" ] || fail "a file was left where none may be"

configure "$tmp/memory/state"
serve server tierswap "$tmp/conf"
first=$server
expect "what was written" "$(pages write 0 $count 1 half)" \
  "written $count refused 0"
wait_until "pages on both backings" on_both

# One state is one server's.
if "$nbdkit" -f -U "$tmp/none" tierswap "$tmp/conf" >"$tmp/second.log" 2>&1; then
  fail "two servers have one state"
fi
grep -q "another server, process $first, has" "$tmp/second.log" ||
  fail "it was not told why: $(cat "$tmp/second.log")"

kill_server "$first"
# What has pages keeps its name.
cp "$tmp/conf" "$tmp/right.conf"
sed -i 's/backing "far"/backing "afar"/' "$tmp/conf"
if timeout $limit "$nbdkit" -f -U "$tmp/never" tierswap "$tmp/conf" \
  >"$tmp/refused.log" 2>&1; then
  fail "a backing came to where another one has pages"
fi
grep -q 'conf:6: backing "afar" cannot be where backing "far" is' \
  "$tmp/refused.log" || fail "it was not told why: $(cat "$tmp/refused.log")"
mv "$tmp/right.conf" "$tmp/conf"
serve server tierswap "$tmp/conf"
expect "pages after a kill" "$(right 0 $count 1)" $count
grep -q "is taken over: $count pages" "$tmp/server.log" ||
  fail "it was not told what was taken over"

# Each time more is written, and the server killed meanwhile.
for seed in 2 3 4; do
  pages write 0 $count $seed half >"$tmp/writing" 2>&1 &
  writing=$!
  until [ "$(value .device.writes)" -ge $((seed * count / 8)) ]; do
    kill -0 $writing 2>/dev/null || break
  done
  kill_server $server
  wait $writing || :
  serve server tierswap "$tmp/conf"
  new=$(right 0 $count $seed)
  old=$(right 0 $count $((seed - 1)))
  expect "old and new pages after kill $seed" $((old + new)) $count
  expect "pages written anew" "$(pages write 0 $count $seed half)" \
    "written $count refused 0"
done

# One that ends well leaves the same.
stop $server
serve server tierswap "$tmp/conf"
expect "pages after a good end" "$(right 0 $count 4)" $count
expect "what is on the file of the near backing" \
  "$(value '.backings[] | select(.name == "near") | .state')" online

# One that is told to end while it has a client, which waits, does not wait for it.
{ nbdcopy "$(uri server)" - 2>/dev/null || :; } |
  { head -c 1 >/dev/null; : >"$tmp/reading"; exec sleep $limit; } &
reading=$!
wait_until "a client" test -e "$tmp/reading"
kill "$server"
wait_until "the server to end" gone "$server"
wait "$server" || fail "it did not end well"
kill $reading 2>/dev/null || :
serve server tierswap "$tmp/conf"
expect "pages after an end with a client" "$(right 0 $count 4)" $count
stop $server
serve server tierswap "$tmp/conf"

# What was trimmed is gone, and the file can be removed.
expect "pages stored" "$(value .device.pages_stored)" $count
stop $server
rm "$tmp/memory/state"
serve server tierswap "$tmp/conf"
expect "pages of a new state" "$(value .device.pages_stored)" 0
stop $server
