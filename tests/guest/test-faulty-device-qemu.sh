#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/run-guest" qemu -m 384 -t 1800 "$here/faulty-device.sh" 8
