# SPDX-License-Identifier: BSD-3-Clause
# What the tests of the FUSE tree share, after functions.sh.

dir=$tmp/fuse
mkdir "$dir"

[ "$(id -u)" = 0 ] || skip "only root mounts without the program fusermount3"
[ -w /dev/fuse ] || skip "this kernel has no FUSE (/dev/fuse)"
# A container may have the device and not the right to mount.
mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 tierswap "$dir" \
  9<>/dev/fuse 2>"$tmp/probe" ||
  skip "nothing can be mounted here: $(cat "$tmp/probe")"
umount -l "$dir"

# A server ends when its disk is closed.
give_back ()
{
  exec 8>&-
}

# Nothing that is mounted may be left, nor be removed with $tmp.
undo ()
{
  local place
  for place in "$dir" "$tmp/fuse"*; do
    while mountpoint -q "$place" 2>/dev/null || stale "$place"; do
      umount -l "$place" || break
    done
  done
}

stale ()
{
  case $(stat "$1" 2>&1) in
    *"not connected"*) ;;
    *) return 1 ;;
  esac
}

# serve_fuse ARGUMENT...: serve with the tree at $dir.
serve_fuse ()
{
  serve server tierswap "$@" fuse="$dir"
  wait_until "the tree" test -e "$dir/disk"
}

# file_refuses FILE VALUE ERROR PATTERN: writing VALUE into it fails with ERROR, and
# one line with PATTERN comes into the log.
file_refuses ()
{
  local lines status=0
  lines=$(wc -l <"$tmp/server.log")
  printf '%s\n' "$2" 2>"$tmp/err" >"$dir/$1" || status=$?
  [ $status -ne 0 ] || fail "$1 takes '$2'"
  grep -q "$3" "$tmp/err" || fail "$1: not '$3' but: $(cat "$tmp/err")"
  expect "lines in the log about '$2' in $1" \
    $(($(wc -l <"$tmp/server.log") - lines)) 1
  tail -n 1 "$tmp/server.log" | grep -qF -- "$4" ||
    fail "$1: does not say '$4': $(tail -n 1 "$tmp/server.log")"
}
