#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Another user of the machine is not served on the Unix socket, also when the
# server was started with the mask of a careless user, or the socket was opened to
# all; unless that is said.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdinfo libnbd-bin
need setpriv util-linux
[ "$(id -u)" = 0 ] || skip "only root can try it as another user"

chmod 755 "$tmp"
umask 0
serve server tierswap size=4M
expect "the size" "$(timeout $limit nbdinfo --size "$(uri server)")" 4194304
for export in "" stats; do
  if timeout $limit setpriv --reuid=65534 --regid=65534 --clear-groups \
    nbdinfo --size "$(uri server "$export")" >"$tmp/out" 2>"$tmp/err"; then
    fail "another user is served export \"$export\""
  fi
  grep -q "Permission denied" "$tmp/err" || fail "he reads: $(cat "$tmp/err")"
done

# as_another [EXPORT]: its size, as he is told.
as_another () {
  timeout $limit setpriv --reuid=65534 --regid=65534 --clear-groups \
    nbdinfo --size "$(uri "$@")"
}

chmod 666 "$tmp/server"
for export in "" stats; do
  if as_another server "$export" >"$tmp/out" 2>"$tmp/err"; then
    fail "another user is served export \"$export\" of a socket open to all"
  fi
done
expect "the size" "$(timeout $limit nbdinfo --size "$(uri server)")" 4194304
stop $server
serve insecure tierswap size=4M insecure=true
chmod 666 "$tmp/insecure"
expect "the size that he is told" "$(as_another insecure)" 4194304
stop $server
