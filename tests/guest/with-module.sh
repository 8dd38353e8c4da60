#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Builds the module for the qemu guest's kernel, which is the newest that is here,
# and runs a script there with it, for at most GUEST_LIMIT seconds.
#   with-module.sh GUEST-MEBIBYTES SCRIPT ARGUMENT...
set -eu
unset MAKEFLAGS MAKELEVEL MFLAGS
here=$(cd "$(dirname "$0")" && pwd)
builddir=$(cd "${builddir:-.}" && pwd)
export builddir
version=$("$here/run-guest" qemu -k) || exit
headers=/lib/modules/$version/build
if ! [ -e "$headers/Makefile" ]; then
  echo "the headers of $version are not here: install linux-headers-6.12-amd64"
  exit 77
fi
work=$(mktemp -d "$builddir/module-guest.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$here/../../shim/build-module" "$headers" "$work" > "$work/log" 2>&1 || {
  cat "$work/log"
  exit 1
}
"$here/run-guest" qemu -m "$1" -t "${GUEST_LIMIT:-900}" "$here/$2" \
  "$work/tierswap_shim.ko" "${@:3}"
