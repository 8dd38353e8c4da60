#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswapctl metrics: what Prometheus takes, and the figures of the statistics.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"
need jq jq
need nbdcopy libnbd-bin
need python3 python3

cat >"$tmp/conf" <<END
size = "64M"
tier "fast" { prio = 1  codec = "lz4"  limit = "16M" }
tier "dense" { prio = 2  codec = "zstd"  level = 1 }
backing "ssd" { prio = 1  path = "$tmp/ssd"  size = "32M" }
END
serve_control "$tmp/conf"
seq 1000000 3000000 | head -c 4M >"$tmp/pages" || :
timeout $limit nbdcopy "$tmp/pages" "$(uri server)"
control writeback max=1M >"$tmp/out"

# The grammar, and what promtool checks beyond it.
cat >"$tmp/check" <<'END'
import re, sys
name = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
sample = re.compile(r'(%s)(\{%s(?:,%s)*\})? (-?[0-9.]+)$' % (name, label, label))
types, seen, family = {}, set(), None
text = sys.stdin.read()
assert text.endswith('\n'), 'the last line has no end'
for line in text.splitlines():
    if line.startswith('# HELP '):
        family, help = line[7:].split(' ', 1)
        assert family not in types, 'twice: ' + line
        assert help.strip() and '\\' not in help, line
    elif line.startswith('# TYPE '):
        other, kind = line[7:].split(' ')
        assert other == family, 'TYPE without HELP: ' + line
        assert kind in ('gauge', 'counter'), line
        types[family] = kind
        assert family.endswith('_total') == (kind == 'counter'), line
    else:
        match = sample.match(line)
        assert match, 'not a sample: ' + line
        assert match.group(1) == family and family in types, line
        assert line.rsplit(' ', 1)[0] not in seen, 'twice: ' + line
        seen.add(line.rsplit(' ', 1)[0])
        assert family.startswith('tierswap_'), line
for family in types:
    assert any(s.split('{')[0] == family for s in seen), 'no sample: ' + family
print(len(types))
END
control metrics >"$tmp/metrics"
families=$(python3 "$tmp/check" <"$tmp/metrics") || fail "the format is wrong"
[ "$families" -ge 40 ] || fail "there are $families metrics only"
# The check itself finds mistakes.
for mistake in 's/^# TYPE.*//' 's/counter/gauge/' 's/="/="\\x/' '$s/$/ x/'; do
  if sed "$mistake" "$tmp/metrics" | python3 "$tmp/check" 2>/dev/null; then
    fail "$mistake is not found"
  fi
done

# metric TEXT: its value.
metric ()
{
  awk -v name="$1" 'substr($0, 1, length(name) + 1) == name " " {
    print substr($0, length(name) + 2) }' "$tmp/metrics"
}
control status --json >"$tmp/status"
same ()
{
  expect "$1" "$(metric "$1")" "$(jq -r "$2" "$tmp/status")"
}
same tierswap_size_bytes .device.size
same tierswap_pages .device.pages_stored
same tierswap_written_pages_total .device.writes
same 'tierswap_tier_pages{tier="fast"}' '.tiers[0].pages'
same 'tierswap_tier_memory_limit_bytes{tier="fast"}' '.tiers[0].limit_bytes'
same 'tierswap_backing_written_bytes_total{backing="ssd"}' \
  '.backings[0].written_bytes'
same 'tierswap_cgroup_backing_pages{cgroup="/"}' '.cgroups[0].pages_backing'
expect "the state of the backing" \
  "$(metric 'tierswap_backing_state{backing="ssd",state="online"}')" 1
expect "the other state of the backing" \
  "$(metric 'tierswap_backing_state{backing="ssd",state="failed"}')" 0
expect "a limit that there is not" "$(grep -c limit_left "$tmp/metrics")" 0
control set writeback.limit 1G
control metrics >"$tmp/metrics"
grep -q '^tierswap_writeback_limit_left_bytes [1-9]' "$tmp/metrics" ||
  fail "no limit is left"
refuses "metrics takes no argument" metrics now
stop $server
refuses "no server listens there" metrics
