#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A backing that fails some reads, then every write, then is only slow: the
# requests concerned get EIO, nothing is lost, and writes go elsewhere.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need jq jq

count=1000 # pages

# far FILTER-ARGUMENTS...: a server of far.img that goes wrong that way.
far ()
{
  serve far --filter=error --filter=delay file "$tmp/far.img" "$@"
  far=$server
}

truncate -s 16M "$tmp/far.img"
far error-pread=EIO error-pread-rate=20% error-pread-file="$tmp/bad-reads"
cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "16M" }
tier "only" { prio = 1  codec = "lz4" }
backing "far" { prio = 1  uri = "$(uri far)"  size = "16M" }
backing "near" { prio = 2  path = "$tmp/near.img"  size = "16M" }
writeback { age = 1 }
END
serve server tierswap "$tmp/conf"
tierswap=$server
expect "what was written" "$(pages write 0 $count 1 half)" \
  "written $count refused 0"
written_back
first_byte "$tmp/far.img" >/dev/null

touch "$tmp/bad-reads"
answer=$(pages check 0 $count 1 half)
[[ $answer =~ ^right\ ([0-9]+)\ failed\ ([0-9]+)\ wrong\ 0$ ]] || fail "$answer"
[ "${BASH_REMATCH[1]}" -gt 0 ] || fail "no page was read: $answer"
[ "${BASH_REMATCH[2]}" -gt 0 ] || fail "no page failed: $answer"
[ "$(value .device.read_errors)" -ge "${BASH_REMATCH[2]}" ] ||
  fail "read errors are not counted"
rm "$tmp/bad-reads"
expect "what is read from then on" "$(pages check 0 $count 1 half)" \
  "right $count failed 0 wrong 0"

back ()
{
  [ "$(pages check 0 1 1 half)" = "right 1 failed 0 wrong 0" ]
}

# Every write fails: the next backing takes the pages.
kill_server $far
far error-pwrite=EIO error-pwrite-rate=100% error-pwrite-file="$tmp/bad-writes"
wait_until "the server to be found again" back
touch "$tmp/bad-writes"
expect "what was written meanwhile" \
  "$(pages write $count $count 1 random)" "written $count refused 0"
written_back
first_byte "$tmp/near.img" >/dev/null
expect "it on the next backing" "$(pages check $count $count 1 random)" \
  "right $count failed 0 wrong 0"
expect "what was there before" "$(pages check 0 $count 1 half)" \
  "right $count failed 0 wrong 0"

# A tenth of a second a request.
kill_server $far
far delay-read=100ms delay-write=100ms
wait_until "the server to be found again" back
expect "what a slow server gives" "$(pages check 0 200 1 half)" \
  "right 200 failed 0 wrong 0"
expect "what was written at last" \
  "$(pages write $((2 * count)) 500 1 half)" "written 500 refused 0"
written_back
expect "what is read at last" "$(pages check $((2 * count)) 500 1 half)" \
  "right 500 failed 0 wrong 0"
stop $tierswap
