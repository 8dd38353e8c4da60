#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Pages are written faster than the backing takes them: the writer is slowed
# down, and no write is refused or lost.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need jq jq

# 4 MiB a second.
truncate -s 64M "$tmp/far.img"
serve far --filter=rate file "$tmp/far.img" rate=32M
cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "8M" }
tier "only" { prio = 1  codec = "lz4" }
backing "far" { prio = 1  uri = "$(uri far)"  size = "64M" }
writeback { high = 60  low = 40 }
END
serve server tierswap "$tmp/conf"
count=6000 # pages: three times the pool
expect "what was written" "$(pages write 0 $count 1 random)" \
  "written $count refused 0"
[ "$(value .device.mem_used_peak_bytes)" -le $((8 << 20)) ] ||
  fail "the pool went above its limit"
expect "write errors" "$(value .device.write_errors)" 0
# Reading waits behind the writing, too: some of all.
for first in $(seq 0 1000 5000); do
  expect "pages from $first on" "$(pages check $first 100 1 random)" \
    "right 100 failed 0 wrong 0"
done
stop $server
