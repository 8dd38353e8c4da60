#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# By hand, SOAK_SECONDS=3600.
here=$(cd "$(dirname "$0")" && pwd)
seconds=${SOAK_SECONDS:-20}
size=64
[ "$seconds" -ge 120 ] || size=32
exec "$here/run-guest" uml -m 512 -t $((seconds * 2 + 900)) \
  "$here/soak.sh" none "$size" "$seconds"
