#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The fault matrix of what deals with a disk of the kernel's nbd driver, which
# the machine of the build may not have: see fault-matrix.c.
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../guest/run-guest" uml -m 256 -t 900 "$here/attach.sh" guest
