#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "hold": the pages that BENCH_HOLD MiB of memory (128 unless
# given) and a file of twice that hold, beside zram with writeback, both in the
# same qemu guest.
# usage: bench-hold.sh PAGES
set -eu
: "${srcdir:=$(dirname "$0")/../..}" "${builddir:=.}" "${BENCH_HOLD:=128}"
pages=$(realpath "$1")
memory=$BENCH_HOLD
file=$((memory * 2))

status=0
# Beside both: the captured pages in memory, and the programs.
output=$("$srcdir/tests/guest/run-guest" qemu \
  -m $((memory + file + $(stat -L -c %s "$pages") / 1048576 + 320)) -t 1800 \
  "$srcdir/tests/bench/hold-in-guest.sh" "$pages" "$memory" "$file") ||
  status=$?
if [ $status = 77 ]; then
  echo "The section hold needs the qemu guest, which is not to be had here."
  exit 0
elif [ $status != 0 ]; then
  printf '%s\n' "$output" >&2
  exit 1
fi

printf 'heading\thold: %s MiB of memory and a file of %s MiB, in a guest\n' \
  "$memory" "$file"
awk '
  { name = $1
    held[name] = $2; fill[name] = $3 / $2 * 1e6; read[name] = $4 / $2 * 1e6
    memory[name] = $5; away[name] = $6; seconds[name] = $4 }
  function line(title, ours, peer, ratio, limit, note) {
    printf "figure\t%s\t%s\tzram %s\t%.3f\t%s\t%s\n",
      title, ours, peer, ratio, limit, note
  }
  END {
    if (!held["zram"] || !held["tierswap"])
      exit 1
    line("pages held", held["tierswap"], held["zram"],
      held["tierswap"] / held["zram"], ">=1.00",
      sprintf("%d of them in the file, %d of zram'"'"'s", away["tierswap"],
        away["zram"]))
    line("storing, us a page", sprintf("%.1f", fill["tierswap"]),
      sprintf("%.1f", fill["zram"]), fill["tierswap"] / fill["zram"], "-", "")
    line("reading all, us a page", sprintf("%.1f", read["tierswap"]),
      sprintf("%.1f", read["zram"]), read["tierswap"] / read["zram"], "-",
      sprintf("%.1f s in all, zram %.1f s", seconds["tierswap"],
        seconds["zram"]))
  }' <<< "$output"
