#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The disk of the FUSE tree: requests of any place and length from several
# threads, what it does at its end, holes, and fio with checksums.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/fuse.sh"
need fio fio

cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "96M" }
tier "fast" { prio = 1  codec = "lz4" }
backing "ssd" { prio = 1  path = "$tmp/ssd"  size = "64M" }
END
serve_fuse "$tmp/conf"
timeout $limit "$builddir/tests/nbd/fuse-requests" "$dir/disk"

# Some of the pages on the backing meanwhile.
for ((i = 0; i < 20; i++)); do
  echo all >"$dir/writeback"
  echo 1 >"$dir/compact"
done 2>"$tmp/err" &
writer=$!
timeout $limit "$builddir/tests/nbd/fuse-requests" "$dir/disk"
wait $writer || fail "writeback: $(cat "$tmp/err")"

for direct in 0 1; do
  fio --name=verify --filename="$dir/disk" --direct=$direct \
    --ioengine=libaio --iodepth=16 --rw=randwrite --bsrange=4k-512k \
    --blockalign=4k --filesize=64M --verify=crc32c --verify_fatal=1 \
    --buffer_compress_percentage=60 --output="$tmp/fio.log" ||
    fail "fio with direct=$direct"
done
expect "errors" "$(tr -s ' ' <"$dir/io_stat" | cut -d ' ' -f 2-4)" "0 0 0"

# A loop device discards in whole pages, and all of it at once.
if loop=$(losetup --show -f --direct-io=on "$dir/disk" 2>"$tmp/err"); then
  give_back ()
  {
    losetup -d "$loop"
  }
  expect "the unit of discards" \
    "$(cat "/sys/block/${loop#/dev/}/queue/discard_granularity")" 4096
  blkdiscard "$loop"
  expect "pages after a discard" "$(cat "$dir/pool/pages")" 0
  head -c 4M /dev/urandom >"$tmp/pages"
  dd if="$tmp/pages" of="$loop" bs=64k oflag=direct status=none
  cmp -n $((4 << 20)) "$dir/disk" "$tmp/pages"
  blkdiscard -z -o 0 -l 2M "$loop"
  head -c 2M "$loop" | cmp - <(head -c 2M /dev/zero)
  losetup -d "$loop"
  give_back ()
  {
    :
  }
fi
stop $server
