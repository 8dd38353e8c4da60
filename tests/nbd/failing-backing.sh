#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A backing that fails some reads, then every write, then is only slow: the
# requests concerned get EIO, nothing is lost, and writes go elsewhere.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "${srcdir:-.}/tests/nbd/written-back.sh"

count=1000 # pages

# far FILTER-ARGUMENTS...: a server of far.img that goes wrong that way.
far ()
{
  serve far --filter=error --filter=delay file "$tmp/far.img" "$@"
  far=$server
}

truncate -s 16M "$tmp/far.img"
far error-pread=EIO error-pread-rate=20% error-pread-file="$tmp/bad-reads"
serve_far_and_near $count
tierswap=$server

touch "$tmp/bad-reads"
some_right "with reads that fail" $count
[ "$right" -gt 0 ] || fail "no page was read"
[ "$failed" -gt 0 ] || fail "no page failed"
[ "$(value .device.read_errors)" -ge "$failed" ] ||
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
