#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# ./nbdkit runs the plugin of the build tree, which says what it is and can.
. "${srcdir:-.}/tests/nbd/functions.sh"
need nbdinfo libnbd-bin

# has LINE: in the plugin's description of itself.
has ()
{
  grep -qx -- "$1" "$tmp/dump" || fail "--dump-plugin does not say $1"
}

"$nbdkit" tierswap --dump-plugin >"$tmp/dump"
has "path=$builddir/.libs/nbdkit-tierswap-plugin.so"
has name=tierswap
has api_version=2
has "version=[0-9].*"
has thread_model=parallel
has errno_is_preserved=1
has magic_config_key=conf
has "tierswap_codecs=none lz4 lz4hc zstd"
has tierswap_page_size=4096

"$nbdkit" tierswap --help >"$tmp/help"
for parameter in conf size; do
  grep -q "$parameter.*=" "$tmp/help" || fail "--help does not tell $parameter"
done

# Other plugins are the system's.
expect "another plugin" \
  "$("$nbdkit" null --dump-plugin | grep '^name=')" name=null

# Nothing of the library's is visible to nbdkit and other plugins.
if type nm >/dev/null 2>&1; then
  expect "what the plugin exports" \
    "$(nm -D --defined-only "$builddir/.libs/nbdkit-tierswap-plugin.so" |
       awk '{ print $3 }')" plugin_init
fi

# A captive server, from another folder, with the embedded configuration.
cd /
expect "the size served" \
  "$(timeout $limit "$nbdkit" -U - tierswap size=64M \
       --run 'nbdinfo --size "$uri"' 2>"$tmp/captive.log")" $((64 << 20))
