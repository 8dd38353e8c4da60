/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes as text: "8G" to bytes (config_parse_size in config.h) and back. */
#ifndef TIERSWAP_CONFIG_SIZE_H
#define TIERSWAP_CONFIG_SIZE_H

#include <stdint.h>

struct config_size_text {
  char text[24];
};

/* The shortest text that config_parse_size reads as exactly BYTES. */
extern struct config_size_text config_format_size (uint64_t bytes);

#endif /* TIERSWAP_CONFIG_SIZE_H */
