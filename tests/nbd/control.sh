# SPDX-License-Identifier: BSD-3-Clause
# What the tests of tierswapctl share, after functions.sh.

tierswapctl=$builddir/tierswapctl
unset TIERSWAP_CONTROL

# serve_control ARGUMENT...: serve with the control socket $tmp/control.  nbdkit
# tells its process before the plugin has started.
serve_control ()
{
  serve server tierswap "$@" control="$tmp/control"
  wait_until "the control socket" test -S "$tmp/control"
}

# control ARGUMENT...: of the server whose socket is $tmp/control.
control ()
{
  TIERSWAP_CONTROL=${TIERSWAP_CONTROL-$tmp/control} \
    timeout $limit "$tierswapctl" "$@"
}

# refuses PATTERN ARGUMENT...: it ends with 1 and one line with PATTERN.
refuses ()
{
  local pattern=$1 status=0
  shift
  [ "$*" != "" ] || set --
  control "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
  expect "the exit status of $*" $status 1
  expect "what $* prints" "$(grep -v ' are \(left on\|used\)\| were written' \
                             "$tmp/out")" ""
  expect "lines of $*" "$(wc -l <"$tmp/err")" 1
  grep -qF -- "$pattern" "$tmp/err" ||
    fail "$*: does not say '$pattern': $(cat "$tmp/err")"
}
