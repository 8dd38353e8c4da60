#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/zero-free-and-control.sh" qemu 256 224
