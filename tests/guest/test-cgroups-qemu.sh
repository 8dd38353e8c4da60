#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/with-module.sh" 448 cgroups.sh 24
