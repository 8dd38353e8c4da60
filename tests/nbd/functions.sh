# SPDX-License-Identifier: BSD-3-Clause
# What the shell tests of this folder share; each begins by sourcing it:
#   . "${srcdir:-.}/tests/nbd/functions.sh"
# A test runs alone from the build folder; srcdir says where the sources are.
# Everything it leaves lies in $tmp, which goes at its end with its servers.

set -euo pipefail

builddir=${builddir:-$PWD}
srcdir=${srcdir:-.}
nbdkit=$builddir/nbdkit
limit=300 # seconds that anything here is given before it counts as hung

tmp=$(mktemp -d "${TMPDIR:-/tmp}/tierswap-nbd.XXXXXX")
servers=()

# What a test gives back at its end while its servers are there.
give_back ()
{
  :
}

# What it undoes when they are gone.
undo ()
{
  :
}

cleanup ()
{
  local status=$? server
  trap - EXIT
  set +e
  give_back
  for server in "${servers[@]}"; do
    kill "$server" 2>/dev/null
  done
  # A server ends when its clients, which may be among these, are gone.
  for server in "${servers[@]}"; do
    wait "$server" 2>/dev/null
  done
  undo
  if [ $status -ne 0 ] && [ $status -ne 77 ]; then
    for log in "$tmp"/*.log; do
      [ -e "$log" ] && tail -n 30 "$log" | sed "s,^,$(basename "$log"): ," >&2
    done
  fi
  rm -rf "$tmp"
  exit $status
}
trap cleanup EXIT
trap 'exit 1' HUP INT QUIT TERM

fail ()
{
  echo "$(basename "$0"): $*" >&2
  exit 1
}

skip ()
{
  echo "$(basename "$0"): skipped: $*"
  exit 77
}

# need PROGRAM PACKAGE
need ()
{
  type "$1" >/dev/null 2>&1 || skip "$1 is not installed (package $2)"
}

# expect WHAT ACTUAL EXPECTED
expect ()
{
  [ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
}

# wait_until WHAT COMMAND...: until the command succeeds.
wait_until ()
{
  local what=$1 tries=$((limit * 20))
  shift
  until "$@"; do
    [ $((tries -= 1)) -gt 0 ] || fail "waited $limit seconds for $what"
    sleep 0.05
  done
}

gone ()
{
  ! kill -0 "$1" 2>/dev/null
}

started ()
{
  [ -s "$tmp/$1.pid" ] || gone "$2"
}

# launch NAME NBDKIT-ARGUMENTS...: a server in the foreground of its own job,
# its messages in $tmp/NAME.log, run by the command in $inside if there is one.
# Returns 1 if it ended instead of serving.  Afterwards $server is its process.
inside=()
launch ()
{
  local name=$1
  shift
  rm -f "$tmp/$name.pid"
  ${inside[@]+"${inside[@]}"} \
    "$nbdkit" -f --exit-with-parent -P "$tmp/$name.pid" "$@" \
    >"$tmp/$name.log" 2>&1 &
  server=$!
  servers+=($server)
  wait_until "server $name to start" started "$name" $server
  [ -s "$tmp/$name.pid" ]
}

# serve NAME NBDKIT-ARGUMENTS...: launch it on the socket $tmp/NAME.
serve ()
{
  local name=$1
  shift
  rm -f "$tmp/$name"
  launch "$name" -U "$tmp/$name" "$@" || fail "server $name did not start"
}

# serve_tcp NAME NBDKIT-ARGUMENTS...: on a port that is free, in $port.
serve_tcp ()
{
  local name=$1
  shift
  for _ in $(seq 50); do
    port=$((20000 + RANDOM % 12000))
    launch "$name" -i 127.0.0.1 -p $port "$@" && return
    grep -q "Address already in use" "$tmp/$name.log" || break
  done
  fail "server $name did not start"
}

# uri NAME [EXPORT]
uri ()
{
  echo "nbd+unix:///${2-}?socket=$tmp/$1"
}

# stop PID: end a server; it must end well.
stop ()
{
  local status=0
  kill "$1"
  wait "$1" || status=$?
  expect "exit status of the server" $status 0
}

# text NAME EXPORT: the content of an export.
text ()
{
  timeout $limit nbdcopy "$(uri "$1" "$2")" -
}

# kill_server PID: end a server at once, as if its machine were gone.
kill_server ()
{
  kill -KILL "$1"
  wait "$1" 2>/dev/null || :
}

# value FILTER: of the statistics of the server "server", by jq.
value ()
{
  text server stats | jq -r "$1"
}

# pages ARGUMENTS...: of the program pages, on the server "server".
pages ()
{
  timeout $((2 * limit)) "$builddir/tests/nbd/pages" "$(uri server)" "$@"
}

# Pages in memory, but for the same-filled ones.
in_memory ()
{
  value '[.tiers[].pages] | add'
}

# in_memory_at_most COUNT
in_memory_at_most ()
{
  [ "$(in_memory)" -le "$1" ]
}

# written_back: wait until no page is in memory any more.
written_back ()
{
  wait_until "pages to leave memory" in_memory_at_most 0
}

# first_byte FILE: the offset of the first block of it that is not zeros.
first_byte ()
{
  local zeros
  zeros=$(od -An -v -tx1 -w4096 "$1" | awk '/[1-9a-f]/ { print NR - 1; exit }') || :
  [ -n "$zeros" ] || fail "there is nothing in $1"
  echo $((zeros * 4096))
}
