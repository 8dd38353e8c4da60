# SPDX-License-Identifier: BSD-3-Clause
# A server all of whose pages are on its backings, for the tests of what then
# happens to these; after functions.sh.

need nbdcopy libnbd-bin
need jq jq

# serve_written_back COUNT BACKING...: serve, with these lines of configuration
# and $server_threads threads a connection, write COUNT pages, and wait until they have left memory.
server_threads=16 # as nbdkit does
serve_written_back ()
{
  local count=$1
  shift
  {
    printf '%s\n' \
      'size = "64M"' \
      'pool { limit = "16M" }' \
      'tier "only" { prio = 1  codec = "lz4" }' \
      "$@" \
      'writeback { age = 1 }'
  } >"$tmp/conf"
  serve server --threads=$server_threads tierswap "$tmp/conf"
  expect "what was written" "$(pages write 0 "$count" 1 half)" \
    "written $count refused 0"
  written_back
}

# serve_far_and_near COUNT: the same on far.img, which the server "far" serves
# already, with near.img as the next backing.
serve_far_and_near ()
{
  serve_written_back "$1" \
    "backing \"far\" { prio = 1  uri = \"$(uri far)\"  size = \"16M\" }" \
    "backing \"near\" { prio = 2  path = \"$tmp/near.img\"  size = \"16M\" }"
  first_byte "$tmp/far.img" >/dev/null
}

# some_right WHEN COUNT: the first COUNT pages are right or fail, none is
# wrong; $right and $failed of them.
some_right ()
{
  local answer
  answer=$(pages check 0 "$2" 1 half)
  [[ $answer =~ ^right\ ([0-9]+)\ failed\ ([0-9]+)\ wrong\ 0$ ]] ||
    fail "$1: $answer"
  right=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]}
}
