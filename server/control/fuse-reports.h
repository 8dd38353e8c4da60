/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of the FUSE tree that show several values at once: zram's columns, and
 * the statistics as JSON.
 */
#ifndef TIERSWAP_FUSE_REPORTS_H
#define TIERSWAP_FUSE_REPORTS_H

#include "policy/device.h"

/* The text of the file with the fixed node NODE, to free().  NULL with errno:
 * EACCES for one that shows nothing.
 */
extern char *report_text (struct device *device, unsigned node);

#endif /* TIERSWAP_FUSE_REPORTS_H */
