#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The completion of tierswapctl for bash: every command and its words, and the
# names that the server knows.
. "${srcdir:-.}/tests/nbd/functions.sh"
. "$srcdir/tests/nbd/control.sh"

# complete LINE: what is offered at its end, sorted, in one line.
complete_line ()
{
  bash --norc -c '
    set -u
    . "$1"
    COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9 COMP_KEY=9
    read -ra COMP_WORDS <<<"$2"
    COMP_WORDS[0]=$3
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _tierswapctl
    printf "%s\n" "${COMPREPLY[@]}"' \
    bash "$srcdir/conf/completions/tierswapctl" "$1" "$tierswapctl" 2>"$tmp/err" |
    sort | paste -s -d ' '
  [ ! -s "$tmp/err" ] || fail "completing '$1': $(cat "$tmp/err")"
}

# offers LINE EXPECTED
offers ()
{
  expect "what is offered after '$1'" "$(complete_line "$1")" "$2"
}

# A script that nobody sourced must at least be one.
bash -n "$srcdir/conf/completions/tierswapctl"

# All commands that there are.
commands=$("$tierswapctl" --help | sed -n 's/^  \([a-z][a-z]*\).*/\1/p' | sort |
  paste -s -d ' ')
offers "tierswapctl " "$commands"
offers "tierswapctl re" "reconnect reload"
offers "tierswapctl -" "--help --socket= --version"
offers "tierswapctl status -" --json
offers "tierswapctl cgroup / " "limit= prio= writeback_prio= writeback_size="
offers "tierswapctl cgroup / w" "writeback_prio= writeback_size="
offers "tierswapctl writeback " "age= cgroup= max= size= tier="
offers "tierswapctl writeback age=5 m" "max="
offers "tierswapctl top " "-b -d -n"
offers "tierswapctl attach /dev/nbd0 p" "patience= priority="
offers "tierswapctl detach /dev/nbd0 " "--force wait="
offers "tierswapctl reload " ""

# cgroups, one level at a time
mkdir -p "$tmp/cgroups/db/main" "$tmp/cgroups/dc" "$tmp/cgroups/x"
export TIERSWAP_CGROUPS=$tmp/cgroups
offers "tierswapctl cgroup " "/ /db /dc /x"
offers "tierswapctl cgroup /d" "/db /dc"
offers "tierswapctl cgroup /db/" "/db/main"
offers "tierswapctl writeback cgroup=/x" "/x"

# Without a server there are no names, and no noise.
export TIERSWAP_CONTROL=$tmp/nowhere
offers "tierswapctl get " ""
offers "tierswapctl drain " "--no-wait"

cat >"$tmp/conf" <<END
size = "64M"
tier "fast" { prio = 1  codec = "lz4" }
tier "dense" { prio = 2  codec = "zstd"  level = 1 }
backing "ssd" { prio = 1  path = "$tmp/ssd"  size = "32M" }
END
serve_control "$tmp/conf"
offers "tierswapctl -s $tmp/control get tier.fast.l" \
  "tier.fast.level tier.fast.limit"
export TIERSWAP_CONTROL=$tmp/control
offers "tierswapctl get pool.w" "pool.write_errors pool.writes pool.writes_raw"
offers "tierswapctl set pool." "pool.limit"
offers "tierswapctl set tier.dense." \
  "tier.dense.demote_age tier.dense.group tier.dense.level tier.dense.limit"
offers "tierswapctl set pool.limit " ""
offers "tierswapctl drain s" "ssd"
offers "tierswapctl writeback tier=" "dense fast"
# What is offered for set can be set.
for name in $(complete_line "tierswapctl set "); do
  control set "$name" "$(control get "$name")" || fail "$name cannot be set"
done
