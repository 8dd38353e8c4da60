#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The handshake of tierswapctl attach with servers as they are, and what it says
# of those that cannot be swapped on.
. "${srcdir:-.}/tests/nbd/functions.sh"

handshake ()
{
  timeout $limit "$builddir/tests/nbd/handshake" "$tmp/$1"
}

# refused NAME PATTERN
refused ()
{
  local status=0
  handshake "$1" >"$tmp/out" 2>"$tmp/err" || status=$?
  expect "the exit status with $1" $status 1
  expect "lines about $1" "$(wc -l <"$tmp/err")" 1
  grep -qF -- "$2" "$tmp/err" || fail "of $1 it says: $(cat "$tmp/err")"
}

serve server tierswap size=64M
expect "a tierswap server" "$(handshake server)" \
  "size=67108864 block=4096 trim=1 multi=1 first=00"

serve pattern pattern 1M
expect "another server, which is read-only" "$(handshake pattern 2>&1 || :)" \
  "socket $tmp/pattern: the server is read-only"

serve data data data='165*10000000'
expect "a page of data" "$(handshake data)" \
  "size=10000000 block=1 trim=1 multi=1 first=a5"

serve single memory 1M --filter=noparallel serialize=connections
handshake single | grep -q 'first=00' || fail "one connection is not enough"

serve small memory 36K
refused small "has 36.0 KiB, and a swap area takes 40 KiB"

serve blocks memory 1M --filter=blocksize-policy blocksize-minimum=8192 \
  blocksize-preferred=8192
refused blocks "takes blocks of 8192 bytes"

serve old memory 1M --oldstyle
refused old "in the old style only"

serve ancient memory 1M --mask-handshake=0
refused ancient "does not know the fixed newstyle handshake"

serve failing memory 1M --filter=error error-pread-rate=100%
refused failing "cannot read its first page"

serve closed sh - <<'END'
case $1 in
  get_size) echo 1M ;;
  open) echo 'EPERM nobody today' >&2; exit 1 ;;
  *) exit 2 ;;
esac
END
refused closed "refuses the export"

refused nowhere "no server listens there"

if type psktool >/dev/null 2>&1; then
  psktool -u user -p "$tmp/keys.psk" >/dev/null
  serve tls memory 1M --tls=require --tls-psk="$tmp/keys.psk"
  refused tls "wants TLS"
fi
