#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The file of a backing is cut short, then emptied: the pages that are gone read
# EIO, the others are right, and what is written from then on is kept.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need jq jq

count=2000 # pages: 16 segments
file=$tmp/backing.img
cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "16M" }
tier "only" { prio = 1  codec = "lz4" }
backing "disk" { prio = 1  path = "$file"  size = "16M" }
writeback { age = 1 }
END
serve server tierswap "$tmp/conf"
expect "what was written" "$(pages write 0 $count 1 half)" \
  "written $count refused 0"
written_back
expect "what is read at first" "$(pages check 0 $count 1 half)" \
  "right $count failed 0 wrong 0"

# check WHEN: $right and $failed pages, none wrong.
check ()
{
  local answer
  answer=$(pages check 0 $count 1 half)
  [[ $answer =~ ^right\ ([0-9]+)\ failed\ ([0-9]+)\ wrong\ 0$ ]] ||
    fail "$1: $answer"
  right=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]}
}

# Cut it in the middle of its data.
first=$(first_byte "$file")
truncate -s $((first + 2 * 1024 * 1024)) "$file"
check "cut short"
[ "$right" -gt 0 ] || fail "no page is left"
[ "$failed" -gt 0 ] || fail "no page failed although they are gone"

# As long again, but what was there is not.
truncate -s 16M "$file"
before=$right
check "with a hole"
expect "pages right with a hole" "$right" "$before"

truncate -s 0 "$file"
check "emptied"
expect "pages right of an emptied file" "$right" 0

expect "what was written anew" "$(pages write 0 $count 2 half)" \
  "written $count refused 0"
written_back
expect "what is read at last" "$(pages check 0 $count 2 half)" \
  "right $count failed 0 wrong 0"
stop $server
