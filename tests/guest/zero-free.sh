#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A program that touches more than all memory of the guest, bounded by nothing,
# while the server is in that same memory.
#   zero-free.sh tierswap|memory MEBIBYTES
. "$srcdir/tests/guest/functions.sh"
size=$2

case $1 in
  tierswap)
    cat > "$TMPDIR/conf" <<'CONF'
size = "1G"
pool { limit = "75%" }
tier "fast" { prio = 1 codec = "lz4" }
CONF
    start_server "$builddir/nbdkit" tierswap "$TMPDIR/conf"
    ;;
  *) start_server nbdkit "$@" 1G ;;
esac
swap_on
grep -E '^(MemTotal|MemFree)' /proc/meminfo
begin=$(date +%s)
"$touch_pages" -k real "$size" &
program=$!
if [ "$1" = tierswap ]; then
  wait_until 600 "the program has ended or most of its pages are stored" \
    most_stored
fi
finish_program
say "finished in $(($(date +%s) - begin)) s"
grep -E '^pswp|^oom' /proc/vmstat
