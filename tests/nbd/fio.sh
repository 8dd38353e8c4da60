#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# fio writes at random over the whole device and verifies every block by its
# checksum; then the same with trims between.
. "${srcdir:-.}/tests/nbd/functions.sh"
need fio fio
need nbdinfo libnbd-bin
fio --enghelp 2>/dev/null | grep -qw nbd || skip "this fio has no nbd engine"

run ()
{
  timeout $((limit * 5)) fio --ioengine=nbd "--uri=$(uri server)" \
    --name=tierswap --size=$size --iodepth=16 --randrepeat=0 \
    --output="$tmp/fio.out" --verify_fatal=1 --verify_state_save=0 "$@" || {
    cat "$tmp/fio.out" >&2
    fail "fio $*"
  }
  ! grep -q 'verify: bad' "$tmp/fio.out" || fail "fio $*: wrong data"
}

size=64M
serve server tierswap size=$size

for block in 4k-4k 4k-64k; do
  for compressible in 0 60; do
    run --rw=randwrite --bsrange=$block --verify=crc32c --do_verify=1 \
      --buffer_compress_percentage=$compressible --buffer_compress_chunk=4k \
      --refill_buffers
  done
done

# What was written stays right while other connections write elsewhere.
run --rw=randrw --bs=4k --verify=crc32c --do_verify=1 --numjobs=4 \
  --offset_increment=16M --size=16M --thread --group_reporting

# Each block is trimmed, then written; one after the other, since fio does not
# keep them in order at a greater depth.
run --rw=trimwrite --bs=4k --iodepth=1 --verify=crc32c --do_verify=1

# Trimmed all over, it is one hole.
run --rw=randtrim --bs=4k
timeout $limit nbdinfo --map "$(uri server)" >"$tmp/map"
expect "the map after trimming all of it" \
  "$(awk '{ print $1, $2, $4 }' "$tmp/map")" "0 $((64 << 20)) hole,zero"
stop $server
