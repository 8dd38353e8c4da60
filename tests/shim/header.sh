#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tierswap_ioctl.h alone is a program of C and of C++, of the same layout in
# each, and for 32 bits where the compiler can.
set -eu
header=$srcdir/include/tierswap_ioctl.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What a program of another version or width must find.
layout=$(cat <<'END'
#include <stddef.h>
#define IS(what, value) typedef char is_##what[(value) ? 1 : -1]
IS (tag, sizeof (struct tierswap_tag) == 24);
IS (tag_length, offsetof (struct tierswap_tag, length) == 16);
IS (rings, sizeof (struct tierswap_rings) == 128);
IS (ring, sizeof (struct tierswap_ring) == 256);
IS (ring_tail, offsetof (struct tierswap_ring, tail) == 128);
IS (record, sizeof (struct tierswap_record) == 32);
IS (geometry, sizeof (struct tierswap_geometry) == 64);
IS (watch, sizeof (struct tierswap_watch) == 16);
IS (stats, sizeof (struct tierswap_shim_stats) == 64);
IS (ioc_version, TIERSWAP_IOC_VERSION == 0x8004e700u);
IS (ioc_geometry, TIERSWAP_IOC_GEOMETRY == 0x8040e701u);
IS (ioc_stats, TIERSWAP_IOC_STATS == 0x8040e702u);
IS (ioc_watch, TIERSWAP_IOC_WATCH == 0x4010e703u);
IS (ioc_unwatch, TIERSWAP_IOC_UNWATCH == 0x4010e704u);
IS (ioc_tag, TIERSWAP_IOC_TAG == 0x4018e705u);
END
)
printf '#include "%s"\n%s\n' "$header" "$layout" > "$work/layout.c"
cp "$work/layout.c" "$work/layout.cc"

compile () {
  echo "$*"
  "$@" -Wall -Wextra -Wpedantic -Werror -Wno-unused-local-typedefs \
    -c -o "$work/layout.o"
}
for standard in c99 c11 gnu11; do
  compile "${CC:-gcc}" -std=$standard "$work/layout.c"
done
if command -v "${CXX:-g++}" > /dev/null; then
  for standard in c++11 c++17; do
    compile "${CXX:-g++}" -std=$standard "$work/layout.cc"
  done
fi
if echo '#include <linux/ioctl.h>' \
    | gcc -m32 -x c -c -o "$work/layout.o" - 2> /dev/null; then
  compile gcc -m32 -std=c11 "$work/layout.c"
fi

# The test can fail.
sed -i 's/== 24/== 20/' "$work/layout.c"
if compile "${CC:-gcc}" -std=c11 "$work/layout.c" 2> /dev/null; then
  echo "a wrong layout was not found out"
  exit 1
fi
