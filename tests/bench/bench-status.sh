#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "status": what it takes to look at a server with BENCH_CGROUPS
# cgroups, each of which has a page there.  The best of BENCH_ROUNDS times counts.
# usage: bench-status.sh PAGES            (which are not used)
set -eu
: "${builddir:=.}" "${BENCH_ROUNDS:=5}" "${BENCH_CGROUPS:=5000}"

leave_out () {
  echo "The section status is left out: $*."
  exit 0
}
[ "$(id -u)" = 0 ] || leave_out "only root may make cgroups"
[ -w /dev/fuse ] || leave_out "this kernel has no FUSE"
hierarchy=$(findmnt -n -t cgroup2 -o TARGET | head -n 1) || :
[ -n "$hierarchy" ] || leave_out "cgroup2 is not mounted"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tierswap-bench.XXXXXX")
parent=$hierarchy/tierswap-bench.$$
server=
stop () {
  if [ -n "$server" ]; then
    kill "$server" 2> /dev/null || :
    wait "$server" 2> /dev/null || :
  fi
  ! [ -d "$parent" ] || find "$parent" -depth -type d -exec rmdir {} + || :
  rm -rf --one-file-system "$scratch"
}
trap stop EXIT
trap 'exit 1' HUP INT TERM

# A quarter of the pool is for segments just begun, one of 256 KiB for each.
cat > "$scratch/conf" <<CONF
size = "1G"
pool { limit = "${BENCH_CGROUPS}M" }
tier "fast" { prio = 1  codec = "lz4" }
CONF
mkdir "$scratch/tree"
mkdir "$parent"
"$builddir/nbdkit" -f -U "$scratch/sock" tierswap "$scratch/conf" \
  control="$scratch/control" fuse="$scratch/tree" 2> "$scratch/log" &
server=$!
tries=600
until [ -e "$scratch/tree/disk" ] || ! kill -0 "$server"; do
  [ $((tries -= 1)) -gt 0 ] || {
    cat "$scratch/log" >&2
    exit 1
  }
  sleep 0.05
done
"$builddir/cgroup-load" "$scratch/tree" "$parent" "$BENCH_CGROUPS"

ask () {
  "$builddir/tierswapctl" -s "$scratch/control" "$@"
}
# A page's first tag counts at once; its cgroup's path is found soon after.
tries=600
until [ "$(ask status --json | jq '[.cgroups[] | select (.path |
    startswith ("/tierswap-bench"))] | length')" -ge "$BENCH_CGROUPS" ]; do
  [ $((tries -= 1)) -gt 0 ] || {
    echo "bench-status.sh: waited in vain for the cgroups" >&2
    exit 1
  }
  sleep 0.1
done

# The best time of a command, seconds.
best () {
  local start times=()
  for ((i = 0; i < BENCH_ROUNDS; i++)); do
    start=$EPOCHREALTIME
    "$@" > "$scratch/out"
    times+=("$(awk "BEGIN { printf \"%.4f\", $EPOCHREALTIME - $start }")")
  done
  printf '%s\n' "${times[@]}" | sort -n | head -n 1
}
# figure TITLE LIMIT SECONDS
figure () {
  printf 'figure\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$3 s" "limit $2 s" \
    "$(awk "BEGIN { printf \"%.3f\", $3 / $2 }")" "<=1.00" \
    "$(wc -l < "$scratch/out") lines"
}
printf 'heading\tstatus: seconds to look at %d cgroups with pages\n' \
  "$BENCH_CGROUPS"
figure "status" 0.1 "$(best ask status)"
figure "status --json" 0.1 "$(best ask status --json)"
figure "metrics" 0.1 "$(best ask metrics)"
