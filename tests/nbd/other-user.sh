#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Another user of the machine is not served on the Unix socket, also when the
# server was started with the mask of a careless user.
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
stop $server
