#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The plugin under nbdkit's own filters.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need nbdinfo libnbd-bin
need jq jq

size=$((16 << 20))
{ seq 1 1000000 | head -c $((6 << 20)) || :; } >"$tmp/data"
head -c $((2 << 20)) /dev/urandom >>"$tmp/data"
truncate -s $size "$tmp/data"

# copy NAME: write the data through, read it back, compare.
copy ()
{
  timeout $limit nbdcopy "$tmp/data" "$(uri "$1")" ||
    fail "$1: writing failed"
  timeout $limit nbdcopy "$(uri "$1")" - | cmp - "$tmp/data" ||
    fail "$1: what is read is not what was written"
}

# with NAME ARGUMENT...: a server under filters takes the data.
with ()
{
  local name=$1
  shift
  echo "$name: $*"
  serve "$name" "$@"
  copy "$name"
}

with stats --filter=stats tierswap size=$size statsfile="$tmp/stats.txt"
expect "the JSON under the stats filter" \
  "$(text stats stats | jq .device.size)" $size
stop $server
grep -q '^write:' "$tmp/stats.txt" || fail "the stats filter counted nothing"

with log --filter=log tierswap size=$size logfile="$tmp/log.txt"
stop $server
grep -q ' Write ' "$tmp/log.txt" || fail "the log filter logged nothing"

# What is written over the cow filter stays above it.  (The filter has one
# overlay for all exports, so that only the description tells.)
with cow --filter=cow tierswap size=$size
timeout $limit nbdinfo --json "$(uri cow)" >"$tmp/cow.json"
jq -r '.exports[0].description' "$tmp/cow.json" | grep -q ': 0 B stored' ||
  fail "something is stored below the cow filter"
stop $server

with blocksize --filter=blocksize tierswap size=$size \
  minblock=64K maxdata=1M maxlen=4M
stop $server
with blocksize-policy --filter=blocksize-policy tierswap size=$size \
  blocksize-error-policy=error
stop $server
with readahead --filter=readahead tierswap size=$size
stop $server
with cache --filter=cache tierswap size=$size cache=writethrough
stop $server
with noparallel --filter=noparallel tierswap size=$size
stop $server
with noextents --filter=noextents --filter=nozero --filter=fua \
  tierswap size=$size fuamode=force
stop $server
with multi-conn --filter=multi-conn tierswap size=$size multi-conn-mode=auto
stop $server

# Ends with its last client.
serve exitlast --filter=exitlast tierswap size=$size
timeout $limit nbdcopy "$tmp/data" "$(uri exitlast)"
wait_until "the server to end after its last client" gone $server
wait $server || fail "under the exitlast filter the server ended badly"
