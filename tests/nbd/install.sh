#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# make install DESTDIR=... puts everything where it is looked for.
. "${srcdir:-.}/tests/nbd/functions.sh"
need make make
need pkg-config pkg-config

# variable NAME: of the Makefile, expanded.
variable ()
{
  printf 'include Makefile\nprint:; @echo $(%s)\n' "$1" |
    make -s -C "$builddir" -f - print
}

unset MAKEFLAGS MFLAGS MAKELEVEL
root=$tmp/root
make -C "$builddir" install "DESTDIR=$root" >"$tmp/install.log" 2>&1

plugindir=$(variable plugindir)
expect "the plugin's folder" "$plugindir" \
  "$(pkg-config --variable=plugindir nbdkit)"
plugin=$root$plugindir/nbdkit-tierswap-plugin.so
[ -e "$plugin" ] || fail "no plugin in $plugindir"
nbdkit "$plugin" --dump-plugin | grep -qx name=tierswap ||
  fail "nbdkit cannot load the installed plugin"

header=$root$(variable includedir)/tierswap.h
[ -e "$header" ] || fail "no header tierswap.h"
cat >"$tmp/program.c" <<'END'
#include <tierswap.h>
struct tierswap *device;
int main (void) { return tierswap_create (0, "1G", &device); }
END
if type cc >/dev/null 2>&1; then
  cc -std=c11 -Wall -Wextra -pedantic -Werror -I "$(dirname "$header")" \
    -fsyntax-only "$tmp/program.c" || fail "tierswap.h does not stand alone"
fi

"$root$(variable bindir)/tierswapctl" --version >/dev/null ||
  fail "the installed tierswapctl does not run"

for page in man1/nbdkit-tierswap-plugin.1 man5/tierswap.conf.5 \
  man5/tierswap-fuse.5 man7/tierswap.7 man8/tierswapctl.8; do
  page=$root$(variable mandir)/$page
  [ -s "$page" ] || fail "no man page $page"
  if type man >/dev/null 2>&1; then
    man -l --warnings=w "$page" 2>"$tmp/man.log" >/dev/null </dev/null ||
      fail "man cannot show $page"
    [ ! -s "$tmp/man.log" ] ||
      fail "man complains about $page: $(cat "$tmp/man.log")"
  fi
done

conf=$(find "$root" -name tierswap.conf)
[ -n "$conf" ] || fail "no example configuration"
timeout $limit "$nbdkit" -U - tierswap "$conf" --run : ||
  fail "the example configuration is refused"

completion=$root$(variable bashcompletiondir)/tierswapctl
[ -s "$completion" ] || fail "no completion for bash"
bash -c '. "$1" && complete -p tierswapctl' bash "$completion" >/dev/null ||
  fail "the completion cannot be sourced"

unit=$root$(variable systemdunitdir)/tierswap.service
[ -s "$unit" ] || fail "no service"
if grep '@[a-z]*dir@' "$unit"; then
  fail "the service has places that are not known"
fi
if type systemd-analyze >/dev/null 2>&1; then
  # Its programs are only here, below $root.
  sed "s,^\(Exec[A-Za-z]*=\)/,\1$root/," "$unit" >"$tmp/tierswap.service"
  systemd-analyze verify --man=no "$tmp/tierswap.service" >"$tmp/verify.log" \
    2>&1 || fail "systemd does not take the service"
  if grep -F tierswap.service "$tmp/verify.log"; then
    fail "systemd complains about the service"
  fi
  # What a server of swap needs no less of; in tenths.
  if systemd-analyze security --help 2>/dev/null | grep -q -e --offline; then
    systemd-analyze security --offline=true --threshold=44 --no-pager \
      "$unit" >"$tmp/exposure.log" 2>&1 ||
      fail "the service is exposed more: $(tail -n 1 "$tmp/exposure.log")"
  fi
fi

make -C "$builddir" uninstall "DESTDIR=$root" >"$tmp/uninstall.log" 2>&1
expect "what uninstalling leaves" "$(find "$root" -type f -o -type l)" ""
