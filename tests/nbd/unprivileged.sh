#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# As a user without capabilities the server says in one warning what it cannot
# do and who would let it, and serves all the same.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin

user=()
if [ "$(id -u)" = 0 ]; then
  user=(-u nobody)
  chmod 777 "$tmp" # for its pid file
fi
ulimit -l 64 # KiB; more than that needs CAP_IPC_LOCK

serve server "${user[@]}" tierswap size=4M
expect "capabilities in effect" \
  "$(awk '$1 == "CapEff:" { print $2 }' /proc/$server/status)" \
  0000000000000000

# nbdkit tells its process before it starts the plugin.
wait_until "a warning" grep -q 'warning:' "$tmp/server.log"
grep -c 'warning:' "$tmp/server.log" >"$tmp/count" || :
expect "the number of warnings" "$(cat "$tmp/count")" 1
words="CAP_SYS_RESOURCE PR_SET_IO_FLUSHER oom_score_adj"
if [ "${SANITIZER:-no}" = no ]; then
  words+=" CAP_IPC_LOCK mlockall" # which sanitizers make do nothing
fi
for word in $words; do
  grep 'warning:' "$tmp/server.log" | grep -q $word ||
    fail "the warning does not name $word"
done

{ seq 1 1000000 | head -c $((4 << 20)) || :; } >"$tmp/data"
timeout $limit nbdcopy "$tmp/data" "$(uri server)"
timeout $limit nbdcopy "$(uri server)" - | cmp - "$tmp/data"
text server stats | grep -q '"pages_stored"' || fail "no statistics"
stop $server
