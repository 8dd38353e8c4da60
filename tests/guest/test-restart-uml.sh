#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
# KILLS=N: so many.
exec "$here/run-guest" uml -m 256 -t 600 "$here/restart.sh" 24 "${KILLS:-4}" busy
