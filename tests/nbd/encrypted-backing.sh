#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# With encrypt = true nothing of a page can be read on its backing, not even
# that two are the same; and it comes back right.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need jq jq

truncate -s 4M "$tmp/far.img"
serve far file "$tmp/far.img"

# use ENCRYPT: marked pages, stored as they are, to a file and a server.
use ()
{
  cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "16M" }
tier "plain" { prio = 1  codec = "none" }
backing "disk" { prio = 1  path = "$tmp/disk.img"  size = "1M"  encrypt = $1 }
backing "far" { prio = 2  uri = "$(uri far)"  size = "4M"  encrypt = $1 }
writeback { age = 1 }
END
  serve server tierswap "$tmp/conf"
  expect "what was written" "$(pages write 0 600 1 marks)" \
    "written 600 refused 0"
  written_back
  expect "what is read" "$(pages check 0 600 1 marks)" \
    "right 600 failed 0 wrong 0"
  first_byte "$tmp/disk.img" >/dev/null
  first_byte "$tmp/far.img" >/dev/null
  cp "$tmp/disk.img" "$tmp/disk.$1"
  cp "$tmp/far.img" "$tmp/far.$1"
  stop $server
}

# repeated FILE: 16-byte blocks in it that are there twice, but for zeros.
repeated ()
{
  od -An -v -tx1 -w16 "$1" | { grep -v '^[ 0]*$' || :; } | sort | uniq -d |
    wc -l
}

use true
for backing in disk far; do
  if grep -q -a "marked page" "$tmp/$backing.true"; then
    fail "pages can be read on the encrypted backing $backing"
  fi
  expect "blocks that are the same on $backing" \
    "$(repeated "$tmp/$backing.true")" 0
done

# So it is seen if it is not encrypted.
use false
for backing in disk far; do
  grep -q -a "marked page" "$tmp/$backing.false" ||
    fail "pages are not on the backing $backing"
  [ "$(repeated "$tmp/$backing.false")" -gt 0 ] ||
    fail "no block is the same as another on $backing"
done
