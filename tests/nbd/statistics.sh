#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The statistics exports: valid JSON with every key of the contract, each of
# its type, one snapshot a connection, and figures that follow what is done.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need jq jq

cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "48M" }
tier "quick" { prio = 1  codec = "lz4" }
tier "small" { prio = 2  codec = "zstd"  level = 1  limit = "24M" }
backing "disk" { prio = 1  path = "$tmp/disk"  size = "32M" }
writeback { limit = "100M" }
END
serve server tierswap "$tmp/conf"

# has OBJECT TYPE KEY...: in the statistics.
has ()
{
  local object=$1 type=$2
  shift 2
  expect "what has not type $type of '$*' in $object" \
    "$(jq -r --arg type "$type" "${object:-.} as \$o | \$ARGS.positional |
              map(select((\$o[.] | type) != \$type)) | join(\" \")" \
         "$tmp/stats.json" --args "$@")" ""
}

# The text is JSON, then spaces, and ends in a newline.
text server stats >"$tmp/stats.json"
jq -e . "$tmp/stats.json" >/dev/null || fail "stats is not JSON"
expect "the size of stats in whole blocks" \
  $(($(stat -c %s "$tmp/stats.json") % 4096)) 0
expect "its last byte" "$(tail -c 1 "$tmp/stats.json" | od -An -tx1)" " 0a"

has .device number size page_size pages_stored pages_same orig_bytes \
  compr_bytes mem_used_bytes mem_used_peak_bytes mem_limit_bytes meta_bytes \
  reads writes trims read_errors write_errors pages_mended pages_damaged
for i in 0 1; do
  has ".tiers[$i]" string name kind codec
  has ".tiers[$i]" number prio level pages pages_raw compr_bytes \
    mem_used_bytes limit_bytes segments
done
has '.backings[0]' string name kind state
has '.backings[0]' number prio size_bytes used_bytes pages written_bytes \
  write_ios read_bytes read_ios io_errors checksum_errors
has "" array tiers backings cgroups
has '.cgroups[0]' string path
has '.cgroups[0]' number id prio writeback_prio writeback_size pages_memory \
  pages_backing pages_same compr_bytes
has .cleaner number segments_cleaned bytes_copied
has .tags number disks made dropped ring_high_water pages_taken \
  pages_replaced pages_lost pages_untagged
has .writeback number segments pages bytes pages_demoted limit_left_bytes
expect "what is left of the limit" \
  "$(jq .writeback.limit_left_bytes "$tmp/stats.json")" $((100 << 20))
expect "the backing" \
  "$(jq -c '.backings | map(.name, .prio, .kind, .state, .size_bytes, .pages)' \
     "$tmp/stats.json")" '["disk",1,"file","online",33554432,0]'

expect "the device's size" "$(jq .device.size "$tmp/stats.json")" $((64 << 20))
expect "the page size" "$(jq .device.page_size "$tmp/stats.json")" 4096
expect "the pool's limit" \
  "$(jq .device.mem_limit_bytes "$tmp/stats.json")" $((48 << 20))
expect "the tiers" "$(jq -c '[.tiers[] | .name, .prio, .kind, .codec]' \
                      "$tmp/stats.json")" \
  '["quick",1,"memory","lz4","small",2,"memory","zstd"]'
expect "the second tier's limit" \
  "$(jq '.tiers[1].limit_bytes' "$tmp/stats.json")" $((24 << 20))
expect "the first cgroup" "$(jq -r '.cgroups[0].path' "$tmp/stats.json")" /
expect "pages stored at first" \
  "$(jq .device.pages_stored "$tmp/stats.json")" 0

# A tier's export is its part of the statistics.
expect "the export of a tier" \
  "$(text server small | jq -S -c '[.name, keys]')" \
  "$(jq -S -c '.tiers[1] | [.name, keys]' "$tmp/stats.json")"

# Store 1024 pages of text, 256 pages of one word and 256 of zeros.
{
  seq -f 'line %.0f of a page that compresses' 1000000 |
    head -c $((1024 * 4096)) || :
  yes 'word of' | head -c $((256 * 4096)) || :
  head -c $((256 * 4096)) /dev/zero
} >"$tmp/pages"
before=$(value '.device.writes')
truncate -s 64M "$tmp/pages"
timeout $limit nbdcopy --destination-is-zero "$tmp/pages" "$(uri server)"
text server stats >"$tmp/stats.json"
stored=$(jq .device.pages_stored "$tmp/stats.json")
same=$(jq .device.pages_same "$tmp/stats.json")
[ "$stored" -ge $((1024 + 256)) ] || fail "only $stored pages are stored"
[ "$same" -ge 256 ] || fail "only $same pages are same-filled"
expect "the original size" \
  "$(jq .device.orig_bytes "$tmp/stats.json")" $((stored * 4096))
expect "pages of the tiers and same-filled pages" \
  "$(jq '([.tiers[].pages] | add) + .device.pages_same' "$tmp/stats.json")" \
  "$stored"
[ "$(jq .device.writes "$tmp/stats.json")" -ge $((before + 1280)) ] ||
  fail "writes are not counted in pages"
jq -e '.device | .compr_bytes > 0 and .compr_bytes < .orig_bytes and
       .mem_used_bytes >= .compr_bytes and .meta_bytes > 0 and
       .mem_used_peak_bytes >= .mem_used_bytes' "$tmp/stats.json" >/dev/null ||
  fail "the sizes do not fit together: $(jq -c .device "$tmp/stats.json")"

# A device read is counted, a text read is not.
before=$(value '.device.reads')
timeout $limit nbdcopy "$(uri server)" - | cmp - "$tmp/pages" ||
  fail "what is read is not what was written"
[ "$(value '.device.reads')" -ge $((before + 1280)) ] ||
  fail "reads are not counted in pages"
before=$(value '.device.reads')
expect "reads after statistics were read" "$(value '.device.reads')" "$before"
stop $server

# Without a limit nothing is left of it.
serve plain tierswap size=64M
expect "limit_left_bytes without a limit" \
  "$(text plain stats | jq -c '.writeback | [has("limit_left_bytes"),
     .limit_left_bytes]')" '[true,null]'
expect "backings where there are none" \
  "$(text plain stats | jq -c .backings)" '[]'
stop $server
