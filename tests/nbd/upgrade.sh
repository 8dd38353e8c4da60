#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswapctl upgrade: the server that was installed meanwhile takes the place of
# the one that runs, with all of its pages.  What cannot work is refused, and the
# one that runs goes on; one that does not come up is followed by the old one.
. "${srcdir:-.}/tests/nbd/own-mounts.sh"
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"
need nbdcopy libnbd-bin
need jq jq
mount_memory

# Servers that are no children cannot be waited for.
give_back ()
{
  [ ! -e "$tmp/server.pid" ] || kill -KILL "$(cat "$tmp/server.pid")" || :
  wait_until "the server to be gone" gone "$(cat "$tmp/server.pid")" || :
} 2>/dev/null

plugin=$tmp/lib/nbdkit-tierswap-plugin.so
mkdir "$tmp/lib" "$tmp/bin"

# As make install does it: another file of that name.
install_plugin ()
{
  cp "$builddir/.libs/nbdkit-tierswap-plugin.so" "$plugin.new"
  mv "$plugin.new" "$plugin"
}

# configure [LINE...]: with another state if there is one in $state.
configure ()
{
  cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "8M"  state = "${state:-$tmp/memory/state}" }
tier "fast" { prio = 1  codec = "lz4" }
backing "far" { prio = 1  path = "$tmp/far.img"  size = "16M"  encrypt = true }
writeback { high = 60  low = 40 }
$(printf '%s\n' "$@")
END
}

count=2000 # pages
check_pages ()
{
  expect "the pages $1" "$(pages check 0 $count 1 half)" \
    "right $count failed 0 wrong 0"
}

# The server is no child of ours after the first time.
now_serving ()
{
  server=$(cat "$tmp/server.pid")
  servers=("$server")
}

# refused PATTERN WHEN: the upgrade is, and all is as it was.
refused ()
{
  refuses "$1" upgrade
  expect "the server $2" "$(cat "$tmp/server.pid")" "$server"
  check_pages "$2"
}

is_of_removed_file ()
{
  grep -q "$plugin (deleted)" "/proc/$1/maps"
}

# upgraded WHEN: it is, to the plugin that is there.
upgraded ()
{
  local before=$server
  control upgrade >"$tmp/out"
  cat "$tmp/out"
  grep -q "has taken over from process $before in" "$tmp/out" ||
    fail "it does not say so"
  now_serving
  [ "$server" != "$before" ] || fail "the same server is there $1"
  wait_until "the one before to be gone" gone "$before"
  ! is_of_removed_file "$server" || fail "the new server is the old one $1"
  check_pages "$1"
}

refuses "no server listens there" upgrade
install_plugin
configure
PATH=$tmp/bin:$PATH "$nbdkit" -f -U "$tmp/server" -P "$tmp/server.pid" \
  "$plugin" "$tmp/conf" "control=$tmp/control" >"$tmp/server.log" 2>&1 &
wait_until "the control socket" test -S "$tmp/control"
now_serving
expect "what was written" "$(pages write 0 $count 1 half)" \
  "written $count refused 0"
refuses '"now" is not taken here' upgrade now

configure 'tire "slow" { }'
refused "$tmp/conf:" "after a mistake in the configuration"
state=$tmp/memory/another configure
refused "cannot open $tmp/memory/another" "when there is no such state"
configure
sed -i '/^pool/s/state.*/}/' "$tmp/conf"
refused "there is no pool.state" "when no state is named"
configure
mv "$plugin" "$plugin.away"
refused "does not start with the words" "when nothing is installed"
mv "$plugin.away" "$plugin"

# What a server of a later version has written, this one cannot know.
"$builddir/tests/nbd/state-format" "$tmp/memory/state" 9 9
refused "needs a server of format 9 or later" "after a downgrade"
# But it may say that an older one can go on.
"$builddir/tests/nbd/state-format" "$tmp/memory/state" 9 1
upgraded "after a downgrade that can be"

for time in first second; do
  install_plugin
  is_of_removed_file "$server" || fail "nothing was installed"
  upgraded "after the $time time"
done

# One that says that it could, and then cannot.
real=$(PATH=${PATH#"$tmp/bin:"} type -P nbdkit)
cat >"$tmp/bin/nbdkit" <<END
#!/bin/sh
case "\$*" in
  *--dump-plugin*) exec $real "\$@" ;;
esac
echo "out of order" >&2
exit 1
END
chmod +x "$tmp/bin/nbdkit"
before=$server
if [ "$(id -u)" = 0 ] && [ -r "/proc/$server/map_files" ]; then
  ! control upgrade >"$tmp/out" 2>"$tmp/err" || fail "it took over"
  grep -q "the one that ran serves again, as process" "$tmp/err" ||
    fail "it is not told: $(cat "$tmp/err")"
  now_serving
  [ "$server" != "$before" ] || fail "it did not end"
  check_pages "after one that did not start"
  grep -q "out of order" "$tmp/server.log" || fail "its messages are lost"
  # It names its plugin as an open file, and is followed all the same.
  rm "$tmp/bin/nbdkit"
  upgraded "after the one that ran came back"
fi
control check
