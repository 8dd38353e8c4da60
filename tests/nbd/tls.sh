#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Over TCP with TLS, by pre-shared key and by certificate; without either
# nothing is served, also where the front end would allow it, unless it is said
# that this is meant.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdcopy libnbd-bin
need psktool gnutls-bin
need certtool gnutls-bin
nbdkit --dump-config | grep -q '^tls=yes' || skip "this nbdkit has no TLS"

{ seq 1 1000000 | head -c $((4 << 20)) || :; } >"$tmp/data"

# copy URI: write the data through, read it back, compare.
copy ()
{
  timeout $limit nbdcopy "$tmp/data" "$1"
  timeout $limit nbdcopy "$1" - | cmp - "$tmp/data"
}

# refused WHAT URI
refused ()
{
  if timeout $limit nbdcopy "$2" - >/dev/null 2>&1; then
    fail "served $1"
  fi
}

psktool -u alice -p "$tmp/keys" >/dev/null
psktool -u alice -p "$tmp/other-keys" >/dev/null
serve_tcp psk --tls=require --tls-psk="$tmp/keys" tierswap size=4M
copy "nbds://alice@127.0.0.1:$port/?tls-psk-file=$tmp/keys"
timeout $limit nbdcopy \
  "nbds://alice@127.0.0.1:$port/stats?tls-psk-file=$tmp/keys" - |
  grep -q '"pages_stored"' || fail "no statistics over TLS"
refused "without TLS" "nbd://127.0.0.1:$port/"
refused "with a wrong key" \
  "nbds://alice@127.0.0.1:$port/?tls-psk-file=$tmp/other-keys"
stop $server

# The front end lets clients choose, or knows nothing of TLS: the plugin does.
for how in "--tls=on --tls-psk=$tmp/keys" --tls=off; do
  # shellcheck disable=SC2086
  serve_tcp open $how tierswap size=4M
  refused "without TLS, $how" "nbd://127.0.0.1:$port/"
  refused "statistics without TLS, $how" "nbd://127.0.0.1:$port/stats"
  if timeout $limit nbdinfo --list "nbd://127.0.0.1:$port" 2>/dev/null |
     grep -q 'description:'; then
    fail "told its state without TLS, $how"
  fi
  [ "$(grep -c 'a network client without TLS is refused: serve with ' \
       "$tmp/open.log")" -ge 2 ] || fail "it does not say why, $how"
  [ "$how" = --tls=off ] ||
    copy "nbds://alice@127.0.0.1:$port/?tls-psk-file=$tmp/keys"
  stop $server
done
serve_tcp insecure tierswap size=4M insecure=true
copy "nbd://127.0.0.1:$port"
stop $server

# A certificate authority, and a certificate of the server signed by it.
mkdir "$tmp/pki"
cd "$tmp/pki"
printf 'cn = "tierswap test"\nca\ncert_signing_key\n' >ca.info
printf 'cn = "localhost"\ndns_name = "localhost"\nip_address = "127.0.0.1"\n%s' \
  $'tls_www_server\nencryption_key\nsigning_key\n' >server.info
{
  certtool --generate-privkey --outfile ca-key.pem
  certtool --generate-self-signed --load-privkey ca-key.pem \
    --template ca.info --outfile ca-cert.pem
  certtool --generate-privkey --outfile server-key.pem
  certtool --generate-certificate --load-ca-certificate ca-cert.pem \
    --load-ca-privkey ca-key.pem --load-privkey server-key.pem \
    --template server.info --outfile server-cert.pem
} >"$tmp/certtool.log" 2>&1
mkdir ../client
cp ca-cert.pem ../client
cd "$OLDPWD"

serve_tcp x509 --tls=require --tls-certificates="$tmp/pki" tierswap size=4M
copy "nbds://localhost:$port/?tls-certificates=$tmp/client"
refused "without TLS" "nbd://127.0.0.1:$port/"
stop $server
