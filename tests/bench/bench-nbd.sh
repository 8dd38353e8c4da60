#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "nbd": requests a second over NBD, of tierswap with lz4 beside
# nbdkit's own null and memory plugins.  The servers run all the time and are
# measured in turn, BENCH_ROUNDS times for BENCH_SECONDS; each one's best
# counts.
# usage: bench-nbd.sh PAGES
set -eu
: "${builddir:=.}" "${BENCH_SECONDS:=1}" "${BENCH_ROUNDS:=5}"
pages=$1
bytes=$(stat -L -c %s "$pages")

for program in fio nbdkit; do
  if ! command -v "$program" > /dev/null; then
    echo "The section nbd needs $program: install the Debian package $program."
    exit 0
  fi
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/tierswap-bench.XXXXXX")
declare -A servers
stop () {
  if [ ${#servers[@]} -gt 0 ]; then
    kill "${servers[@]}" 2> /dev/null || :
    wait "${servers[@]}" 2> /dev/null || :
  fi
  rm -rf "$scratch"
}
trap stop EXIT

cat > "$scratch/conf" <<CONF
size = "$bytes"
pool { limit = "$((bytes * 2))" }
tier "fast" { prio = 1  codec = "lz4" }
cgroup "/" { prio = 1 }
CONF

# Start a server: its name, then what to run.
serve () {
  local name=$1
  shift
  "$@" > "$scratch/$name.log" 2>&1 &
  servers[$name]=$!
  for ((i = 0; i < 100; i++)); do
    if [ -S "$scratch/$name" ]; then
      return
    fi
    sleep 0.1
  done
  echo "bench-nbd.sh: $name did not start:" >&2
  cat "$scratch/$name.log" >&2
  exit 1
}
# One thread a connection, for all of them, as the manual recommends; NBDKIT_THREADS
# is another number.
threads=${NBDKIT_THREADS:-1}
serve null nbdkit -t "$threads" -f -U "$scratch/null" null "$bytes"
serve memory nbdkit -t "$threads" -f -U "$scratch/memory" memory "$bytes"
serve zstd nbdkit -t "$threads" -f -U "$scratch/zstd" memory "$bytes" allocator=zstd
serve tierswap "$builddir/nbdkit" -t "$threads" -f -U "$scratch/tierswap" \
  tierswap "$scratch/conf"

uri () {
  echo "nbd+unix:///?socket=$scratch/$1"
}

# fio on server $1, randread or randwrite $2, at depth $3: requests a second.
run_fio () {
  # Its own pages, of which lz4 leaves about two fifths, as of real ones.
  fio --name=bench --ioengine=nbd --uri="$(uri "$1")" --rw="$2" --bs=4k \
    --size="$bytes" --iodepth="$3" --time_based --runtime="$BENCH_SECONDS" \
    --norandommap --buffer_compress_percentage=63 \
    --output-format=terse --terse-version=3 |
    awk -F ';' '$1 == 3 { printf "%.0f\n", $8 + $49 }'
}

run_load () {
  "$builddir/nbd-load" "$(uri "$1")" "$pages" "$2" "$3" "$BENCH_SECONDS"
}

# Ticks of CPU that server $1 has taken.
cpu () {
  sed 's/.*) //' "/proc/${servers[$1]}/stat" | cut -d ' ' -f 12,13 | tr ' ' +
}

# Measure the servers in turn: a title, what to run, what it does, at what
# depth, then the servers.  The best of each goes into best[TITLE SERVER], and
# the ticks of CPU the server took for it into ticks[TITLE SERVER].
declare -A best ticks
measure () {
  local title=$1 run=$2 kind=$3 depth=$4 server rate round before
  shift 4
  for ((round = 0; round < BENCH_ROUNDS; round++)); do
    for server in "$@"; do
      before=$(cpu "$server")
      rate=$("$run" "$server" "$kind" "$depth")
      if [ "$rate" -gt "${best[$title $server]:-0}" ]; then
        best[$title $server]=$rate
        ticks[$title $server]=$(($(cpu "$server") - (before)))
      fi
    done
  done
}

# Microseconds of CPU of server $2 for a request of title $1.
request_cpu () {
  awk "BEGIN { printf \"%.1f\", ${ticks[$1 $2]} / $(getconf CLK_TCK) * 1e6 / \
    (${best[$1 $2]} * $BENCH_SECONDS) }"
}

# A figure: a title, the server to hold beside, the limit.
figure () {
  local ours=${best[$1 tierswap]} peer=${best[$1 $2]}
  printf 'figure\t%s\t%d\t%s %d\t%s\t%s\t%s\n' "$1" "$ours" "$2" "$peer" \
    "$(awk "BEGIN { printf \"%.3f\", $ours / ($peer ? $peer : 1) }")" "$3" \
    "the server's CPU a request $(request_cpu "$1" tierswap) us, $2 $(request_cpu "$1" "$2")"
}

printf 'heading\tnbd: requests of 4 KiB a second, at random\n'
for depth in 1 32; do
  title="read unwritten, depth $depth"
  measure "$title" run_fio randread $depth null memory tierswap
  figure "$title" null '>=0.90'
  figure "$title" memory -
done
for server in memory zstd tierswap; do
  run_load "$server" fill 32 > /dev/null
done
for depth in 1 32; do
  title="read stored, depth $depth"
  measure "$title" run_fio randread $depth null memory zstd tierswap
  figure "$title" null '>=0.90'
  figure "$title" memory -
  figure "$title" zstd -
done
for depth in 1 32; do
  title="write, depth $depth"
  measure "$title" run_fio randwrite $depth null memory zstd tierswap
  figure "$title" null '>=0.70'
  figure "$title" zstd '>=5'
  figure "$title" memory -
done
printf 'heading\tnbd, real pages by nbd-load instead of fio with its own\n'
for kind in write read; do
  for depth in 1 32; do
    title="$kind real pages, depth $depth"
    measure "$title" run_load $kind $depth null memory zstd tierswap
    figure "$title" null -
    figure "$title" zstd -
    figure "$title" memory -
  done
done
