#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/run-guest" qemu -s -m 512 -t 900 "$here/service.sh" 32
