#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The section "tag".
# usage: bench-tag.sh PAGES               (which are not used)
set -eu
exec "${builddir:-.}/bench-tag"
