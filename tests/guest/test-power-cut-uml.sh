#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/run-guest" uml -m 320 -t 900 "$here/power-cut.sh" 32
