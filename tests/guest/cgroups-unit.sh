#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The unit test of policy per cgroup, in a hierarchy of the kernel's: folders,
# their inode numbers and what inotify tells of them are those of cgroup2.
. "$srcdir/tests/guest/functions.sh"

make_cgroup tests 64
run "$builddir/tests/unit/test-cgroups" "$cgroups/tests"
