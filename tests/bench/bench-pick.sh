#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "pick": bench-pick with a file in BENCH_FOLDER, which is the
# build folder unless it is given.
# usage: bench-pick.sh PAGES              (which are not used)
set -eu
: "${builddir:=.}" "${BENCH_PICK:=1048576 16777216}"
: "${BENCH_FOLDER:=$builddir}"

file=$(mktemp -u "$BENCH_FOLDER/bench-pick.XXXXXX")
trap 'rm -f "$file"' EXIT
# shellcheck disable=SC2086 # two numbers
"$builddir/bench-pick" "$file" $BENCH_PICK
