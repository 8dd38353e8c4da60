#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# When a program exhausts all memory of the guest, tierswap keeps serving and
# the program finishes with all its pages right, and most of them stored; with
# nbdkit's own memory plugin in its place the same work does not finish.
#   zero-free-and-control.sh uml|qemu GUEST-MEBIBYTES PROGRAM-MEBIBYTES
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=$(mktemp "${TMPDIR:-/tmp}/tierswap-zero-free.XXXXXX")
trap 'rm -f "$output"' EXIT

# run SECONDS PLUGIN
run () {
  "$here/run-guest" "$kind" -m "$memory" -t "$1" \
    "$here/zero-free.sh" "$2" "$size" | tee "$output"
  return "${PIPESTATUS[0]}"
}

kind=$1
memory=$2
size=$3
run 900 tierswap || exit
taken=$(sed -n 's/^# finished in \([0-9]*\) s$/\1/p' "$output")

# The control is given the time to boot, and then half as much again as tierswap
# took, or a bit more.
limit=$((taken * 3 / 2))
[ "$limit" -ge 30 ] || limit=30
echo
echo "The control: nbdkit memory, with $limit s for what took tierswap $taken s"
status=0
run $((limit + 30)) memory || status=$?
[ "$status" != 77 ] || exit 77
if ! grep -q '^# the program begins' "$output"; then
  echo "FAILED: the control's program was not even started"
  exit 1
fi
case $status in
  0)
    echo "FAILED: the control finished too, so this shows nothing"
    exit 1
    ;;
  124) echo "as expected, the control was not done within $limit s" ;;
  *) echo "as expected, the control's program did not finish" ;;
esac
