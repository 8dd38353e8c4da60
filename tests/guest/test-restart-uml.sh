#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
# By hand, KILLS=N: a stall may last as long as the nbd timeout, a minute.
exec "$here/run-guest" uml -m 256 -t 900 "$here/restart.sh" 32 "${KILLS:-10}"
