#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswapctl: each command, well and badly used.  What is refused ends with 1
# and one line on standard error that says why, and changes nothing.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"
need jq jq
need nbdcopy libnbd-bin

cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "32M" }
tier "fast" { prio = 1  codec = "lz4"  limit = "16M" }
tier "dense" { prio = 2  codec = "zstd"  level = 1 }
backing "ssd" { prio = 1  path = "$tmp/ssd"  size = "32M" }
END
serve_control "$tmp/conf"
expect "the socket's mode" "$(stat -c '%F %a' "$tmp/control")" "socket 600"

# The client alone.
control --help | grep -q 'writeback .*max=BYTES' || fail "--help lacks commands"
control --version | grep -Eqx 'tierswapctl [0-9.]+' || fail "--version"
refuses "a command is missing: status, get" ""
refuses "there is no command \"stauts\"; there are status, get, set," stauts
refuses "no option --colour" --colour status
refuses "-s needs an argument" -s
refuses "no server listens there" -s "$tmp/nowhere" status
refuses "is longer than" -s "$tmp/$(printf '%0200d' 0)" status
refuses "not UTF-8" get $'\xff'
# A server that is gone left its socket.
"$tierswapctl" --socket="$tmp/control" get size >"$tmp/out"
expect "the device's size" "$(cat "$tmp/out")" $((64 << 20))
TIERSWAP_CONTROL=$tmp/nowhere "$tierswapctl" -s "$tmp/control" status \
  >"$tmp/out" || fail "-s does not win over \$TIERSWAP_CONTROL"

# status: the same as the statistics over NBD.
paths='[paths | map(if type == "number" then 0 else . end)] | unique'
control status --json >"$tmp/status.json"
expect "the keys of status --json" "$(jq -cS "$paths" "$tmp/status.json")" \
  "$(text server stats | jq -cS "$paths")"
control status >"$tmp/status"
for word in device memory writeback TIER fast dense BACKING ssd online; do
  grep -qw "$word" "$tmp/status" || fail "status does not tell $word"
done
grep -q '^fast  *lz4  *1  *0  *0 B  *0 B  *16.0 MiB$' "$tmp/status" ||
  fail "status shows the tier as: $(grep fast "$tmp/status")"
expect "the columns of backings" \
  "$(grep -c '^BACKING  *KIND  *STATE  *PRIO  *STORED  *USED  *SIZE' \
     "$tmp/status")" 1
refuses "status takes no argument here: the command is status" status --yaml
refuses "status takes no argument here" status --json more

# get
expect "pool.limit" "$(control get pool.limit)" $((32 << 20))
expect "the limit of all values" "$(control get | grep ^pool.limit)" \
  "pool.limit = $((32 << 20))"
refuses 'no attribute "pool.colour"' get pool.colour
refuses 'no attribute "tier.none.limit"' get tier.none.limit
refuses "too many arguments: the command is get" get size size

# set
control set tier.fast.limit 8M
expect "the limit that was set" "$(control get tier.fast.limit)" $((8 << 20))
expect "it in the statistics" \
  "$(text server stats | jq '.tiers[0].limit_bytes')" $((8 << 20))
refuses "read-only" set size 1G
refuses 'no attribute "speed"' set speed 11
refuses "tier.fast.limit cannot be \"much\"" set tier.fast.limit much
refuses "from 262144 to" set tier.fast.limit 64M
refuses "an argument is missing" set pool.limit
refuses "too many arguments" set pool.limit 1 2

# cgroup
expect "the policy of /" "$(control cgroup /)" \
  "prio=1 writeback_prio=1 writeback_size=0"
expect "the policy after a change" \
  "$(control cgroup / writeback_size=1024 prio=2)" \
  "prio=2 writeback_prio=1 writeback_size=1024"
refuses "an argument is missing" cgroup
refuses 'no cgroup "/db"' cgroup /db prio=1
refuses "prio must be from 1 to 4" cgroup / prio=0 writeback_size=0
refuses 'prio cannot be "5"' cgroup / prio=5
refuses 'writeback_prio cannot be' cgroup / prio=1 writeback_prio=9
refuses 'writeback_size cannot be' cgroup / writeback_size=5000
refuses "prio is given twice" cgroup / prio=1 prio=1
refuses "color=1: the command is" cgroup / color=1
refuses "limit must be a multiple of 4096" cgroup / limit=1
refuses 'limit cannot be "many"' cgroup / limit=many
refuses "limit is given twice" cgroup / limit=1M limit=1M
expect "the policy after refusals" "$(control cgroup /)" \
  "prio=2 writeback_prio=1 writeback_size=1024"
control cgroup / prio=1 writeback_size=0 >"$tmp/out"

# writeback, on 1024 pages that do not compress and as many that do
{ head -c 4M /dev/urandom; seq 1000000 3000000 | head -c 4M || :; } >"$tmp/pages"
timeout $limit nbdcopy "$tmp/pages" "$(uri server)"
backed ()
{
  control status --json | jq '.cgroups[0].pages_backing'
}
expect "pages on the backing at first" "$(backed)" 0
refuses 'age cannot be "old"' writeback age=old
refuses 'size cannot be "4097"' writeback size=4097
refuses 'max cannot be "-1"' writeback max=-1
refuses 'max must be more than 0' writeback max=0
refuses 'no cgroup "/db"' writeback cgroup=/db
refuses 'no memory tier "ssd"' writeback tier=ssd
refuses "max is given twice" writeback max=1M max=2M
refuses "now: the command is writeback" writeback now
expect "pages on the backing after refusals" "$(backed)" 0
expect "pages untouched for a day" \
  "$(control writeback age=86400 | tail -n 1)" \
  "0 pages were written back, 0 B in 0 segments"
control writeback size=4096 >"$tmp/out"
grep -q '^1024 pages were written back, 4.[0-9] MiB in [0-9]* segments$' \
  "$tmp/out" || fail "writeback tells: $(cat "$tmp/out")"
expect "pages on the backing that do not compress" "$(backed)" 1024
control writeback max=256K cgroup=/ tier=fast >"$tmp/out"
some=$(($(backed) - 1024))
[ "$some" -ge 50 ] && [ "$some" -lt 1000 ] || fail "max=256K wrote $some pages"
control writeback >"$tmp/out"
expect "all pages on the backing" "$(backed)" 2048
timeout $limit nbdcopy "$(uri server)" "$tmp/read"
cmp -n $((8 << 20)) "$tmp/read" "$tmp/pages" || fail "wrong content"

# compact
control compact >"$tmp/out"
grep -q 'are used, .* before$' "$tmp/out" || fail "compact: $(cat "$tmp/out")"
refuses "too many arguments: the command is compact" compact now

# check
control check >"$tmp/out"
grep -q '^2048 pages and [0-9]* same-filled ones are where they should be, ' \
  "$tmp/out" || fail "check: $(cat "$tmp/out")"
refuses "too many arguments: the command is check" check now

# The limit of a day.
control set writeback.limit 1
timeout $limit nbdcopy "$tmp/pages" "$(uri server)"
refuses "the limit of today is reached" writeback
control set writeback.limit 0

# No backing takes anything.
control drain ssd >"$tmp/out"
refuses "every backing is full, failed or draining" writeback

refuses "an argument is missing" drain
refuses 'no backing "fast"' drain fast
refuses "--now: the command is drain" drain --now ssd
refuses "more: the command is drain" drain ssd more
refuses "too many arguments" reload now

# Another user is not answered, even where the socket's mode lets him connect.
if [ "$(id -u)" = 0 ] && type setpriv >/dev/null 2>&1; then
  cp "$tierswapctl" "$tmp/tierswapctl"
  chmod 755 "$tmp" "$tmp/tierswapctl"
  other=(setpriv --reuid 65534 --clear-groups "$tmp/tierswapctl" -s
    "$tmp/control" get size)
  if "${other[@]}" >"$tmp/out" 2>"$tmp/err"; then
    fail "another user connected: $(cat "$tmp/out")"
  fi
  grep -q "Permission denied" "$tmp/err" || fail "he reads: $(cat "$tmp/err")"
  chmod 666 "$tmp/control"
  if "${other[@]}" >"$tmp/out" 2>"$tmp/err"; then
    fail "another user was answered: $(cat "$tmp/out")"
  fi
  grep -q "only root and the user that the server runs as" "$tmp/err" ||
    fail "he reads: $(cat "$tmp/err")"
  chmod 600 "$tmp/control"
fi

stop $server
[ ! -e "$tmp/control" ] || fail "the socket is left"
refuses "no server listens there" status
