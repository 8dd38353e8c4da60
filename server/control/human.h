/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers as people read them. */
#ifndef TIERSWAP_HUMAN_H
#define TIERSWAP_HUMAN_H

#include <stdint.h>

/* Bytes, "1.5 GiB", into TEXT, which is returned. */
#define HUMAN_ROOM 24
extern const char *human_bytes (uint64_t bytes, char text[HUMAN_ROOM]);

#endif /* TIERSWAP_HUMAN_H */
