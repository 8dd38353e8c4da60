/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel module tierswap_shim, played: a file has the place of its device,
 * and its rings, in which there are no tags.
 */
#ifndef TIERSWAP_TEST_PLAYED_MODULE_H
#define TIERSWAP_TEST_PLAYED_MODULE_H

#include <stdbool.h>

/* Have the file PATH for a device, from now on. */
extern void played_module_make (const char *path);

/* Is it the device that FD has open?  What it answers to a call. */
extern bool played_module_is (int fd);
extern int played_module_ioctl (unsigned long call, void *argument);

#endif /* TIERSWAP_TEST_PLAYED_MODULE_H */
