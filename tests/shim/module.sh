#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The kernel module builds without a warning for every kernel whose headers are
# here, sparse finds nothing (where it is), and modinfo tells all about it.
set -eu
unset MAKEFLAGS MAKELEVEL MFLAGS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$PATH:/usr/sbin:/sbin

check=
if command -v sparse > /dev/null; then
  check=C=2
fi
found=
for headers in /lib/modules/*/build; do
  [ -e "$headers/Makefile" ] || continue
  version=$(basename "$(dirname "$headers")")
  found+=" $version"
  echo "== $version"
  if ! "$srcdir/shim/build-module" "$headers" "$work/$version" W=1 $check \
      > "$work/log" 2>&1; then
    cat "$work/log"
    exit 1
  fi
  if grep -iE 'warning|error' "$work/log"; then
    cat "$work/log"
    exit 1
  fi
  module=$work/$version/tierswap_shim.ko
  for field in license version description author vermagic srcversion; do
    value=$(modinfo -F $field "$module")
    echo "$field: $value"
    [ -n "$value" ]
  done
  [ "$(modinfo -F license "$module")" = GPL ]
  [[ $(modinfo -F vermagic "$module") == "$version "* ]]
  modinfo -F parm "$module" | grep -q '^records:'
done
if [ -z "$found" ]; then
  echo "no kernel headers are here: install linux-headers-amd64"
  exit 77
fi
grep -qx "PACKAGE_VERSION=\"$(modinfo -F version "$module")\"" \
  "$srcdir/shim/dkms.conf"
