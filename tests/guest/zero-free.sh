#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A program that touches more than all memory of the guest, bounded by nothing,
# while the server that it is swapped to lives in that same memory.
#   zero-free.sh tierswap|memory MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$2

case $1 in
  tierswap)
    cat > "$TMPDIR/tierswap.conf" <<'CONF'
size = "1G"
pool { limit = "75%" }
tier "fast" { prio = 1 codec = "lz4" }
CONF
    start_server "$builddir/nbdkit" tierswap "$TMPDIR/tierswap.conf"
    ;;
  *) start_server nbdkit "$1" 1G ;;
esac
swap_on
grep -E '^(MemTotal|MemFree)' /proc/meminfo

SECONDS=0
say "the program begins"
"$touch_pages" -k real -o sequential -w "$waiting" "$size" &
program=$!
wait_until 1000 "the program waits" program_waits
grep -E '^(MemFree|SwapTotal|SwapFree)' /proc/meminfo
if [ "$1" = tierswap ]; then
  check_stats \
    ".device.pages_stored > $size * 256 / 2" \
    '.device.write_errors == 0' '.device.read_errors == 0'
  check_protected "$server"
fi
rm "$waiting"
finish_program
say "finished in $SECONDS s"
grep -E '^(pswp|oom_kill)' /proc/vmstat
