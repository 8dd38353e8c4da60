#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Bytes that changed on a backing are noticed: the pages they belong to read
# EIO, all others are right, and nothing ever comes back wrong.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "${srcdir:-.}/tests/nbd/written-back.sh"

count=600 # pages
file=$tmp/backing.img
serve_written_back $count \
  "backing \"disk\" { prio = 1  path = \"$file\"  size = \"16M\" }"
expect "what is read at first" "$(pages check 0 $count 1 half)" \
  "right $count failed 0 wrong 0"

# put OFFSET BYTE: into the file; hexadecimal.
put ()
{
  printf "\\x$2" | dd of="$file" bs=1 seek="$1" conv=notrunc status=none
}

# at OFFSET: the byte there.
at ()
{
  od -An -tx1 -j "$1" -N 1 "$file" | tr -d ' '
}

# check MOST: at most so many pages fail, and $failed is how many.
check ()
{
  some_right "after a change of the file" $count
  [ "$failed" -le "$1" ] || fail "$failed pages fail, at most $1 should"
}

# Some bytes of a header, then others of all over the first extents.
start=$(first_byte "$file")
all=0
offsets=$(seq 0 9; seq 100 33331 500000)
for offset in $offsets; do
  was=$(at $((start + offset)))
  put $((start + offset)) "$(printf %02x $((0x$was ^ 0x40)))"
  check 1
  all=$((all + failed))
  put $((start + offset)) "$was"
done
[ $all -ge $(($(wc -w <<<"$offsets") * 3 / 4)) ] ||
  fail "of $(wc -w <<<"$offsets") changed bytes only $all were noticed"
check 0

# A whole block is a few pages: those that begin or end in it, too.
block=$((start / 4096 + 7))
dd if=/dev/urandom of="$file" bs=4096 seek=$block count=1 conv=notrunc \
  status=none
check 4
[ "$failed" -ge 1 ] || fail "a lost block was not noticed"
all=$((all + failed))

errors=$(value '.backings[0].checksum_errors // "none"')
[ "$errors" = none ] || [ "$errors" -ge $all ] ||
  fail "$errors checksum errors were counted, expected $all"
[ "$(value .device.read_errors)" -ge $all ] ||
  fail "read errors are not counted"

# What is written anew is right again, wherever it goes.
expect "what was written again" "$(pages write 0 $count 2 half)" \
  "written $count refused 0"
written_back
expect "what is read at last" "$(pages check 0 $count 2 half)" \
  "right $count failed 0 wrong 0"
stop $server
