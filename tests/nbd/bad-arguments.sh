#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Each mistake in the arguments or the configuration is refused at start, with
# a sentence that names it, before nbdkit leaves the terminal.
. "${srcdir:-.}/tests/nbd/functions.sh"

# refused PATTERN ARGUMENT...: the server does not start and says PATTERN.
refused ()
{
  local pattern=$1
  shift
  # Without -f it would go on in the background, where no one sees messages.
  if timeout $limit "$nbdkit" -U - -P "$tmp/pid" tierswap "$@" --run : \
      >"$tmp/out" 2>&1; then
    fail "not refused: $*"
  fi
  [ ! -e "$tmp/pid" ] || fail "refused only after the start: $*"
  grep -Eq -- "$pattern" "$tmp/out" ||
    fail "$*: does not say '$pattern': $(cat "$tmp/out")"
  echo "$*: $(grep -E -- "$pattern" "$tmp/out" | head -n 1)"
}

# refused_conf PATTERN TEXT: likewise for a configuration of this text.
refused_conf ()
{
  printf '%s\n' "$2" >"$tmp/bad.conf"
  refused "$tmp/bad\\.conf:[0-9]+: .*$1" "$tmp/bad.conf"
}

refused "/nowhere/conf.*No such file" /nowhere/conf
refused "$tmp.*directory" "$tmp"
refused "size=0\b" size=0
refused "size=12parsecs" size=12parsecs
refused "size=-1" size=-1
refused "size=1000.*4096" size=1000
refused "size=" size=
refused "size=99999999999999999999" size=99999999999999999999
refused "size.*twice" size=1G size=2G
refused "conf.*twice" "$tmp/one" "$tmp/two"
refused "'prio'.*conf.*size" prio=1
refused "control.*twice" control="$tmp/one" control="$tmp/two"
refused "/nowhere.*make it first" control=/nowhere/control
refused "something else than a socket" control="$tmp"
refused "from 1 to 107 bytes" control="/tmp/$(printf '%0200d' 0)"
refused "'Size'" Size=1G
refused "shim.*twice" shim=bpf shim=/dev/tierswap-shim
refused "shim \"magic\" is neither" shim=magic
refused "boolean" insecure=perhaps

tier='tier "a" { prio = 1  codec = "lz4" }'
refused_conf "colour" "colour = 1"
refused_conf "shim \"magic\"" "shim = \"magic\""
refused_conf "size" "size = \"many\""
refused_conf "prio" 'tier "a" { prio = 5  codec = "lz4" }'
refused_conf "lz5" 'tier "a" { prio = 1  codec = "lz5" }'
refused_conf "level" 'tier "a" { prio = 1  codec = "zstd"  level = 99 }'
refused_conf "prio" "$tier"$'\n''tier "b" { prio = 1  codec = "zstd" }'
refused_conf "a" "$tier"$'\n''tier "a" { prio = 2  codec = "zstd" }'
refused_conf "" 'tier "a" {'

# The line is the mistake's.
printf 'size = "1G"\n\n%s\ncolour = 1\n' "$tier" >"$tmp/bad.conf"
refused "$tmp/bad\\.conf:4: " "$tmp/bad.conf"
# A relative path is told as the path it is.
(cd "$tmp" && refused "$tmp/bad\\.conf:4: " bad.conf)
