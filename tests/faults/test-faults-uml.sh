#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The fault matrix of what deals with a disk of the kernel's, which the machine of
# the build may not have; and then of all call sites, with those of the run that
# was made here: see fault-matrix.c.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
export builddir
matrix=$builddir/tests/faults/fault-matrix
notes=$builddir/tests/faults/fault-matrix-guest.notes

# The guest can only print.
keep_notes () {
  local line
  while IFS= read -r line; do
    case $line in
      "@note "*) printf '%s\n' "${line#@note }" >> "$notes-new" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
}

rm -f "$notes" "$notes-new"
"$here/../guest/run-guest" uml -m 256 -t 900 "$here/attach.sh" guest | keep_notes
mv "$notes-new" "$notes"
echo
"$matrix" sum
