#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The BPF program, on this machine's own kernel: each write to a loop device
# that is watched has a tag, and no other write has.
set -eu
export PATH=$PATH:/usr/sbin:/sbin
shim_reader=$builddir/tests/guest/shim-reader
work=$(mktemp -d)
disks=()
reader=
finish () {
  [ -z "$reader" ] || kill "$reader" 2>/dev/null || :
  for disk in "${disks[@]}"; do
    losetup -d "$disk"
  done
  rm -rf "$work"
}
trap finish EXIT

"$shim_reader" have-bpf || {
  echo "skipped: the BPF program is not built in"
  exit 77
}
for file in watched other; do
  truncate -s 8M "$work/$file"
  disk=$(losetup --show -f "$work/$file" 2> "$work/message") || {
    echo "skipped: no loop device to be had: $(cat "$work/message")"
    exit 77
  }
  disks+=("$disk")
done

minor=$((16#$(stat -c %T "${disks[0]}")))
"$shim_reader" watch-bpf 7:$minor "$work/tags" 2> "$work/message" &
reader=$!
for ((i = 0; i < 3000; i++)); do
  [ ! -e "$work/tags.ready" ] || break
  if ! kill -0 $reader 2> /dev/null; then
    cat "$work/message"
    if grep -q 'CAP_BPF' "$work/message"; then
      echo "skipped: no BPF program may be loaded here"
      exit 77
    fi
    exit 1
  fi
  sleep 0.1
done
[ -e "$work/tags.ready" ]

for disk in "${disks[@]}"; do
  dd if=/dev/zero of="$disk" bs=64K count=48 oflag=direct status=none
  dd if="$disk" of=/dev/null bs=64K iflag=direct status=none
done
dd if=/dev/zero of="${disks[0]}" bs=4K count=9 oflag=direct status=none
kill $reader
wait $reader
reader=
cat "$work/tags"
[ "$(awk '$1 != "dropped" { pages += $2 } END { print pages }' "$work/tags")" \
    = $((48 * 16 + 9)) ]
grep -qx 'dropped 0' "$work/tags"
