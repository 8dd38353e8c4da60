#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"${builddir:-.}/tests/guest/shim-reader" have-bpf || {
  echo "the BPF program is not built in: install libbpf-dev, clang and bpftool"
  exit 77
}
exec "$here/run-guest" qemu -m 448 -t 900 "$here/cgroups.sh" bpf 24
