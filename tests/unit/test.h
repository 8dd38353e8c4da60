/* SPDX-License-Identifier: BSD-3-Clause */
/* What every unit test includes: cmocka and its prerequisites. */
#ifndef TIERSWAP_TEST_H
#define TIERSWAP_TEST_H

#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif /* TIERSWAP_TEST_H */
