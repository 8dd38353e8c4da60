/* SPDX-License-Identifier: BSD-3-Clause */
/* The statistics as a page for people. */
#ifndef TIERSWAP_SHOW_H
#define TIERSWAP_SHOW_H

#include <jansson.h>

/* Print the statistics of the contract on standard output, in columns. */
extern void show_status (json_t *statistics);

#endif /* TIERSWAP_SHOW_H */
