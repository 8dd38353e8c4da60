#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# In a guest: the part of the fault matrix that needs the kernel's nbd driver.
. "$srcdir/tests/guest/functions.sh"
load_nbd
export FAULTS_OUT=/tmp FAULTS_BEFORE=$builddir/tests/faults/fault-matrix.notes
status=0
"$builddir/tests/faults/fault-matrix" "$@" || status=$?
cat /tmp/fault-matrix.txt
exit "$status"
