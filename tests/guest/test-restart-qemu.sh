#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
# KILLS=N: so many; BUSY=busy: while all the rest goes on as well.
exec "$here/run-guest" qemu -m 512 -t 2900 "$here/restart.sh" 36 "${KILLS:-100}" \
  ${BUSY:+"$BUSY"}
