#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The file system under a backing is full: writeback goes to the next backing,
# and when that is full, too, and memory as well, writes get ENOSPC and all that
# was stored is right.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need jq jq

mkdir "$tmp/small"
mount -t tmpfs -o size=4M tierswap-test "$tmp/small" 2>/dev/null ||
  skip "a file system cannot be mounted here"
undo ()
{
  umount -l "$tmp/small"
}

cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "8M" }
tier "only" { prio = 1  codec = "lz4" }
backing "small" { prio = 1  path = "$tmp/small/backing.img"  size = "32M" }
backing "next" { prio = 2  path = "$tmp/next.img"  size = "8M" }
writeback { high = 50  low = 25 }
END
serve server tierswap "$tmp/conf"

# More than the pool and the small file system hold.
count=3500
expect "what was written" "$(pages write 0 $count 1 random)" \
  "written $count refused 0"
used=$(df --output=avail "$tmp/small" | tail -n 1)
[ "$used" -lt 256 ] || fail "$used KiB of the small file system are not used"
first_byte "$tmp/next.img" >/dev/null
expect "what is read" "$(pages check 0 $count 1 random)" \
  "right $count failed 0 wrong 0"

# More than there is room for anywhere.
more=3500
answer=$(pages write $count $more 1 random)
[[ $answer =~ ^written\ ([0-9]+)\ refused\ ([0-9]+)$ ]] || fail "$answer"
[ "${BASH_REMATCH[2]}" -gt 0 ] || fail "nothing was refused: $answer"
expect "what was stored before" "$(pages check 0 $count 1 random)" \
  "right $count failed 0 wrong 0"
[ "$(value .device.write_errors)" -ge "${BASH_REMATCH[2]}" ] ||
  fail "write errors are not counted"

# Room again, there and here.
mount -o remount,size=32M "$tmp/small"
writable ()
{
  [ "$(pages write $count $more 2 random)" = "written $more refused 0" ]
}
wait_until "writes to work again" writable
expect "what was stored first" "$(pages check 0 $count 1 random)" \
  "right $count failed 0 wrong 0"
expect "what was stored last" "$(pages check $count $more 2 random)" \
  "right $more failed 0 wrong 0"
stop $server
