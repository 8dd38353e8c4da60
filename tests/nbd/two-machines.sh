#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Writeback to another machine: two network namespaces, a server in the one,
# tierswap in the other, over TCP, with TLS by pre-shared key and by
# certificate.  The link goes down: new pages are kept; it comes up: all are
# there.
. "${srcdir:-.}/tests/nbd/functions.sh"
need ip iproute2
need nbdcopy libnbd-bin
need jq jq
need psktool gnutls-bin
need certtool gnutls-bin
nbdkit --dump-config | grep -q '^tls=yes' || skip "this nbdkit has no TLS"

near=tierswap-near-$$ far=tierswap-far-$$
undo ()
{
  ip netns del $near 2>/dev/null || :
  ip netns del $far 2>/dev/null || :
}
{ ip netns add $near && ip netns add $far &&
    ip -n $near link add tsnear type veth peer name tsfar netns $far; } \
  2>/dev/null || skip "network namespaces cannot be made here"
ip -n $near addr add 192.0.2.1/30 dev tsnear
ip -n $far addr add 192.0.2.2/30 dev tsfar
for link in "$near lo" "$far lo" "$near tsnear" "$far tsfar"; do
  ip -n ${link% *} link set ${link#* } up
done

count=1000 # pages
tierswap=

# far NBDKIT-ARGUMENTS...: a server on the other machine.
far ()
{
  rm -f "$tmp/far.img"
  truncate -s 16M "$tmp/far.img"
  inside=(ip netns exec $far)
  launch far -p 10809 "$@" file "$tmp/far.img" || fail "server far did not start"
  far_server=$server
}

# near URI: tierswap with that as its backing.
near ()
{
  cat >"$tmp/conf" <<END
size = "64M"
pool { limit = "16M" }
tier "only" { prio = 1  codec = "lz4" }
backing "far" { prio = 1  uri = "$1"  size = "16M" }
writeback { age = 1 }
END
  inside=(ip netns exec $near)
  serve server tierswap "$tmp/conf"
  tierswap=$server
}

# over HOW: pages go to the other machine and come back.
over ()
{
  expect "what was written over $1" "$(pages write 0 $count 1 half)" \
    "written $count refused 0"
  written_back
  first_byte "$tmp/far.img" >/dev/null
  expect "what is read over $1" "$(pages check 0 $count 1 half)" \
    "right $count failed 0 wrong 0"
}

# TLS by a pre-shared key.
psktool -u tierswap -p "$tmp/keys" >/dev/null
far --tls=require --tls-psk="$tmp/keys"
near "nbds://tierswap@192.0.2.2/?tls-psk-file=$tmp/keys"
over "TLS with a pre-shared key"
stop $tierswap
kill_server $far_server

# TLS by a certificate.
mkdir "$tmp/pki" "$tmp/client"
printf 'cn = "tierswap test"\nca\ncert_signing_key\n' >"$tmp/ca.info"
printf 'cn = "far"\nip_address = "192.0.2.2"\n%s' \
  $'tls_www_server\nencryption_key\nsigning_key\n' >"$tmp/server.info"
(
  cd "$tmp/pki"
  certtool --generate-privkey --outfile ca-key.pem
  certtool --generate-self-signed --load-privkey ca-key.pem \
    --template ../ca.info --outfile ca-cert.pem
  certtool --generate-privkey --outfile server-key.pem
  certtool --generate-certificate --load-ca-certificate ca-cert.pem \
    --load-ca-privkey ca-key.pem --load-privkey server-key.pem \
    --template ../server.info --outfile server-cert.pem
) >"$tmp/certtool.log" 2>&1
cp "$tmp/pki/ca-cert.pem" "$tmp/client"
far --tls=require --tls-certificates="$tmp/pki"
near "nbds://192.0.2.2/?tls-certificates=$tmp/client"
over "TLS with certificates"
stop $tierswap
kill_server $far_server

# No TLS, and the cable comes off while pages are read.  Others are written and
# read meanwhile.
far
near "nbd://192.0.2.2/"
over "TCP"
ip -n $far link set tsfar down
pages check 0 10 1 half >"$tmp/answer" &
reader=$!
expect "what was written without a link" \
  "$(pages write $count 500 1 half)" "written 500 refused 0"
expect "it, read" "$(pages check $count 500 1 half)" \
  "right 500 failed 0 wrong 0"
kill -0 $reader 2>/dev/null || fail "pages were read without a link"
ip -n $far link set tsfar up
wait $reader
[[ $(cat "$tmp/answer") =~ ^right\ [0-9]+\ failed\ [0-9]+\ wrong\ 0$ ]] ||
  fail "what was read meanwhile: $(cat "$tmp/answer")"

back ()
{
  [ "$(pages check 0 $count 1 half)" = "right $count failed 0 wrong 0" ]
}

wait_until "the link to be found up again" back
written_back
expect "what was written without a link, read from there" \
  "$(pages check $count 500 1 half)" "right 500 failed 0 wrong 0"
stop $tierswap
