#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# In the background, as a service runs: the configuration was named relative
# to where nbdkit was started, the threads live after the fork, and the server
# ends with SIGTERM.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin

cd "$tmp"
printf 'size = "32M"\ntier "only" { prio = 1  codec = "zstd" }\n' >here.conf
timeout $limit "$nbdkit" --log=null -U "$tmp/server" -P "$tmp/pid" \
  tierswap here.conf
wait_until "the server to write its pid" test -s "$tmp/pid"
server=$(cat "$tmp/pid")
servers+=("$server")
expect "the server's directory" "$(readlink /proc/$server/cwd)" /

{ seq 1 1000000 | head -c $((6 << 20)) || :; } >data
truncate -s 32M data
# Twice over, so that there is something to clean.
for _ in 1 2; do
  timeout $limit nbdcopy data "$(uri server)"
done
timeout $limit nbdcopy "$(uri server)" - | cmp - data
text server only | grep -q '"codec": *"zstd"' ||
  fail "the configuration was not read"

kill $server
wait_until "the server to end" gone $server
