#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The exports: listed, described, sized, and nothing else is served.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdinfo libnbd-bin
need jq jq

cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "48M" }
tier "quick" { prio = 1  codec = "lz4"  limit = "32M" }
tier "small" { prio = 3  codec = "zstd"  level = 2 }
backing "far" { prio = 2  path = "$tmp/far"  size = "16M" }
backing "near" { prio = 1  path = "$tmp/near"  size = "8M" }
END
serve server tierswap "$tmp/conf"

# exports FILTER: of the list.
exports ()
{
  jq -r "[.exports[] | $1] | join(\" \")" "$tmp/list.json"
}

timeout $limit nbdinfo --list --json "$(uri server)" >"$tmp/list.json"
expect "the list" "$(exports '."export-name"')" " stats quick small near far"
expect "exports without a description" \
  "$(exports 'select((.description // "") == "") | ."export-name"')" ""
expect "what is read-only" "$(exports '.is_read_only')" "false true true true true true"
expect "what takes several connections" \
  "$(exports '.can_multi_conn')" "true false false false false false"
expect "the minimum block sizes" \
  "$(exports '.block_size_minimum')" "4096 1 1 1 1 1"
expect "the preferred block sizes" \
  "$(exports '.block_size_preferred')" "4096 4096 4096 4096 4096 4096"
expect "texts not in whole blocks" \
  "$(exports 'select(."export-size" % 4096 != 0) | ."export-name"')" ""

# The device, which a client gets that asks for no name.
timeout $limit nbdinfo --json "$(uri server)" >"$tmp/list.json"
expect "the device's name" "$(exports '."export-name"')" ""
expect "the device's size" "$(exports '."export-size"')" $((64 << 20))
for can in flush fua trim zero fast_zero cache multi_conn; do
  expect "can_$can" "$(exports ".can_$can")" true
done
expect "is_rotational" "$(exports '.is_rotational')" false
largest=$(exports '.block_size_maximum')
[ "$largest" -ge $((256 << 10)) ] || fail "the largest request is $largest"

# Descriptions tell the state, each on one line.
for name in "" stats quick small near far; do
  description=$(timeout $limit nbdinfo --json "$(uri server $name)" |
                jq -r '.exports[0].description')
  [ -n "$description" ] || fail "export '$name' is not described"
  [ "$(wc -l <<<"$description")" = 1 ] ||
    fail "export '$name' is described in several lines: $description"
done
expect "whether the tier's description names its codec" \
  "$(timeout $limit nbdinfo --json "$(uri server small)" |
     jq '.exports[0].description | contains("zstd")')" true

expect "whether the backing's description tells its state" \
  "$(timeout $limit nbdinfo --json "$(uri server far)" |
     jq '.exports[0].description | contains("file, online")')" true
expect "whether the device's description counts the backings" \
  "$(timeout $limit nbdinfo --json "$(uri server)" |
     jq '.exports[0].description | contains("on 2 backings")')" true

# Other names are refused, and the server says why and what there is.
if timeout $limit nbdinfo "$(uri server nothing)" >"$tmp/out" 2>&1; then
  fail "an unknown export is served"
fi
grep -q "no export 'nothing'" "$tmp/server.log" ||
  fail "the refusal of an unknown export is not told"
grep "no export 'nothing'" "$tmp/server.log" | grep -q stats ||
  fail "the refusal does not tell which exports there are"

# The files of the backings are this server's as long as it lives.
stop $server

# With -r the device is read-only too.
serve readonly -r tierswap "$tmp/conf"
expect "a device served with -r is read-only" \
  "$(timeout $limit nbdinfo --json "$(uri readonly)" |
     jq '.exports[0].is_read_only')" true
stop $server
