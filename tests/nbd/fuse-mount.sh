#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Where the FUSE tree can be mounted, who may look, and how it goes away: when
# the server ends, when it was killed before, when something is still open.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/fuse.sh"

# bad PATTERN ARGUMENT...: the server does not start, and says PATTERN.
bad ()
{
  local pattern=$1 server
  shift
  if launch bad -U "$tmp/bad" tierswap "$@"; then
    fail "a server starts with $*"
  fi
  grep -qF -- "$pattern" "$tmp/bad.log" ||
    fail "$*: does not say '$pattern': $(cat "$tmp/bad.log")"
}
bad "make this folder first" fuse="$tmp/none"
touch "$tmp/file"
bad "Not a directory" fuse="$tmp/file"
mkdir "$tmp/full"
touch "$tmp/full/something"
bad "the folder is not empty" fuse="$tmp/full"
bad "fuse is given twice" fuse="$dir" fuse="$tmp/full"
bad "fuse-read needs fuse=DIR" fuse-read=all
bad "fuse-read is 'all' or 'owner', not 'me'" fuse="$dir" fuse-read=me

# Only root, at first.
chmod 755 "$tmp"
expect_modes ()
{
  (cd "$dir" && stat -c '%n %A' . disk control stats.json cgroup/zram.prio \
    compact tiers tiers/*/pages)
}
as_nobody ()
{
  setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
serve_fuse size=64M
bad "is alive" fuse="$dir"
expect "the modes" "$(expect_modes | sort -u | paste -sd,)" \
  "$(printf '%s\n' '. drwx------' 'disk -rw-------' 'control -rw-------' \
     'stats.json -r--------' 'cgroup/zram.prio -rw-------' \
     'compact --w-------' 'tiers drwx------' 'tiers/fast/pages -r--------' \
     'tiers/dense/pages -r--------' | sort -u | paste -sd,)"
if as_nobody ls "$dir" >"$tmp/out" 2>&1; then
  fail "everybody may look"
fi
stop $server
mountpoint -q "$dir" && fail "it is still mounted after the server's end"

# Everybody may read.
serve_fuse size=64M fuse-read=all
as_nobody cat "$dir/stats.json" "$dir/cgroup/zram.prio" >"$tmp/out"
as_nobody ls -R "$dir" >"$tmp/out"
for file in disk control; do
  if as_nobody cat "$dir/$file" >"$tmp/out" 2>&1; then
    fail "everybody may read $file"
  fi
done
for file in cgroup/zram.prio compact writeback; do
  if as_nobody sh -c "echo 1 >$dir/$file" >"$tmp/out" 2>&1; then
    fail "everybody may write $file"
  fi
done

# Killed: what is left is found and taken away.
kill_server $server
stale "$dir" || fail "the dead server's tree is not stale"
serve_fuse size=64M
grep -qF "the FUSE tree of a server that is dead was still at $dir" \
  "$tmp/server.log" || fail "no notice of it: $(cat "$tmp/server.log")"
[ "$(grep -c "$dir " /proc/mounts)" = 1 ] || fail "mounted more than once"

# Who has something else open is not waited for.
exec 8<"$dir/stats.json"
stop $server
mountpoint -q "$dir" && fail "it is still mounted with a file open"
if cat <&8 >"$tmp/out" 2>&1; then
  fail "an open file is read without a server"
fi
exec 8<&-

# Who has the disk open is, and what to do is said.
serve_fuse size=64M
exec 8<>"$dir/disk"
kill $server
wait_until "the server to say what it waits for" \
  grep -qF "$dir/disk is still in use" "$tmp/server.log"
printf 'still served' >&8
expect "the disk while it waits" "$(head -c 12 "$dir/disk")" "still served"
exec 8<&-
wait_until "the server to end" gone $server
wait $server
mountpoint -q "$dir" && fail "it is still mounted"

# Unmounted by somebody else, it still ends well.
serve_fuse size=64M
umount "$dir"
stop $server
