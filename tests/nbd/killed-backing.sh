#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The server of a backing is killed: its pages read EIO, the others are right,
# and what is written meanwhile goes to the next backing.  It comes back: all
# its pages are there again.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "${srcdir:-.}/tests/nbd/written-back.sh"

count=1000 # pages
truncate -s 16M "$tmp/far.img"
serve far file "$tmp/far.img"
far=$server
serve_far_and_near $count
tierswap=$server
expect "what is read at first" "$(pages check 0 $count 1 half)" \
  "right $count failed 0 wrong 0"

kill_server $far
expect "pages of a server that is gone" "$(pages check 0 $count 1 half)" \
  "right 0 failed $count wrong 0"
expect "what was written meanwhile" \
  "$(pages write $count $count 1 random)" "written $count refused 0"
expect "it in memory" "$(pages check $count $count 1 random)" \
  "right $count failed 0 wrong 0"
written_back
first_byte "$tmp/near.img" >/dev/null
expect "it on the next backing" "$(pages check $count $count 1 random)" \
  "right $count failed 0 wrong 0"
expect "pages that are still gone" "$(pages check 0 $count 1 half)" \
  "right 0 failed $count wrong 0"
# Some of them are written anew, and that needs nothing of what is gone.
expect "what was written anew" "$(pages write 0 100 2 half)" \
  "written 100 refused 0"

back ()
{
  [ "$(pages check 999 1 1 half)" = "right 1 failed 0 wrong 0" ]
}

serve far file "$tmp/far.img"
wait_until "the server to be found again" back
expect "pages that came back" "$(pages check 100 $((count - 100)) 1 half)" \
  "right $((count - 100)) failed 0 wrong 0"
expect "pages written anew" "$(pages check 0 100 2 half)" \
  "right 100 failed 0 wrong 0"
expect "the others" "$(pages check $count $count 1 random)" \
  "right $count failed 0 wrong 0"

# It takes new ones, too.
cp "$tmp/near.img" "$tmp/near.before"
expect "what was written at last" \
  "$(pages write $((2 * count)) 500 1 half)" "written 500 refused 0"
written_back
expect "what is read at last" "$(pages check $((2 * count)) 500 1 half)" \
  "right 500 failed 0 wrong 0"
stop $tierswap
