#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswapctl drain: it tells how far it is and waits; others are answered
# meanwhile, whatever is at work; one that cannot fit is refused with what is
# missing.  A server that stopped makes a drain last as long as we want.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"
need jq jq
need nbdcopy libnbd-bin

cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "16M" }
tier "fast" { prio = 1  codec = "lz4" }
backing "ssd" { prio = 1  path = "$tmp/ssd"  size = "48M" }
END
# It serves the backing that pages are drained to.
launch far -U "$tmp/far" memory 48M || fail "the far server did not start"
far=$server
trap 'kill -CONT $far 2>/dev/null || :; cleanup' EXIT
serve_control "$tmp/conf"

head -c 32M /dev/urandom >"$tmp/pages"
timeout $limit nbdcopy "$tmp/pages" "$(uri server)"
control writeback >"$tmp/out"
backed=$(control get backing.ssd.pages)
[ "$backed" -eq 8192 ] || fail "only $backed pages were written back"

right ()
{
  timeout $limit nbdcopy "$(uri server)" "$tmp/read"
  cmp -n $((32 << 20)) "$tmp/read" "$tmp/pages" || fail "wrong content: $*"
}

# There is nowhere to drain it to.
refuses "bytes are missing" drain ssd
used=$(control get backing.ssd.used)
grep -q "it holds $used bytes" "$tmp/err" || fail "says $(cat "$tmp/err")"
missing=$(sed 's/.*for \([0-9]*\) and memory for \([0-9]*\); \([0-9]*\) .*/\1 + \2 + \3/' \
          "$tmp/err")
expect "room, memory and what is missing" $((missing)) "$used"
expect "the state after the refusal" "$(control get backing.ssd.state)" online

echo "backing \"far\" { prio = 2  uri = \"nbd+unix:///?socket=$tmp/far\" }" \
  >>"$tmp/conf"
control reload >"$tmp/out"

# A drain that does not get on.
kill -STOP $far
"$tierswapctl" -s "$tmp/control" drain ssd >"$tmp/drain.log" 2>&1 &
drain=$!
wait_until "progress" grep -q 'MiB are left on ssd$' "$tmp/drain.log"
expect "the state meanwhile" "$(control get backing.ssd.state)" draining
control status | grep -q '^ssd  *file  *draining' || fail "status while draining"
control set writeback.high 88
expect "what is set meanwhile" "$(control get writeback.high)" 88
control compact >"$tmp/out"
# Two clients wait for the same drain, and one goes.
"$tierswapctl" -s "$tmp/control" drain ssd >"$tmp/second.log" 2>&1 &
second=$!
wait_until "progress of the second" grep -q 'left on ssd$' "$tmp/second.log"
kill $second
wait $second || :
control drain --no-wait ssd
kill -0 $drain || fail "the drain ended: $(cat "$tmp/drain.log")"
kill -CONT $far
wait $drain || fail "the drain failed: $(tail -n 1 "$tmp/drain.log")"
expect "what is left" "$(control get backing.ssd.used)" 0
# They may still be on the move from memory on.
all_there ()
{
  [ "$(value '[.tiers[], .backings[] | select(.name != "ssd") | .pages] | add')" \
    = 8192 ]
}
wait_until "all pages to be in memory and on far" all_there
[ "$(control get backing.far.pages)" -gt 0 ] || fail "far took no page"
expect "the state after it" "$(control get backing.ssd.state)" draining
right "after the drain"

# A reload puts it to use again.
control reload >"$tmp/out"
expect "the state after a reload" "$(control get backing.ssd.state)" online
control drain far >"$tmp/out"
expect "what is left on far" "$(control get backing.far.used)" 0
right "after draining back"

# A writeback that does not get on is one command; another is refused, and it
# ends when its client goes.
control reload >"$tmp/out"
control cgroup / writeback_prio=2 >"$tmp/out"
timeout $limit nbdcopy "$tmp/pages" "$(uri server)"
kill -STOP $far
"$tierswapctl" -s "$tmp/control" writeback >"$tmp/writeback.log" 2>&1 &
writeback=$!
wait_until "progress of writeback" \
  grep -q 'were written back$' "$tmp/writeback.log"
refuses "another writeback command is at work" writeback
control status >"$tmp/out"
kill $writeback
wait $writeback || :
kill -CONT $far
again ()
{
  control writeback max=1 >"$tmp/out" 2>&1
}
wait_until "the writeback to end" again
right "after that writeback"

# Nothing else comes to where a backing still drains: a server would let the two
# write over each other. Not under another name, and not at another place.
control writeback >"$tmp/out"
held=$(control get backing.far.pages)
[ "$held" -gt 0 ] || fail "far holds nothing"
kill -STOP $far
sed -i '/"far"/d' "$tmp/conf"
control reload >"$tmp/out"
expect "the state of what is gone" "$(control get backing.far.state)" draining
cp "$tmp/conf" "$tmp/without"
echo "backing \"other\" { prio = 3  uri = \"nbd+unix:///?socket=$tmp/far\" }" \
  >>"$tmp/conf"
refuses 'backing "other" cannot be where backing "far" is' reload
{
  cat "$tmp/without"
  echo "backing \"far\" { prio = 2  path = \"$tmp/elsewhere\"  size = \"8M\" }"
} >"$tmp/conf"
refuses 'path, uri and encrypt of backing "far"' reload
[ ! -e "$tmp/elsewhere" ] || fail "a refused reload left a file"
kill -CONT $far
cp "$tmp/without" "$tmp/conf"
echo "backing \"other\" { prio = 3  uri = \"nbd+unix:///?socket=$tmp/far\" }" \
  >>"$tmp/conf"
in_its_place ()
{
  control reload >"$tmp/out" 2>&1
}
wait_until "the other backing to take the place" in_its_place
expect "the state of the other" "$(control get backing.other.state)" online
right "at the end"
stop $server
