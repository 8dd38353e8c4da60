#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/run-guest" uml -m 400 -t 900 "$here/cgroups-unit.sh"
