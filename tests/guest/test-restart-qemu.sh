#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
# By hand: each restart is slow under an emulated CPU.
exec "$here/run-guest" qemu -m 512 -t 1500 "$here/restart.sh" 32 "${KILLS:-4}"
