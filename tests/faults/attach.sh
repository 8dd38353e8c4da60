#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# In a guest: the part of the fault matrix that needs the kernel's nbd driver, or
# a block device. Its notes come last, in lines of their own.
. "$srcdir/tests/guest/functions.sh"
load_nbd
make_ram_disk 16
export FAULTS_OUT=/tmp
status=0
"$builddir/tests/faults/fault-matrix" "$@" || status=$?
cat /tmp/fault-matrix.txt
sed 's/^/@note /' /tmp/fault-matrix.notes
exit "$status"
