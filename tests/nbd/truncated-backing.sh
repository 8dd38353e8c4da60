#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The file of a backing is cut short, then emptied: the pages that are gone read
# EIO, the others are right, and what is written from then on is kept.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "${srcdir:-.}/tests/nbd/written-back.sh"

count=2000 # pages: 16 segments
file=$tmp/backing.img
serve_written_back $count \
  "backing \"disk\" { prio = 1  path = \"$file\"  size = \"16M\" }"
expect "what is read at first" "$(pages check 0 $count 1 half)" \
  "right $count failed 0 wrong 0"

# Cut it in the middle of its data.
first=$(first_byte "$file")
truncate -s $((first + 2 * 1024 * 1024)) "$file"
some_right "cut short" $count
[ "$right" -gt 0 ] || fail "no page is left"
[ "$failed" -gt 0 ] || fail "no page failed although they are gone"

# As long again, but what was there is not.
truncate -s 16M "$file"
before=$right
some_right "with a hole" $count
expect "pages right with a hole" "$right" "$before"

truncate -s 0 "$file"
some_right "emptied" $count
expect "pages right of an emptied file" "$right" 0

expect "what was written anew" "$(pages write 0 $count 2 half)" \
  "written $count refused 0"
written_back
expect "what is read at last" "$(pages check 0 $count 2 half)" \
  "right $count failed 0 wrong 0"
stop $server
