#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The folders of the FUSE tree mirror the cgroups, and a script that was written
# for the kernel's own files sets their policies.  Tags that user space gives
# through the control file say whose pages are written.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/fuse.sh"
need python3 python3

hierarchy=$(findmnt -n -t cgroup2 -o TARGET | head -n 1) || :
[ -n "$hierarchy" ] || skip "cgroup2 is not mounted"
name=tierswap-test.$$
top=$hierarchy/$name
mkdir "$top" 2>"$tmp/err" || skip "no cgroup can be made: $(cat "$tmp/err")"
remove ()
{
  [ ! -d "$top" ] || find "$top" -depth -type d -exec rmdir {} +
}
give_back ()
{
  exec 8>&-
  remove
}
mkdir "$top/hot" "$top/cold" "$top/cold/inner"

cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "96M" }
tier "fast" { prio = 1  codec = "lz4" }
tier "dense" { prio = 2  codec = "zstd"  level = 1 }
cgroup "/" { prio = 1 }
END
serve_fuse "$tmp/conf"
there ()
{
  [ -e "$dir/cgroup/$1/zram.prio" ]
}
for c in "" hot cold cold/inner; do
  wait_until "$name/$c" there "$name/$c"
done
expect "the folders" \
  "$(cd "$dir/cgroup/$name" && find . -type d | sort | paste -sd ' ')" \
  ". ./cold ./cold/inner ./hot"
there none && fail "there is a cgroup that is not there"
ls "$dir/cgroup" | grep -qx "$name" || fail "$name is not listed"

# Set and inherited.
# is FILE VALUE
is ()
{
  expect "$1" "$(cat "$dir/cgroup/$name/$1")" "$2"
}
is cold/inner/zram.prio 1
for c in cold; do echo 2 >"$dir/cgroup/$name/$c/zram.prio"; done
is cold/zram.prio 2
is cold/inner/zram.prio 2
is hot/zram.prio 1
echo 0 >"$dir/cgroup/$name/hot/zram.writeback_prio"
is hot/zram.writeback_prio 0
file_refuses "cgroup/$name/hot/zram.prio" 7 "Invalid argument" \
  "cgroup./$name/hot.prio cannot be \"7\": it is a whole number from 1 to 4"
is hot/zram.prio 1

# write_as CGROUP PAGE COUNT: tag the pages, then write them.
write_as ()
{
  python3 - "$dir" "$(stat -c %i "$top/$1")" "$2" "$3" <<'END'
import errno, fcntl, os, struct, sys
dir, cgroup, page, count = sys.argv[1], *map(int, sys.argv[2:])
TAG = 1 << 30 | 24 << 16 | 0xe7 << 8 | 5
with open(dir + "/control", "rb") as control:
    for bad in (struct.pack("=QQII", 1, cgroup, 4096, 0),
                struct.pack("=QQII", 0, cgroup, 0, 0),
                struct.pack("=QQII", 0, cgroup, 4096, 1),
                struct.pack("=QQII", 64 << 20, cgroup, 4096, 0)):
        try:
            fcntl.ioctl(control, TAG, bad)
            sys.exit("a bad tag is taken")
        except OSError as error:
            assert error.errno == errno.EINVAL, error
    try:
        fcntl.ioctl(control, 0x5401, bytes(24))
        sys.exit("any ioctl is taken")
    except OSError as error:
        assert error.errno == errno.ENOTTY, error
    fcntl.ioctl(control, TAG,
                struct.pack("=QQII", page * 4096, cgroup, count * 4096, 0))
disk = os.open(dir + "/disk", os.O_RDWR)
data = b"".join(b"%08d" % number * 500 + os.urandom(96)
                for number in range(count))
assert os.pwrite(disk, data, page * 4096) == len(data)
END
}
write_as hot 0 100
write_as cold 100 50
write_as cold/inner 1000 200
is hot/zram.pages_memory 100
is cold/zram.pages_memory 50
is cold/inner/zram.pages_memory 200
expect "pages of the fast tier" "$(cat "$dir/tiers/fast/pages")" 100
expect "pages of the dense tier" "$(cat "$dir/tiers/dense/pages")" 250
# Changed in between, it holds for new pages only.
echo 1 >"$dir/cgroup/$name/cold/inner/zram.prio"
write_as cold/inner 2000 10
expect "pages of the fast tier then" "$(cat "$dir/tiers/fast/pages")" 110
is cold/inner/zram.pages_memory 210

# A removed one is not there any more; its pages are.
rmdir "$top/hot"
gone_from_tree ()
{
  ! there "$name/hot" || [ "$(cat "$dir/cgroup/$name/hot/zram.id")" = 0 ]
}
wait_until "the removed cgroup to go" gone_from_tree
expect "all pages" "$(cat "$dir/pool/pages")" 360
remove
stop $server
