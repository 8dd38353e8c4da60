#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/run-guest" uml -m 256 -t 600 "$here/supervisor.sh" 16
