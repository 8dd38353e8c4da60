#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The FUSE tree: what is in it, what each file shows and takes.  A bad value is
# EINVAL and one line in the log, as of the command, and changes nothing.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"
. "$srcdir/tests/nbd/fuse.sh"
need jq jq

cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "32M" }
tier "fast" { prio = 1  codec = "lz4"  limit = "16M" }
tier "dense" { prio = 2  codec = "zstd"  level = 1 }
backing "ssd" { prio = 1  path = "$tmp/ssd"  size = "32M" }
END
serve_fuse "$tmp/conf" control="$tmp/control"
wait_until "the control socket" test -S "$tmp/control"

# is FILE VALUE
is ()
{
  expect "$1" "$(cat "$dir/$1")" "$2"
}

# Every attribute that the command knows is a file with the same value.
control get | while read -r name _ value; do
  file=$(sed -E 's,^tier\.,tiers/,; s,^backing\.,backings/,
    s,^cgroup\./\.,cgroup/zram.,; s,^(pool|cleaner)\.,\1/,
    s,^writeback\.,writeback_,; /^(tiers|backings)/ s,\.,/,' <<<"$name")
  case $name in
    *.used | *.peak | *.meta | *.reserve | *.mem_used_bytes)
      [ -e "$dir/$file" ] || fail "there is no $file" ;;
    *) is "$file" "$value" ;;
  esac
done
[ "$(find "$dir" -type f | wc -l)" -ge 60 ] || fail "few files"
expect "what is in a tier's folder" \
  "$(cd "$dir/tiers/fast" && echo *)" \
  "codec compr_bytes demote_age group level limit mem_used_bytes pages \
pages_raw prio segments used"
expect "tiers" "$(ls "$dir/tiers" | sort | paste -sd ' ')" "dense fast"
for name in none fast/none; do
  [ ! -e "$dir/tiers/$name" ] || fail "there is tiers/$name"
done
expect "the disk's size" "$(stat -c %s "$dir/disk")" $((64 << 20))

# Values that can be changed.
echo 8M >"$dir/tiers/fast/limit"
is tiers/fast/limit $((8 << 20))
expect "it by the command" "$(control get tier.fast.limit)" $((8 << 20))
printf 2 >"$dir/cgroup/zram.prio"
is cgroup/zram.prio 2
for c in .; do echo 3000 >"$dir/cgroup/$c/zram.writeback_size"; done
is cgroup/zram.writeback_size 3000
control set cgroup./.writeback_size 0
is cgroup/zram.writeback_size 0
echo 75 >>"$dir/writeback_low"
is writeback_low 75
echo true >"$dir/backings/ssd/promote"
is backings/ssd/promote true
# A file that stays open shows what is now when it is read from its beginning.
exec 8<"$dir/cgroup/zram.prio"
read -r value <&8
echo 1 >"$dir/cgroup/zram.prio"
expect "the value read first" "$value" 2
expect "the value read again" \
  "$(python3 -c 'import os; print(os.pread(8, 9, 0).decode().strip())')" 1
exec 8<&-

# Values that cannot be.
file_refuses cgroup/zram.prio 5 "Invalid argument" \
  'cgroup./.prio cannot be "5": it is a whole number from 1 to 4'
file_refuses cgroup/zram.prio "1 2" "Invalid argument" "from 1 to 4"
file_refuses cgroup/zram.prio "" "Invalid argument" "from 1 to 4"
file_refuses cgroup/zram.writeback_prio x "Invalid argument" "from 0 to 4"
file_refuses cgroup/zram.writeback_size 5000 "Invalid argument" "4096"
file_refuses tiers/fast/limit much "Invalid argument" "number of bytes"
file_refuses tiers/dense/level 99 "Invalid argument" "level"
file_refuses writeback_high 101 "Invalid argument" "from 1 to 100"
file_refuses backings/ssd/promote maybe "Invalid argument" "true or false"
file_refuses backings/ssd/drain 0 "Invalid argument" "1 begins"
file_refuses tiers/fast/codec zstd "Permission denied" "read-only"
file_refuses compact 2 "Invalid argument" "1 compacts"
file_refuses writeback "" "Invalid argument" "all, huge"
file_refuses writeback now "Invalid argument" "the command is writeback"
file_refuses writeback "cgroup=/none" "No such file" "no cgroup"
is cgroup/zram.prio 1
is tiers/fast/codec lz4
if head -c 20000 /dev/zero | tr '\0' 1 >"$dir/writeback_low"; then
  fail "a value of 20000 bytes is taken"
fi 2>"$tmp/err"
is writeback_low 75
if printf '1\0002' >"$dir/cgroup/zram.prio"; then
  fail "a value with a NUL is taken"
fi 2>"$tmp/err"

is control ""

# Nothing is made, renamed, removed or resized.
for command in "touch $dir/new" "mkdir $dir/cgroup/new" "rm -f $dir/disk" \
  "mv $dir/size $dir/length" "ln -s x $dir/link" "mknod $dir/fifo p" \
  "rmdir $dir/tiers" "ln $dir/size $dir/link" "truncate -s 1M $dir/disk" \
  "chmod 666 $dir/disk" "chown 1 $dir/disk"; do
  if $command 2>"$tmp/err"; then
    fail "this works: $command"
  fi
  grep -q "not permitted" "$tmp/err" || fail "$command: $(cat "$tmp/err")"
done
if : >"$dir/disk"; then
  fail "the disk can be truncated"
fi 2>"$tmp/err"
expect "the disk's size after that" "$(stat -c %s "$dir/disk")" $((64 << 20))

# Columns, after 1024 pages that do not compress, 1024 that do, 1024 alike.
{ head -c 4M /dev/urandom; seq 1000000 3000000 | head -c 4M || :
  head -c 4M /dev/zero | tr '\0' x; } >"$tmp/pages"
dd if="$tmp/pages" of="$dir/disk" bs=1M conv=notrunc status=none
jq -e '.device.pages_stored == 3072' "$dir/stats.json" >"$tmp/out" ||
  fail "stats.json: $(cat "$dir/stats.json")"
read -r -a mm <"$dir/mm_stat"
expect "columns of mm_stat" ${#mm[@]} 9
expect "its orig_data_size" "${mm[0]}" $((12 << 20))
expect "its compr_data_size" "${mm[1]}" \
  "$(jq '[.tiers[].compr_bytes] | add' "$dir/stats.json")"
[ "${mm[2]}" -ge "${mm[1]}" ] || fail "mm_stat: ${mm[*]}"
expect "its mem_limit" "${mm[3]}" $((32 << 20))
[ "${mm[4]}" -ge "${mm[2]}" ] || fail "mm_stat: ${mm[*]}"
expect "its same_pages" "${mm[5]}" 1024
expect "its huge_pages" "${mm[7]}" 1024
expect "its huge_pages_since" "${mm[8]}" 1024
expect "io_stat at first" "$(tr -s ' ' <"$dir/io_stat")" " 0 0 0 0"
expect "bd_stat at first" "$(tr -s ' ' <"$dir/bd_stat")" " 0 0 0"
expect "blocks of the disk" "$(stat -c %b "$dir/disk")" $((3072 * 8))

# Commands.  (Nothing was read yet: that would keep pages in memory.)
echo huge >"$dir/writeback"
expect "pages on the backing that do not compress" \
  "$(cat "$dir/backings/ssd/pages")" 1024
read -r -a bd <"$dir/bd_stat"
expect "columns of bd_stat" ${#bd[@]} 3
expect "its bd_count" "${bd[0]}" 1024
[ "${bd[2]}" -ge 1024 ] || fail "bd_stat: ${bd[*]}"
echo "max=256K tier=fast" >"$dir/writeback"
[ "$(cat "$dir/backings/ssd/pages")" -gt 1024 ] || fail "max=256K wrote nothing"
echo all >"$dir/writeback"
expect "all pages on the backing" "$(cat "$dir/backings/ssd/pages")" 2048
cmp -n $((12 << 20)) "$dir/disk" "$tmp/pages"
read -r -a bd <"$dir/bd_stat"
[ "${bd[1]}" -ge 1024 ] || fail "bd_stat after reading: ${bd[*]}"
echo 1 >"$dir/compact"
fallocate -p -o 0 -l 4M "$dir/disk"
expect "notify_free" "$(tr -s ' ' <"$dir/io_stat" | cut -d ' ' -f 5)" 1024
is pool/pages 2048
echo 1 >"$dir/backings/ssd/drain"
is backings/ssd/drain 1
is backings/ssd/state draining
drained ()
{
  [ "$(cat "$dir/backings/ssd/pages")" = 0 ]
}
wait_until "the drain" drained
file_refuses writeback all "No space left" "full, failed or draining"

# A backing that a reload takes away is not there any more.
sed -i /backing/d "$tmp/conf"
control reload
left ()
{
  [ ! -e "$dir/backings/ssd" ]
}
wait_until "the backing to leave" left
expect "backings" "$(ls "$dir/backings")" ""

stop $server
mountpoint -q "$dir" && fail "it is still mounted"
expect "what is left in the folder" "$(ls -A "$dir")" ""
