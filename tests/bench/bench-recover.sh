#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "recover": bench-recover with as many pages as BENCH_RECOVER
# says, 4 GiB of them unless it is given, or what fits into half of the memory.
# usage: bench-recover.sh PAGES
set -eu
: "${builddir:=.}"

half=$(awk '/^MemAvailable/ { print int ($2 / 8) }' /proc/meminfo)
: "${BENCH_RECOVER:=$((half < 1048576 ? half : 1048576))}"
"$builddir/bench-recover" "$1" "$BENCH_RECOVER"
