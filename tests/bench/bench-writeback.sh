#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "writeback": bench-writeback on a file in BENCH_FOLDER, which is
# the build folder unless it is given.
# usage: bench-writeback.sh PAGES
set -eu
: "${builddir:=.}" "${BENCH_ROUNDS:=5}"
: "${BENCH_FOLDER:=$builddir}"

if ! command -v fio > /dev/null; then
  echo "The section writeback needs fio: install the Debian package fio."
  exit 0
fi
file=$(mktemp -u "$BENCH_FOLDER/bench-writeback.XXXXXX")
trap 'rm -f "$file"' EXIT
printf 'The file is on %s.\n' \
  "$(df --output=fstype,source "$BENCH_FOLDER" | tail -n 1 | tr -s ' ')"
"$builddir/bench-writeback" "$1" "$file" "$BENCH_ROUNDS"
