#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswapctl reload: a file with a mistake, or that asks for what cannot be,
# changes nothing; all else is applied while the device is in use, and what is
# stored stays right.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"
need jq jq
need nbdcopy libnbd-bin

# configure LINE...: write the configuration.
configure ()
{
  printf '%s\n' 'size = "64M"' "$@" >"$tmp/conf"
}

fast='tier "fast" { prio = 1  codec = "lz4"  limit = "16M" }'
ssd="backing \"ssd\" { prio = 1  path = \"$tmp/ssd\"  size = \"32M\" }"
far="backing \"far\" { prio = 2  path = \"$tmp/far\"  size = \"32M\" }"
pool='pool { limit = "32M" }'

configure "$pool" "$fast" "$ssd"
serve_control "$tmp/conf"
{ head -c 8M /dev/urandom; seq 1 2000000 | head -c 8M || :; } >"$tmp/pages"
timeout $limit nbdcopy "$tmp/pages" "$(uri server)"
control writeback >"$tmp/out"
grep -q '^4096 pages were written back' "$tmp/out" ||
  fail "not all was written back: $(cat "$tmp/out")"

right ()
{
  timeout $limit nbdcopy "$(uri server)" "$tmp/read"
  cmp -n $((16 << 20)) "$tmp/read" "$tmp/pages" || fail "wrong content: $*"
}

# What the configuration decides.
state ()
{
  control get | grep -E '\.(limit|level|codec|prio|size|state|promote|high|low|age|demote_age|group|writeback_prio|writeback_size) = '
}

# not_applied PATTERN LINE...
not_applied ()
{
  local pattern=$1
  shift
  configure "$@"
  state >"$tmp/before"
  refuses "$pattern" reload
  state >"$tmp/after"
  cmp "$tmp/before" "$tmp/after" || fail "changed by a refused reload: $*"
  [ ! -e "$tmp/new" ] || fail "a refused reload left a file"
}

new="backing \"new\" { prio = 3  path = \"$tmp/new\"  size = \"8M\" }"
not_applied "$tmp/conf:3: " "$pool" 'colour = 1'
not_applied "$tmp/conf:2: " 'pool { limit = "much" }' "$fast" "$ssd"
not_applied "$tmp/conf:4: " "$pool" "$fast" \
  'backing "new" { prio = 9  path = "/tmp/x"  size = "8M" }'
not_applied 'cannot be removed or renamed' "$pool" "$ssd" "$new" \
  'tier "quick" { prio = 1  codec = "lz4" }'
not_applied "$tmp/conf:3: the codec" "$pool" \
  'tier "fast" { prio = 1  codec = "zstd" }' "$ssd" "$new"
not_applied "$tmp/conf:4: path, uri and encrypt" "$pool" "$fast" \
  "backing \"ssd\" { prio = 1  path = \"$tmp/other\"  size = \"32M\" }"
not_applied "pool.state cannot be changed while running" \
  'pool { limit = "24M"  state = "/tmp/state" }' "$fast" "$ssd" "$new"
# The new one is opened before the other is found to be too small.
not_applied "in use" 'pool { limit = "24M" }' "$fast" "$new" \
  "backing \"ssd\" { prio = 1  path = \"$tmp/ssd\"  size = \"1M\" }"
not_applied "/nowhere/file" 'pool { limit = "24M" }' "$fast" "$ssd" "$new" \
  'backing "bad" { prio = 4  path = "/nowhere/file"  size = "8M" }'
not_applied "bytes are missing" 'pool { limit = "8M" }' \
  'tier "fast" { prio = 1  codec = "lz4" }'
rm "$tmp/conf"
refuses "$tmp/conf" reload
right "after refused reloads"

# A changed size of the device is refused; one given beside the file is not.
sed 's/64M/128M/' <<<"$(configure "$pool" "$fast" "$ssd"; cat "$tmp/conf")" \
  >"$tmp/larger"
mv "$tmp/larger" "$tmp/conf"
refuses "the device's size is" reload

# Limits, levels, policies, sizes, a new tier and a new backing.
configure 'pool { limit = "28M" }' \
  'tier "fast" { prio = 1  codec = "lz4"  level = -3  limit = "8M"
   demote_age = 500 }' \
  'tier "dense" { prio = 2  codec = "zstd"  level = 3  group = 2 }' \
  "backing \"ssd\" { prio = 3  path = \"$tmp/ssd\"  size = \"40M\"
   promote = true }" "$far" \
  'writeback { high = 70  low = 20  age = 1000  limit = "1G" }' \
  'cgroup "/" { prio = 2  writeback_prio = 2  writeback_size = 100 }'
expect "what reload tells" "$(control reload)" "$tmp/conf is in force"
while read -r name value; do
  expect "$name" "$(control get "$name")" "$value"
done <<END
pool.limit $((28 << 20))
tier.fast.level -3
tier.fast.limit $((8 << 20))
tier.fast.demote_age 500
tier.dense.codec zstd
tier.dense.level 3
tier.dense.group 2
backing.ssd.prio 3
backing.ssd.size $((40 << 20))
backing.ssd.promote true
backing.far.state online
backing.far.size $((32 << 20))
writeback.high 70
writeback.low 20
writeback.age 1000
writeback.limit $((1 << 30))
cgroup./.prio 2
cgroup./.writeback_prio 2
cgroup./.writeback_size 100
END
text server dense | jq -e '.codec == "zstd"' >/dev/null ||
  fail "the new tier has no export"
text server far | jq -e '.kind == "file"' >/dev/null ||
  fail "the new backing has no export"
right "after a reload"

# What is stored from now on goes where the new policy says.
timeout $limit nbdcopy "$tmp/pages" "$(uri server)"
control writeback >"$tmp/out"
none_on_ssd ()
{
  [ "$(control get backing.ssd.pages)" = 0 ]
}
wait_until "the old pages to be gone from ssd" none_on_ssd
[ "$(control get backing.far.pages)" -gt 0 ] || fail "far took no page"
right "on the new backing"

# A backing that is not named any more drains and is closed.  Its file is
# empty then, but stays.
configure "$pool" "$fast" 'tier "dense" { prio = 2  codec = "zstd" }' "$ssd"
control reload >"$tmp/out"
head -n 1 "$tmp/out" | grep -qx "$tmp/conf is in force" ||
  fail "reload tells: $(cat "$tmp/out")"
left ()
{
  ! control get backing.far.state >/dev/null 2>&1
}
wait_until "far to be closed" left
grep -q 'backing "far" is empty and was closed' "$tmp/server.log" ||
  fail "its end is not told"
expect "blocks of its file" "$(stat -c %b "$tmp/far")" 0
expect "exports after it" "$(timeout $limit nbdinfo --list --json \
  "$(uri server)" | jq -c '[.exports[]."export-name"]')" \
  '["","stats","fast","dense","ssd"]'
right "after a backing was removed"

# And back again, under its name.
configure "$pool" "$fast" 'tier "dense" { prio = 2  codec = "zstd" }' "$ssd" \
  "$far"
control reload >"$tmp/out"
expect "the state of far" "$(control get backing.far.state)" online
right "at the end"
stop $server

# Without a file there is nothing to read again.
rm -f "$tmp/server"
serve_control size=64M
refuses "embedded default" reload
