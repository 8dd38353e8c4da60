#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# By hand: with cgroups that the kernel's module tells of, on a slow CPU.
here=$(cd "$(dirname "$0")" && pwd)
seconds=${SOAK_SECONDS:-600}
export GUEST_LIMIT=$((seconds * 2 + 1800))
exec "$here/with-module.sh" 512 soak.sh 36 "$seconds"
